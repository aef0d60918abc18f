"""What can never be decoded becomes a dead letter with its original bytes, and the stream continues."""

import gzip
import os
from collections import Counter

from service.core.alerts import Survey
from service.core.ports.messages import MessagePosition
from service.decoding.decoder import Decoder, RawMessage
from service.embedded.broker import Broker
from service.errors import RejectionCode
from service.settings import Settings
from service.wiring.decoding import decoder
from tests.integration.conftest import DeploymentFactory
from tests.support.kafka import Record
from tests.support.streams import simulated_packets

VALID = simulated_packets()[:120]
ZTF = next(value for survey, value in VALID if survey is Survey.ZTF)
LSST = next(value for survey, value in VALID if survey is Survey.LSST)
MAX_MESSAGE_BYTES = 100_000

# Avro writes lengths as zigzag varints: this one means 1 GB.
ONE_GIGABYTE = b"\x80\x80\x80\x80\x08"

Broken = dict[str, tuple[Survey, bytes, set[RejectionCode]]]

C = RejectionCode
BROKEN: Broken = {
    "empty": (Survey.ZTF, b"", {C.EMPTY}),
    "truncated container": (Survey.ZTF, ZTF[: len(ZTF) // 2], {C.MALFORMED, C.FRAMING}),
    "truncated in the schema": (Survey.ZTF, ZTF[:100], {C.MALFORMED, C.FRAMING}),
    "truncated body": (Survey.LSST, LSST[:-20], {C.MALFORMED}),
    "only a prefix": (Survey.LSST, LSST[:5], {C.MALFORMED}),
    "half a prefix": (Survey.LSST, LSST[:3], {C.FRAMING, C.MALFORMED, C.UNKNOWN_SCHEMA}),
    "bytes after the end": (Survey.LSST, LSST + b"\x00", {C.MALFORMED}),
    "wrong magic": (Survey.ZTF, b"Obj\x02" + ZTF[4:], {C.FRAMING}),
    "unknown schema id": (Survey.LSST, b"\x00\x00\x00\x27\x0f" + LSST[5:], {C.UNKNOWN_SCHEMA}),
    "1 GB of metadata": (
        Survey.ZTF,
        b"Obj\x01\x02" + ONE_GIGABYTE + b"avro.schema",
        {C.MALFORMED, C.FRAMING},
    ),
    "1 GB of records": (Survey.ZTF, b"Obj\x01" + ONE_GIGABYTE + ZTF[5:], {C.MALFORMED, C.FRAMING}),
    "1 GB body": (Survey.LSST, LSST[:5] + ONE_GIGABYTE * 20, {C.MALFORMED}),
    "JSON": (Survey.ZTF, b'{"objectId": "ZTF21abiuvdk", "candid": 1}', {C.FRAMING}),
    "text on a topic of bare bodies": (Survey.ELASTICC, b"hello, world", {C.MALFORMED, C.FRAMING}),
    "compressed from outside": (Survey.ZTF, gzip.compress(ZTF), {C.FRAMING}),
    "noise": (Survey.ELASTICC, bytes(range(255, 0, -1)) * 20, {C.MALFORMED, C.FRAMING}),
    "too large": (Survey.ZTF, ZTF + bytes(MAX_MESSAGE_BYTES), {C.TOO_LARGE}),
}


def flipped(reference: Decoder, packet: bytes, survey: Survey, count: int) -> list[bytes]:
    """Return packets with one flipped bit that can no longer be decoded.

    A flip within a number results in another valid number, which cannot be detected.
    """
    variants = []
    for position in range(4, len(packet), max(len(packet) // 400, 1)):
        variant = bytearray(packet)
        variant[position] ^= 1 << (position % 8)
        variants.append(bytes(variant))
    rejected = reference.decode([RawMessage(variant, survey) for variant in variants]).rejected
    assert len(rejected) >= count
    return [variants[rejection.message] for rejection in rejected[:: len(rejected) // count]][:count]


def test_broken_messages_become_dead_letters_and_the_stream_continues(
    broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    reference = decoder(Settings(max_message_bytes=MAX_MESSAGE_BYTES))
    flips = [(Survey.ZTF, value) for value in flipped(reference, ZTF, Survey.ZTF, 10)]
    flips += [(Survey.LSST, value) for value in flipped(reference, LSST, Survey.LSST, 10)]
    broken = [(survey, value) for survey, value, _codes in BROKEN.values()] + flips
    mixed = [packet for pair in zip(VALID, broken * 4, strict=False) for packet in pair][: 2 * len(broken)]
    deployment = deploy(broker, redis_url, max_message_bytes=MAX_MESSAGE_BYTES, batch_size=25)

    deployment.send(mixed, partition=lambda index: index % 4)
    worker = deployment.start_worker()
    deployment.wait_until_done()

    letters = deployment.dead_letters()
    assert Counter(letter.value for letter in letters) == Counter(value for _survey, value in broken)
    assert len(deployment.answers()) == len(broken)  # the valid ones in between
    for letter in letters:
        assert_headers_are_complete(letter)
    for name, (_survey, value, codes) in BROKEN.items():
        (code,) = {letter.headers["error_class"].decode() for letter in letters if letter.value == value}
        assert code in codes, name
    assert worker.running
    assert worker.stop() == 0


def assert_headers_are_complete(letter: Record) -> None:
    """Check the headers; the cause is a sentence, not a traceback."""
    source = MessagePosition.parse(letter.headers["source"])
    assert source.topic
    assert source.partition < 4
    assert source.offset >= 0
    message = letter.headers["error_message"].decode()
    assert 10 < len(message) < 500
    assert "Traceback" not in message
    assert letter.headers["service_version"].decode()[0].isdigit()


def test_topic_of_only_broken_messages_is_consumed(
    embedded_broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    noise = [(Survey.LSST, os.urandom(1 + index)) for index in range(300)]
    deployment = deploy(embedded_broker, redis_url)

    deployment.send(noise, partition=lambda index: index % 4)
    deployment.start_worker()
    deployment.wait_until_done()

    letters = deployment.dead_letters()
    assert sorted(letter.value for letter in letters) == sorted(value for _survey, value in noise)
    assert deployment.results() == []
