"""Comparing what two decoders gave."""

import numpy as np

from service.core.alerts import DecodedBatch


def assert_same(ours: DecodedBatch, theirs: DecodedBatch) -> None:
    """Check that two batches are the same to the last bit, and reject the same messages."""
    assert [r.message for r in ours.rejected] == [r.message for r in theirs.rejected]
    assert [r.error.code for r in ours.rejected] == [r.error.code for r in theirs.rejected]
    assert_same_alerts(ours, theirs)


def assert_same_alerts(ours: DecodedBatch, theirs: DecodedBatch) -> None:
    for name in ours.alerts.__dataclass_fields__:
        one, other = getattr(ours.alerts, name), getattr(theirs.alerts, name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype, name
            assert one.tobytes() == other.tobytes(), name
        else:
            assert one == other, name
