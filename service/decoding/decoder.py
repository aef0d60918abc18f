"""The decoder: from the bytes of many messages to one batch of alerts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import DecodedBatch, Survey
from service.decoding.assembly import Part, assemble
from service.decoding.columns import RawAlerts
from service.decoding.plain_reader import RecordReader, read_block
from service.decoding.surveys import elasticc, lsst, ztf
from service.decoding.surveys.mapping import MappedAlerts
from service.decoding.vm.storage import SPAN_LENGTH
from service.decoding.wire.framing import (
    CONFLUENT_PREFIX_BYTES,
    Block,
    Framing,
    framing_of,
    open_container,
    schema_id_of,
)
from service.decoding.wire.prefix_cache import UNKNOWN
from service.decoding.wire.record_spans import RecordSpans
from service.decoding.wire.schema_cache import WITHOUT_PROGRAM, SchemaCache
from service.decoding.wire.schemas import SchemaStore
from service.errors import RejectedAlertError, RejectionCode

__all__ = ["Decoder", "RawMessage"]

LAYOUTS = (ztf.LAYOUT, lsst.LAYOUT, elasticc.LAYOUT)

MAPPINGS: dict[Survey, Callable[[RawAlerts], MappedAlerts]] = {
    Survey.ZTF: ztf.map_alerts,
    Survey.LSST: lsst.map_alerts,
    Survey.ELASTICC: elasticc.map_alerts,
}

MAX_SCHEMAS = 256
"""Limit on cached schemas: the surveys have some twenty; a flood of others must not fill memory."""


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One Kafka message.

    Attributes
    ----------
    value
        Its bytes.
    survey
        Survey of its topic. It matters only for ELAsTiCC, whose topics may contain bare records; otherwise
        the survey follows from the bytes.
    """

    value: bytes
    survey: Survey


class Decoder:
    """Decodes messages of every survey. Not thread-safe.

    Parameters
    ----------
    schemas
        Source of writer's schemas.
    max_message_bytes
        Larger messages are rejected, as are containers whose records are larger after decompression.
    compiled
        Whether to compile schemas to programs. If not, and for schemas that cannot be compiled, fastavro
        reads the records.
    """

    def __init__(
        self, schemas: SchemaStore, max_message_bytes: int = 16 * 2**20, *, compiled: bool = True
    ) -> None:
        self._store = schemas
        self._max_message_bytes = max_message_bytes
        self._compiled = compiled
        self._cache = SchemaCache(LAYOUTS, compiled=compiled)

    def warm_up(self) -> None:
        """Compile all functions that decoding needs, or load them from the disk cache: seconds at first."""
        self._cache.prefixes.match([], np.empty(0, np.bool_), 0)
        for reader in self._cache.readers.values():
            MAPPINGS[reader.layout.survey](reader.read(np.empty((0, SPAN_LENGTH), np.int64)).raw)

    def decode(self, messages: Sequence[RawMessage]) -> DecodedBatch:
        """Decode messages. Each yields either its alerts or one rejection.

        Parameters
        ----------
        messages
            Of any surveys and framings.

        Returns
        -------
        DecodedBatch
            Alerts in the order of their messages, and of the records within a container. A container with
            one bad record is rejected as a whole.

        Raises
        ------
        RegistryUnavailableError
            If a schema is needed from the registry and it does not answer. No other error is raised,
            whatever the bytes.
        """
        if len(self._cache.schemas) >= MAX_SCHEMAS:
            self._cache = SchemaCache(LAYOUTS, compiled=self._compiled)
        errors: dict[int, RejectedAlertError] = {}
        spans = self._find_spans(messages, errors)
        parts: list[Part] = []
        for survey, survey_spans in self._by_survey(spans):
            parts += self._read(survey, survey_spans, errors)
        parts += self._retry_as_bare(messages, errors)
        return assemble(parts, errors)

    def _find_spans(
        self, messages: Sequence[RawMessage], errors: dict[int, RejectedAlertError]
    ) -> RecordSpans:
        """Locate the records of every message; only those with an unknown prefix are parsed one by one."""
        values = [message.value for message in messages]
        surveys = [message.survey for message in messages]
        expects_bare = np.zeros(len(values), np.bool_)
        if Survey.ELASTICC in surveys:
            expects_bare[:] = [survey is Survey.ELASTICC for survey in surveys]
        matches = self._cache.prefixes.match(values, expects_bare, self._max_message_bytes)
        blocks: list[Block] = []
        schemas: list[int] = []
        owners: list[int] = []
        for index in np.flatnonzero(matches.key == UNKNOWN).tolist():
            try:
                schema, message_blocks = self._open(messages[index])
            except RejectedAlertError as error:
                errors[index] = error
                continue
            blocks += message_blocks
            schemas += [schema] * len(message_blocks)
            owners += [index] * len(message_blocks)
        matched = RecordSpans(
            values,
            matches.address,
            matches.start,
            matches.stop,
            matches.n_records,
            matches.key,
            np.arange(len(values)),
        ).take(np.flatnonzero(matches.key != UNKNOWN))
        return matched.concat(RecordSpans.of(blocks, schemas, owners))

    def _open(self, message: RawMessage) -> tuple[int, tuple[Block, ...]]:
        """Return the schema number and blocks of one message, and add its prefix to the cache."""
        value, prefixes = message.value, self._cache.prefixes
        if not value:
            raise RejectedAlertError(RejectionCode.EMPTY, "the message is empty")
        if len(value) > self._max_message_bytes:
            text = f"the message has {len(value)} bytes, more than {self._max_message_bytes}"
            raise RejectedAlertError(RejectionCode.TOO_LARGE, text)
        match framing_of(value):
            case Framing.CONTAINER:
                container = open_container(value, self._max_message_bytes)
                number = self._cache.number(self._store.by_content(container.schema_text))
                if not container.is_compressed:
                    prefixes.add_header(container.header, number)
                return number, container.blocks
            case Framing.CONFLUENT:
                number = self._cache.number(self._store.by_id(schema_id_of(value)))
                prefixes.add_id(schema_id_of(value), number)
                return number, (Block(value, CONFLUENT_PREFIX_BYTES, len(value), 1),)
            case _:
                if message.survey is not Survey.ELASTICC:
                    raise _unframed(value)
                number = self._cache.number(self._store.bare[0])
                prefixes.add_bare(number)
                return number, (Block(value, 0, len(value), 1),)

    def _by_survey(self, spans: RecordSpans) -> Iterator[tuple[Survey, RecordSpans]]:
        surveys = list(Survey)
        survey_of_schema = np.array(
            [surveys.index(schema.survey) for schema in self._cache.schemas], np.int64
        )
        survey_of_span = survey_of_schema[spans.schema]
        for number in np.unique(survey_of_span).tolist():
            yield surveys[number], spans.take(np.flatnonzero(survey_of_span == number))

    def _read(self, survey: Survey, spans: RecordSpans, errors: dict[int, RejectedAlertError]) -> list[Part]:
        """Read spans of one survey, with compiled programs where there are any."""
        programs = np.array(self._cache.programs, np.int64)[spans.schema]
        parts = []
        if len(chosen := np.flatnonzero(programs != WITHOUT_PROGRAM)):
            parts.append(self._read_compiled(survey, spans.take(chosen), programs[chosen], errors))
        if len(chosen := np.flatnonzero(programs == WITHOUT_PROGRAM)):
            parts.append(self._read_plain(survey, spans.take(chosen), errors))
        return parts

    def _read_compiled(
        self,
        survey: Survey,
        spans: RecordSpans,
        programs: NDArray[np.int64],
        errors: dict[int, RejectedAlertError],
    ) -> Part:
        result = self._cache.readers[survey].read(spans.for_programs(programs))
        for span, error in result.errors.items():
            errors.setdefault(int(spans.message[span]), error)
        return Part(MAPPINGS[survey](result.raw), spans.message[result.span])

    def _read_plain(self, survey: Survey, spans: RecordSpans, errors: dict[int, RejectedAlertError]) -> Part:
        """Read spans with fastavro."""
        reader = RecordReader(next(layout for layout in LAYOUTS if layout.survey is survey))
        owners: list[int] = []
        for block, number, message in spans.blocks():
            schema = self._cache.schemas[number]
            try:
                records = read_block(block, schema)
            except RejectedAlertError as error:
                errors.setdefault(message, error)
                continue
            for record in records:
                reader.add(record, schema)
            owners += [message] * len(records)
        return Part(MAPPINGS[survey](reader.columns()), np.array(owners, np.int64))

    def _retry_as_bare(
        self, messages: Sequence[RawMessage], errors: dict[int, RejectedAlertError]
    ) -> list[Part]:
        """Try the ELAsTiCC schemas on rejected messages that may be bare records; the first that fits wins.

        A schema fits if it uses up all bytes. The errors of messages that are read are removed.
        """
        left = [index for index, error in errors.items() if _may_be_bare(messages[index], error)]
        parts: list[Part] = []
        for schema in self._store.bare:
            blocks = [Block(messages[index].value, 0, len(messages[index].value), 1) for index in left]
            spans = RecordSpans.of(blocks, [self._cache.number(schema)] * len(left), left)
            failed: dict[int, RejectedAlertError] = {}
            parts += self._read(schema.survey, spans, failed) if left else []
            for index in left:
                if index not in failed:
                    del errors[index]
            left = list(failed)
        for index in left:
            error = errors[index]
            message = f"{error.message}; nor is it a bare ELAsTiCC record of any known schema"
            if framing_of(messages[index].value) is Framing.BARE:
                message = f"not a bare ELAsTiCC record of any known schema: {error.message}"
            errors[index] = RejectedAlertError(error.code, message)
        return parts


def _may_be_bare(message: RawMessage, error: RejectedAlertError) -> bool:
    """Return whether a rejected message may be a bare record of another schema than the one tried."""
    if message.survey is not Survey.ELASTICC:
        return False
    code = {Framing.BARE: RejectionCode.MALFORMED, Framing.CONFLUENT: RejectionCode.UNKNOWN_SCHEMA}
    return code.get(framing_of(message.value)) is error.code


def _unframed(value: bytes) -> RejectedAlertError:
    prefix = value[:8].hex(" ")
    message = f"begins with {prefix} instead of an Avro container (4f 62 6a 01) or a schema id (00 ...)"
    return RejectedAlertError(RejectionCode.FRAMING, message)
