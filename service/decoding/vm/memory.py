"""Reading and writing memory by its address, for compiled code.

A message is known by the address of its first byte, so that a batch of messages is one array of addresses
and nothing is copied. Arrays are written in the same way, since numba counts references to an array in
every function that it is passed to, which costs more than what these functions do. Nothing here checks
anything: whoever calls has made sure that the memory is there.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = [
    "addresses_of",
    "element_i64",
    "load_f32",
    "load_f64",
    "load_u8",
    "load_u64",
    "pointer",
    "same_bytes",
    "store_f64",
    "store_i64",
    "store_u8",
]

BYTES_HEADER = bytes.__basicsize__ - 1
"""Where the data of a bytes object begin: behind its header, of which the size counts a final zero byte."""

same_bytes: Callable[..., Any] = types.ExternalFunction(
    "memcmp", types.intc(types.voidptr, types.voidptr, types.uintp)
)
"""The C library's comparison: 0 if so many bytes at two pointers are equal."""


def _inlined(generator: Callable[..., Any]) -> Callable[..., Any]:
    """Take what generates machine code as a function of compiled code."""
    return cast("Callable[..., Any]", intrinsic(generator))


def addresses_of(values: Sequence[bytes]) -> NDArray[np.int64]:
    """Give the address of each value's first byte; valid for as long as the values are kept.

    Raises
    ------
    TypeError
        If a value is of another type, which may keep its data elsewhere.
    """
    if not set(map(type, values)) <= {bytes}:
        raise TypeError("messages have to be bytes")
    return np.fromiter(map(id, values), np.int64, len(values)) + BYTES_HEADER


@_inlined
def pointer(_context: Any, address: Any) -> Any:  # noqa: ARG001  numba reads the parameters
    """Make a pointer of an address (int64)."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


@_inlined
def load_u8(_context: Any, base: Any, offset: Any) -> Any:  # noqa: ARG001
    """Read the byte at an offset from a pointer; int64."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.zext(_loaded(builder, arguments, ir.IntType(8)), ir.IntType(64))

    return types.int64(types.voidptr, types.int64), generate


@_inlined
def load_u64(_context: Any, base: Any, offset: Any) -> Any:  # noqa: ARG001
    """Read eight bytes at an offset from a pointer; uint64."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _loaded(builder, arguments, ir.IntType(64))

    return types.uint64(types.voidptr, types.int64), generate


@_inlined
def load_f32(_context: Any, base: Any, offset: Any) -> Any:  # noqa: ARG001
    """Read the four bytes of a float at an offset from a pointer; float64."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fpext(_loaded(builder, arguments, ir.FloatType()), ir.DoubleType())

    return types.float64(types.voidptr, types.int64), generate


@_inlined
def load_f64(_context: Any, base: Any, offset: Any) -> Any:  # noqa: ARG001
    """Read the eight bytes of a double at an offset from a pointer; float64."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _loaded(builder, arguments, ir.DoubleType())

    return types.float64(types.voidptr, types.int64), generate


@_inlined
def element_i64(_context: Any, base: Any, index: Any) -> Any:  # noqa: ARG001
    """Read an element of an array of integers; int64."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(_element(builder, arguments, ir.IntType(64)))

    return types.int64(types.voidptr, types.int64), generate


@_inlined
def store_i64(_context: Any, base: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """Write an element of an array of integers."""
    return types.void(types.voidptr, types.int64, types.int64), _stored(ir.IntType(64))


@_inlined
def store_f64(_context: Any, base: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """Write an element of an array of float64."""
    return types.void(types.voidptr, types.int64, types.float64), _stored(ir.DoubleType())


@_inlined
def store_u8(_context: Any, base: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """Write an element of an array of bytes."""
    return types.void(types.voidptr, types.int64, types.int64), _stored(ir.IntType(8))


def _loaded(builder: Any, arguments: Any, kind: Any) -> Any:
    """Load from a pointer and an offset, of any alignment."""
    place = builder.gep(arguments[0], [arguments[1]], source_etype=ir.IntType(8))
    return builder.load(builder.bitcast(place, kind.as_pointer()), align=1)


def _element(builder: Any, arguments: Any, kind: Any) -> Any:
    """Point to an element of an array."""
    return builder.gep(builder.bitcast(arguments[0], kind.as_pointer()), [arguments[1]])


def _stored(kind: Any) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        value = arguments[2]
        if isinstance(kind, ir.IntType) and kind.width < 64:
            value = builder.trunc(value, kind)
        builder.store(value, _element(builder, arguments, kind))
        return context.get_dummy_value()

    return generate
