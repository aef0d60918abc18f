"""Numbers and texts, read by machine code."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.jit import compiled
from service.decoding.vm.memory import addresses_of, pointer
from service.decoding.vm.primitives import BAD_NUMBER, TRUNCATED, is_utf8, read_varint


@compiled
def utf8_of(address: int, length: int) -> bool:
    return bool(is_utf8(pointer(address), 0, length))


@compiled
def varint_of(address: int, length: int) -> tuple[int, int]:
    number, position = read_varint(pointer(address), 0, length)
    return number, position


# A surrogate, zeros of two and three bytes, a code point beyond Unicode, and two valid characters.
ODD_CHARACTERS = [
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xf4\x90\x80\x80",
    b"a",
    b"\xf0\x9f\x98\x80",
]

TEXTS = st.one_of(
    st.text(max_size=40).map(str.encode),
    st.binary(max_size=40),
    st.lists(st.sampled_from(ODD_CHARACTERS)).map(b"".join),
)


@given(TEXTS)
@settings(max_examples=1500)
def test_a_text_is_utf8_where_python_says_so(value: bytes) -> None:
    try:
        value.decode()
        expected = True
    except UnicodeDecodeError:
        expected = False
    (address,) = addresses_of([value])
    assert utf8_of(int(address), len(value)) is expected


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=3))
def test_a_number_is_read_as_it_was_written(number: int, rest: bytes) -> None:
    written = varint_64(number)
    value = written + rest
    (address,) = addresses_of([value])
    assert varint_of(int(address), len(value)) == (number, len(written))
    for length in range(len(written)):
        assert varint_of(int(address), length)[1] == -TRUNCATED


@pytest.mark.parametrize("value", [b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x00", b"\xff" * 20])
def test_a_number_of_more_than_64_bits_is_none(value: bytes) -> None:
    (address,) = addresses_of([value])
    assert varint_of(int(address), len(value))[1] == -BAD_NUMBER


def varint_64(number: int) -> bytes:
    zigzag = number << 1 if number >= 0 else (-number << 1) - 1
    result = bytearray()
    while zigzag > 0x7F:
        result.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*result, zigzag])
