"""From the bytes of many messages to one batch of alerts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, AlertBatch, DecodedBatch, RejectedMessage, Survey
from service.decoding import elasticc, lsst, ztf
from service.decoding.columns import RawAlerts
from service.decoding.framing import Block, Framing, framing_of, open_container, schema_id_of
from service.decoding.mapping import MappedAlerts
from service.decoding.records import RecordReader, read_block
from service.decoding.schemas import SchemaStore, WriterSchema
from service.errors import RejectedAlertError, RejectionCode

__all__ = ["Decoder", "RawMessage"]

MAPPINGS: dict[Survey, Callable[[RawAlerts], MappedAlerts]] = {
    Survey.ZTF: ztf.map_alerts,
    Survey.LSST: lsst.map_alerts,
    Survey.ELASTICC: elasticc.map_alerts,
}

CONFLUENT_PREFIX_BYTES = 5

COLUMN_TYPES: dict[str, type[np.generic]] = {
    "alert_id": np.uint64,
    "mjd_tai": np.float64,
    "ra_deg": np.float64,
    "dec_deg": np.float64,
    "band": np.uint8,
    "is_solar_system": np.bool_,
    "real_bogus": np.float32,
    "star_galaxy": np.float32,
    "star_distance_arcsec": np.float32,
    "redshift": np.float32,
    "redshift_err": np.float32,
    "mwebv": np.float32,
}
"""The plain columns of an `AlertBatch`."""


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One Kafka message.

    Attributes
    ----------
    value
        Its bytes.
    survey
        Whose topic it is of. Only ELAsTiCC's hold bare bodies; all else is told by the bytes themselves.
    """

    value: bytes
    survey: Survey


class Decoder:
    """Decodes messages of every survey. Used by one thread.

    Parameters
    ----------
    schemas
        Where writer's schemas are found.
    max_message_bytes
        Larger messages are rejected, as are containers whose records grow larger when decompressed.
    """

    def __init__(self, schemas: SchemaStore, max_message_bytes: int = 16 * 2**20) -> None:
        self._schemas = schemas
        self._max_message_bytes = max_message_bytes

    def decode(self, messages: Sequence[RawMessage]) -> DecodedBatch:
        """Decode messages, each of which gives its alerts or one rejection.

        Parameters
        ----------
        messages
            In any mixture of surveys and framings.

        Returns
        -------
        DecodedBatch
            Alerts in the order of their messages, and of the records within a container. A container
            with one bad record is rejected as a whole.

        Raises
        ------
        RegistryUnavailableError
            If a schema had to be asked for and the registry did not answer. Nothing else, whatever the
            bytes.
        """
        errors: dict[int, RejectedAlertError] = {}
        readers: dict[Survey, tuple[RecordReader, list[int]]] = {}
        for index, message in enumerate(messages):
            try:
                schema, records = self._records(message)
            except RejectedAlertError as error:
                errors[index] = error
                continue
            reader, owners = readers.setdefault(schema.survey, (RecordReader(schema.layout), []))
            for record in records:
                reader.add(record, schema)
            owners.extend([index] * len(records))
        parts = [
            _Part(MAPPINGS[survey](reader.columns()), np.array(owners, np.int64))
            for survey, (reader, owners) in readers.items()
        ]
        return _assemble(parts, errors)

    def _records(self, message: RawMessage) -> tuple[WriterSchema, list[dict[str, Any]]]:
        """Decode one message's records, all by one schema."""
        value = message.value
        if not value:
            raise RejectedAlertError(RejectionCode.EMPTY, "the message is empty")
        if len(value) > self._max_message_bytes:
            text = f"the message has {len(value)} bytes, more than {self._max_message_bytes}"
            raise RejectedAlertError(RejectionCode.TOO_LARGE, text)
        match framing_of(value):
            case Framing.CONTAINER:
                container = open_container(value, self._max_message_bytes)
                schema = self._schemas.by_content(container.schema_text)
                return schema, [record for block in container.blocks for record in read_block(block, schema)]
            case Framing.CONFLUENT:
                return self._confluent(message)
            case Framing.BARE:
                return self._bare(message)

    def _confluent(self, message: RawMessage) -> tuple[WriterSchema, list[dict[str, Any]]]:
        try:
            schema = self._schemas.by_id(schema_id_of(message.value))
        except RejectedAlertError as error:
            return self._bare(message, error)
        return schema, read_block(Block(message.value, CONFLUENT_PREFIX_BYTES, len(message.value), 1), schema)

    def _bare(
        self, message: RawMessage, instead: RejectedAlertError | None = None
    ) -> tuple[WriterSchema, list[dict[str, Any]]]:
        """Decode a body without framing by the first schema that fits all its bytes."""
        if message.survey is not Survey.ELASTICC:
            raise instead or _unframed(message.value)
        block = Block(message.value, 0, len(message.value), 1)
        first: RejectedAlertError | None = None
        for schema in self._schemas.bare:
            try:
                return schema, read_block(block, schema)
            except RejectedAlertError as error:
                first = first or error
        reason = f"; as a bare body: {first.message}" if first else ""
        raise RejectedAlertError(
            instead.code if instead else RejectionCode.MALFORMED,
            (instead or _unframed(message.value)).message + reason,
        )


def _unframed(value: bytes) -> RejectedAlertError:
    beginning = value[:8].hex(" ")
    message = f"begins with {beginning}: neither an Avro container (4f 62 6a 01) nor a schema id (00 ...)"
    return RejectedAlertError(RejectionCode.FRAMING, message)


@dataclass(frozen=True, slots=True)
class _Part:
    """One survey's alerts, and the message that each came in."""

    alerts: MappedAlerts
    message: NDArray[np.int64]


def _assemble(parts: Sequence[_Part], errors: dict[int, RejectedAlertError]) -> DecodedBatch:
    """Put the surveys' alerts in the order of the messages, without those of rejected messages."""
    for part in parts:
        for index, error in part.alerts.errors.items():
            errors.setdefault(int(part.message[index]), error)
    message = _joined([part.message for part in parts], np.int64)
    is_kept = ~np.isin(message, np.array(list(errors), np.int64))
    order = np.argsort(message, kind="stable")
    order = order[is_kept[order]]

    columns = {
        name: _joined([getattr(part.alerts, name) for part in parts], dtype)[order]
        for name, dtype in COLUMN_TYPES.items()
    }
    object_ids = [name for part in parts for name in part.alerts.object_id]
    surveys = [part.alerts.survey for part in parts for _ in part.message]
    lengths = _joined([np.diff(part.alerts.offsets) for part in parts], np.int64)
    starts = np.cumsum(lengths) - lengths
    offsets = np.concatenate([[0], np.cumsum(lengths[order])]).astype(np.int64)
    # Row r of alert i in the new order was row starts[order[i]] + r of all parts together.
    source = np.arange(offsets[-1]) + np.repeat(starts[order] - offsets[:-1], lengths[order])
    observations = _joined([part.alerts.observations for part in parts], OBSERVATION)
    alerts = AlertBatch(
        message=message[order],
        survey=tuple(surveys[index] for index in order.tolist()),
        object_id=tuple(object_ids[index] for index in order.tolist()),
        offsets=offsets,
        observations=observations[source],
        **columns,
    )
    rejected = tuple(RejectedMessage(index, errors[index]) for index in sorted(errors))
    return DecodedBatch(alerts, rejected)


def _joined(arrays: Sequence[NDArray[Any]], dtype: np.dtype[Any] | type[np.generic]) -> NDArray[Any]:
    """Concatenate any number of arrays, also none."""
    return np.concatenate([np.empty(0, dtype), *arrays])
