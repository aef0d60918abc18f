"""Comparing the results of two decoders."""

import numpy as np

from service.core.alerts import DecodedBatch


def assert_same(ours: DecodedBatch, theirs: DecodedBatch) -> None:
    """Check that two batches are the same, bit for bit, and reject the same messages."""
    assert [r.message for r in ours.rejected] == [r.message for r in theirs.rejected]
    assert [r.error.code for r in ours.rejected] == [r.error.code for r in theirs.rejected]
    assert_same_alerts(ours, theirs)


def assert_same_alerts(ours: DecodedBatch, theirs: DecodedBatch) -> None:
    for name in ours.alerts.__dataclass_fields__:
        column, expected = getattr(ours.alerts, name), getattr(theirs.alerts, name)
        if isinstance(column, np.ndarray):
            assert column.dtype == expected.dtype, name
            assert column.tobytes() == expected.tobytes(), name
        else:
            assert column == expected, name
