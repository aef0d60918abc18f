"""From the bytes of many messages to one batch of alerts."""

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
from service.decoding.vm.storage import BODY_LENGTH
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
"""Schemas with a program: the surveys have some twenty; a flood of others must not fill the memory."""


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
    compiled
        Whether schemas are compiled to programs; else, and for schemas that have no program, fastavro
        reads the records.
    """

    def __init__(
        self, schemas: SchemaStore, max_message_bytes: int = 16 * 2**20, *, compiled: bool = True
    ) -> None:
        self._store = schemas
        self._max_message_bytes = max_message_bytes
        self._compiled = compiled
        self._met = SchemaCache(LAYOUTS, compiled=compiled)

    def warm_up(self) -> None:
        """Compile, or load from the disk's cache, all that decoding runs: seconds at the first time."""
        self._met.known.match([], np.empty(0, np.bool_), 0)
        for reader in self._met.readers.values():
            MAPPINGS[reader.layout.survey](reader.read(np.empty((0, BODY_LENGTH), np.int64)).raw)

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
        if len(self._met.schemas) >= MAX_SCHEMAS:
            self._met = SchemaCache(LAYOUTS, compiled=self._compiled)
        errors: dict[int, RejectedAlertError] = {}
        bodies = self._find(messages, errors)
        parts: list[Part] = []
        for survey, reading in self._by_survey(bodies):
            parts += self._read(survey, reading, errors)
        parts += self._read_bare_again(messages, errors)
        return assemble(parts, errors)

    def _find(self, messages: Sequence[RawMessage], errors: dict[int, RejectedAlertError]) -> RecordSpans:
        """Find the records of every message, looking closely at those not like any before."""
        values = [message.value for message in messages]
        surveys = [message.survey for message in messages]
        expects_bare = np.zeros(len(values), np.bool_)
        if Survey.ELASTICC in surveys:
            expects_bare[:] = [survey is Survey.ELASTICC for survey in surveys]
        matches = self._met.known.match(values, expects_bare, self._max_message_bytes)
        blocks: list[Block] = []
        schemas: list[int] = []
        owners: list[int] = []
        for index in np.flatnonzero(matches.key == UNKNOWN).tolist():
            try:
                schema, found = self._open(messages[index])
            except RejectedAlertError as error:
                errors[index] = error
                continue
            blocks += found
            schemas += [schema] * len(found)
            owners += [index] * len(found)
        everything = RecordSpans(
            values,
            matches.address,
            matches.start,
            matches.stop,
            matches.n_records,
            matches.key,
            np.arange(len(values)),
        )
        like_before = everything.take(np.flatnonzero(matches.key != UNKNOWN))
        return like_before.concat(RecordSpans.of(blocks, schemas, owners))

    def _open(self, message: RawMessage) -> tuple[int, tuple[Block, ...]]:
        """Take one message apart, and know those that begin like it from now on."""
        value, known = message.value, self._met.known
        if not value:
            raise RejectedAlertError(RejectionCode.EMPTY, "the message is empty")
        if len(value) > self._max_message_bytes:
            text = f"the message has {len(value)} bytes, more than {self._max_message_bytes}"
            raise RejectedAlertError(RejectionCode.TOO_LARGE, text)
        match framing_of(value):
            case Framing.CONTAINER:
                container = open_container(value, self._max_message_bytes)
                number = self._met.number(self._store.by_content(container.schema_text))
                if not container.is_compressed:
                    known.learn_header(container.header, number)
                return number, container.blocks
            case Framing.CONFLUENT:
                number = self._met.number(self._store.by_id(schema_id_of(value)))
                known.learn_id(schema_id_of(value), number)
                return number, (Block(value, CONFLUENT_PREFIX_BYTES, len(value), 1),)
            case _:
                if message.survey is not Survey.ELASTICC:
                    raise _unframed(value)
                number = self._met.number(self._store.bare[0])
                known.learn_bare(number)
                return number, (Block(value, 0, len(value), 1),)

    def _by_survey(self, bodies: RecordSpans) -> Iterator[tuple[Survey, RecordSpans]]:
        surveys = list(Survey)
        survey_of_schema = np.array([surveys.index(schema.survey) for schema in self._met.schemas], np.int64)
        survey_of_body = survey_of_schema[bodies.schema]
        for number in np.unique(survey_of_body).tolist():
            yield surveys[number], bodies.take(np.flatnonzero(survey_of_body == number))

    def _read(self, survey: Survey, bodies: RecordSpans, errors: dict[int, RejectedAlertError]) -> list[Part]:
        """Read bodies of one survey, by programs where there are any."""
        programs = np.array(self._met.programs, np.int64)[bodies.schema]
        parts = []
        if len(chosen := np.flatnonzero(programs != WITHOUT_PROGRAM)):
            parts.append(self._read_compiled(survey, bodies.take(chosen), programs[chosen], errors))
        if len(chosen := np.flatnonzero(programs == WITHOUT_PROGRAM)):
            parts.append(self._read_plainly(survey, bodies.take(chosen), errors))
        return parts

    def _read_compiled(
        self,
        survey: Survey,
        bodies: RecordSpans,
        programs: NDArray[np.int64],
        errors: dict[int, RejectedAlertError],
    ) -> Part:
        result = self._met.readers[survey].read(bodies.for_programs(programs))
        for body, error in result.errors.items():
            errors.setdefault(int(bodies.message[body]), error)
        return Part(MAPPINGS[survey](result.raw), bodies.message[result.body])

    def _read_plainly(
        self, survey: Survey, bodies: RecordSpans, errors: dict[int, RejectedAlertError]
    ) -> Part:
        """Read bodies with fastavro."""
        reader = RecordReader(next(layout for layout in LAYOUTS if layout.survey is survey))
        owners: list[int] = []
        for block, number, message in bodies.blocks():
            schema = self._met.schemas[number]
            try:
                records = read_block(block, schema)
            except RejectedAlertError as error:
                errors.setdefault(message, error)
                continue
            for record in records:
                reader.add(record, schema)
            owners += [message] * len(records)
        return Part(MAPPINGS[survey](reader.columns()), np.array(owners, np.int64))

    def _read_bare_again(
        self, messages: Sequence[RawMessage], errors: dict[int, RejectedAlertError]
    ) -> list[Part]:
        """Read what may be bare bodies of further schemas; the one that uses up all bytes is theirs."""
        left = [index for index, error in errors.items() if _may_be_bare(messages[index], error)]
        parts: list[Part] = []
        for schema in self._store.bare:
            blocks = [Block(messages[index].value, 0, len(messages[index].value), 1) for index in left]
            bodies = RecordSpans.of(blocks, [self._met.number(schema)] * len(left), left)
            failed: dict[int, RejectedAlertError] = {}
            parts += self._read(schema.survey, bodies, failed) if left else []
            for index in left:
                if index not in failed:
                    del errors[index]
            left = list(failed)
        for index in left:
            error = errors[index]
            message = f"{error.message}; nor does it fit a schema as a bare ELAsTiCC body"
            if framing_of(messages[index].value) is Framing.BARE:
                message = f"fits no schema as a bare ELAsTiCC body: {error.message}"
            errors[index] = RejectedAlertError(error.code, message)
        return parts


def _may_be_bare(message: RawMessage, error: RejectedAlertError) -> bool:
    """Whether a message that was rejected may be a bare body of another schema than the one tried."""
    if message.survey is not Survey.ELASTICC:
        return False
    code = {Framing.BARE: RejectionCode.MALFORMED, Framing.CONFLUENT: RejectionCode.UNKNOWN_SCHEMA}
    return code.get(framing_of(message.value)) is error.code


def _unframed(value: bytes) -> RejectedAlertError:
    beginning = value[:8].hex(" ")
    message = f"begins with {beginning}: neither an Avro container (4f 62 6a 01) nor a schema id (00 ...)"
    return RejectedAlertError(RejectionCode.FRAMING, message)
