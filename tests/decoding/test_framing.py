import zlib
from io import BytesIO

import cramjam
import fastavro
import pytest

from service.core.alerts import Survey
from service.decoding.wire.framing import Framing, framing_of, open_container, schema_id_of
from service.decoding.wire.shipped import shipped_schema
from service.errors import RejectedAlertError, RejectionCode
from tests.decoding.conftest import DecodeOne, RejectOne
from tests.decoding.packets import (
    SYNC,
    container,
    container_block,
    container_header,
    elasticc,
    elasticc_bytes,
    lsst,
    lsst_bytes,
    lsst_source,
    text,
    varint,
    ztf,
    ztf_bytes,
)

MAX_BYTES = 2**20


def test_the_framing_is_told_by_the_first_bytes() -> None:
    assert framing_of(ztf_bytes(ztf())) is Framing.CONTAINER
    assert framing_of(lsst_bytes(lsst())) is Framing.CONFLUENT
    assert framing_of(elasticc_bytes(elasticc())) is Framing.BARE


def test_the_schema_id_is_big_endian_hundred_times_major_plus_minor() -> None:
    assert schema_id_of(b"\x00\x00\x00\x03\xe8rest") == 1000
    assert schema_id_of(lsst_bytes(lsst("11.1"), "11.1")) == 1101


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_containers_of_every_codec_in_use_are_read(decode_one: DecodeOne, codec: str) -> None:
    assert decode_one(ztf_bytes(ztf(), codec=codec)).object_id == ("ZTF21abiuvdk",)


def test_a_container_of_several_records_gives_as_many_alerts(decode_one: DecodeOne) -> None:
    records = [lsst(source=lsst_source(diaSourceId=number)) for number in (1, 2, 3)]
    alerts = decode_one(container(shipped_schema("lsst", "10.0"), *records))
    assert alerts.alert_id.tolist() == [1, 2, 3]
    assert alerts.message.tolist() == [0, 0, 0]


def test_a_container_of_several_blocks_is_read_whole(decode_one: DecodeOne) -> None:
    records = [lsst(source=lsst_source(diaSourceId=number)) for number in range(1, 51)]
    value = container(shipped_schema("lsst", "10.0"), *records, sync_interval=1000)
    assert len(open_container(value, MAX_BYTES).blocks) > 1
    assert decode_one(value).alert_id.tolist() == list(range(1, 51))


def test_a_container_on_any_topic_is_told_by_its_fields(decode_one: DecodeOne) -> None:
    for survey in Survey:
        assert decode_one(ztf_bytes(ztf()), survey).survey == (Survey.ZTF,)
        value = container(shipped_schema("elasticc", "0.9"), elasticc())
        assert decode_one(value, survey).survey == (Survey.ELASTICC,)
        assert decode_one(lsst_bytes(lsst()), survey).survey == (Survey.LSST,)


def test_a_metadata_map_in_blocks_with_sizes_is_read() -> None:
    entry = text(b"avro.schema") + text(b'"int"')
    value = b"Obj\x01" + varint(-1) + varint(len(entry)) + entry + varint(0) + SYNC + container_block(b"\x02")
    opened = open_container(value, MAX_BYTES)
    assert opened.schema_text == b'"int"'
    assert (opened.blocks[0].start, opened.blocks[0].end) == (len(value) - 17, len(value) - 16)


def test_our_reading_of_a_container_agrees_with_fastavros() -> None:
    value = container_header() + container_block(b"\x02\x04", 2) + container_block(b"\x06")
    assert list(fastavro.reader(BytesIO(value))) == [1, 2, 3]
    blocks = open_container(value, MAX_BYTES).blocks
    assert [(block.data[block.start : block.end], block.n_records) for block in blocks] == [
        (b"\x02\x04", 2),
        (b"\x06", 1),
    ]


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=-15)
    return compressor.compress(data) + compressor.flush()


def snapped(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data)) + zlib.crc32(data).to_bytes(4, "big")


@pytest.mark.parametrize(("codec", "compress"), [(b"deflate", deflated), (b"snappy", snapped)])
def test_a_decompression_bomb_is_refused(codec: bytes, compress: object) -> None:
    assert callable(compress)
    bomb = compress(bytes(50 * 2**20))
    with pytest.raises(RejectedAlertError) as caught:
        open_container(container_header(codec=codec) + container_block(bomb), MAX_BYTES)
    assert caught.value.code is RejectionCode.TOO_LARGE


def test_blocks_may_not_grow_together_beyond_the_limit() -> None:
    value = container_header(codec=b"deflate") + container_block(deflated(bytes(400_000))) * 3
    with pytest.raises(RejectedAlertError) as caught:
        open_container(value, MAX_BYTES)
    assert caught.value.code is RejectionCode.TOO_LARGE


GIGABYTE = 2**30

DEFLATED, SNAPPED = container_header(codec=b"deflate"), container_header(codec=b"snappy")

BROKEN_CONTAINERS = {
    "magic alone": b"Obj\x01",
    "entry count cut off": b"Obj\x01\x84",
    "a million entries": b"Obj\x01" + varint(10**6),
    "header value of a gigabyte": b"Obj\x01" + varint(1) + text(b"avro.schema") + varint(GIGABYTE) + b"{}",
    "negative length": b"Obj\x01" + varint(1) + varint(-5) + b"avro",
    "no schema": b"Obj\x01" + varint(1) + text(b"avro.codec") + text(b"null") + varint(0) + SYNC,
    "no sync": b"Obj\x01" + varint(1) + text(b"avro.schema") + text(b'"int"') + varint(0) + SYNC[:9],
    "no block": container_header(),
    "empty block": container_header() + container_block(b"", 0),
    "block of a gigabyte": container_header() + varint(1) + varint(GIGABYTE) + b"\x02",
    "negative block size": container_header() + varint(1) + varint(-3) + SYNC,
    "more records than bytes": container_header() + container_block(b"\x02", 2**40),
    "negative record count": container_header() + container_block(b"\x02", -1),
    "wrong sync": container_header() + container_block(b"\x02")[:-1] + b"x",
    "sync cut off": container_header() + container_block(b"\x02")[:-1],
    "endless number": container_header() + b"\xff" * 11,
    "not deflated": DEFLATED + container_block(b"\xff\xff\xff\xff"),
    "deflated and cut off": DEFLATED + container_block(deflated(b"\x02" * 100)[:-2]),
    "snappy too short": SNAPPED + container_block(b"\x01"),
    "snappy without a length": SNAPPED + container_block(b"\xff" * 12),
    "not snappy": SNAPPED + container_block(b"\x05\xff\xff\xff\xff\xff\xff\xff\xff"),
    "snappy of a wrong checksum": SNAPPED + container_block(snapped(b"\x02")[:-1] + b"\x00"),
}


@pytest.mark.parametrize("value", BROKEN_CONTAINERS.values(), ids=BROKEN_CONTAINERS.keys())
def test_a_broken_container_is_malformed(value: bytes) -> None:
    with pytest.raises(RejectedAlertError) as caught:
        open_container(value, MAX_BYTES)
    assert caught.value.code is RejectionCode.MALFORMED


def test_a_codec_we_do_not_have_is_named() -> None:
    with pytest.raises(RejectedAlertError, match="zstandard") as caught:
        open_container(container_header(codec=b"zstandard") + container_block(b"\x02"), MAX_BYTES)
    assert caught.value.code is RejectionCode.FRAMING


@pytest.mark.parametrize("survey", [Survey.ZTF, Survey.LSST])
@pytest.mark.parametrize(
    "value", [b"{}", b"Obj\x02rest", b"\x01\x02", b"\x00\x01", elasticc_bytes(elasticc())]
)
def test_bytes_of_no_framing_are_refused_where_no_bare_body_is_expected(
    reject_one: RejectOne, value: bytes, survey: Survey
) -> None:
    error = reject_one(value, survey)
    assert error.code is RejectionCode.FRAMING
    assert value[:8].hex(" ") in error.message


def test_an_empty_message_is_refused(reject_one: RejectOne) -> None:
    for survey in Survey:
        assert reject_one(b"", survey).code is RejectionCode.EMPTY
