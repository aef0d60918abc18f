"""Fixtures of the decoding tests."""

from collections.abc import Callable

import numpy as np
import pytest

from service.core.alerts import AlertBatch, Observations, Survey
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.wire.schemas import SchemaStore
from service.errors import RejectedAlertError

DecodeOne = Callable[..., AlertBatch]
RejectOne = Callable[..., RejectedAlertError]


@pytest.fixture(scope="session")
def decoder() -> Decoder:
    return Decoder(SchemaStore())


@pytest.fixture
def decode_one(decoder: Decoder) -> DecodeOne:
    """Decode one message, which must be accepted."""

    def decode(value: bytes, survey: Survey = Survey.ELASTICC) -> AlertBatch:
        batch = decoder.decode([RawMessage(value, survey)])
        assert not batch.rejected, batch.rejected[0].error.message
        return batch.alerts

    return decode


@pytest.fixture
def reject_one(decoder: Decoder) -> RejectOne:
    """Decode one message, which must be rejected."""

    def reject(value: bytes, survey: Survey = Survey.ELASTICC) -> RejectedAlertError:
        batch = decoder.decode([RawMessage(value, survey)])
        assert len(batch.alerts) == 0
        assert [rejected.message for rejected in batch.rejected] == [0]
        return batch.rejected[0].error

    return reject


def rows_of(alerts: AlertBatch) -> list[tuple[float, float, float, int, int, int]]:
    """Return the first alert's light curve as (mjd, flux, error, band, kind, source id)."""
    rows: Observations = alerts.light_curve(0)
    names = ["mjd_tai", "flux_njy", "flux_err_njy", "band", "kind", "source_id"]
    return [tuple(row) for row in np.asarray(rows[names]).tolist()]
