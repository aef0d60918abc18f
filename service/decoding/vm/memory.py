"""Reading and writing memory by address, for compiled code.

Messages are passed as addresses of their first bytes, so that a batch of messages is one array of integers
and nothing is copied. Arrays are accessed in the same way, because numba counts references to an array in
every function it is passed to, which costs more than these functions do. Nothing is checked here: the caller
must ensure that the address is valid.
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
"""Offset of the data of a bytes object; ``__basicsize__`` includes a terminating zero byte."""

same_bytes: Callable[..., Any] = types.ExternalFunction(
    "memcmp", types.intc(types.voidptr, types.voidptr, types.uintp)
)
"""``memcmp`` of the C library: 0 if the given number of bytes at two pointers are equal."""


def _inlined(generator: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a generator of machine code as a function for compiled code."""
    return cast("Callable[..., Any]", intrinsic(generator))


def addresses_of(values: Sequence[bytes]) -> NDArray[np.int64]:
    """Return the addresses of the first bytes of values.

    Parameters
    ----------
    values
        n bytes objects, which must outlive the addresses.

    Returns
    -------
    ndarray, shape (n,), int64

    Raises
    ------
    TypeError
        If a value is not exactly of type bytes: other types may store their data elsewhere.
    """
    if not set(map(type, values)) <= {bytes}:
        raise TypeError("messages must be bytes")
    return np.fromiter(map(id, values), np.int64, len(values)) + BYTES_HEADER


@_inlined
def pointer(_context: Any, address: Any) -> Any:  # noqa: ARG001  numba reads the parameters
    """Convert an address to a pointer.

    Parameters
    ----------
    address
        int64.
    """

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


@_inlined
def load_u8(_context: Any, base: Any, offset: Any) -> Any:  # noqa: ARG001
    """Load the uint8 at a byte offset from a pointer, as int64.

    Parameters
    ----------
    base
        Pointer.
    offset
        int64, bytes.
    """

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.zext(_load(builder, arguments, ir.IntType(8)), ir.IntType(64))

    return types.int64(types.voidptr, types.int64), generate


@_inlined
def load_u64(_context: Any, base: Any, offset: Any) -> Any:  # noqa: ARG001
    """Load the uint64 at a byte offset from a pointer.

    Parameters
    ----------
    base
        Pointer.
    offset
        int64, bytes.
    """

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _load(builder, arguments, ir.IntType(64))

    return types.uint64(types.voidptr, types.int64), generate


@_inlined
def load_f32(_context: Any, base: Any, offset: Any) -> Any:  # noqa: ARG001
    """Load the float32 at a byte offset from a pointer, as float64.

    Parameters
    ----------
    base
        Pointer.
    offset
        int64, bytes.
    """

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fpext(_load(builder, arguments, ir.FloatType()), ir.DoubleType())

    return types.float64(types.voidptr, types.int64), generate


@_inlined
def load_f64(_context: Any, base: Any, offset: Any) -> Any:  # noqa: ARG001
    """Load the float64 at a byte offset from a pointer.

    Parameters
    ----------
    base
        Pointer.
    offset
        int64, bytes.
    """

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _load(builder, arguments, ir.DoubleType())

    return types.float64(types.voidptr, types.int64), generate


@_inlined
def element_i64(_context: Any, base: Any, index: Any) -> Any:  # noqa: ARG001
    """Load an element of an int64 array.

    Parameters
    ----------
    base
        Pointer to the first element.
    index
        int64.
    """

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(_element(builder, arguments, ir.IntType(64)))

    return types.int64(types.voidptr, types.int64), generate


@_inlined
def store_i64(_context: Any, base: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """Store an element of an int64 array.

    Parameters
    ----------
    base
        Pointer to the first element.
    index
        int64.
    value
        int64.
    """
    return types.void(types.voidptr, types.int64, types.int64), _store(ir.IntType(64))


@_inlined
def store_f64(_context: Any, base: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """Store an element of a float64 array.

    Parameters
    ----------
    base
        Pointer to the first element.
    index
        int64.
    value
        float64.
    """
    return types.void(types.voidptr, types.int64, types.float64), _store(ir.DoubleType())


@_inlined
def store_u8(_context: Any, base: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """Store an element of a uint8 array.

    Parameters
    ----------
    base
        Pointer to the first element.
    index
        int64.
    value
        int64, of which the lowest byte is stored.
    """
    return types.void(types.voidptr, types.int64, types.int64), _store(ir.IntType(8))


def _load(builder: Any, arguments: Any, kind: Any) -> Any:
    """Load a value of any alignment at a byte offset from a pointer."""
    location = builder.gep(arguments[0], [arguments[1]], source_etype=ir.IntType(8))
    return builder.load(builder.bitcast(location, kind.as_pointer()), align=1)


def _element(builder: Any, arguments: Any, kind: Any) -> Any:
    """Return the pointer to an element of an array."""
    return builder.gep(builder.bitcast(arguments[0], kind.as_pointer()), [arguments[1]])


def _store(kind: Any) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        value = arguments[2]
        if isinstance(kind, ir.IntType) and kind.width < 64:
            value = builder.trunc(value, kind)
        builder.store(value, _element(builder, arguments, kind))
        return context.get_dummy_value()

    return generate
