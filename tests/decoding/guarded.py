"""Memory between inaccessible pages: reading or writing a byte too far crashes the process."""

import ctypes
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAGE = mmap.PAGESIZE
PROT_NONE = 0  # sys/mman.h; Python's module does not name it

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class GuardedMemory:
    """A number of bytes, directly followed by a guard page, with another before the page they begin in."""

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        inner = -(-max(n_bytes, 1) // PAGE) * PAGE
        self._map = mmap.mmap(-1, inner + 2 * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        for guard in (start, start + PAGE + inner):
            if _libc.mprotect(guard, PAGE, PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")
        self.end = start + PAGE + inner

    def put(self, value: bytes) -> int:
        """Write a value so that it ends where the guard page begins; return its address."""
        assert len(value) <= self.n_bytes
        ctypes.memmove(self.end - len(value), value, len(value))
        return self.end - len(value)


_allocations: list[GuardedMemory] = []


def guarded_empty(n_elements: int, kind: type) -> NDArray[Any]:
    """Return an array that ends where a guard page begins; it is never freed."""
    n_bytes = n_elements * np.dtype(kind).itemsize
    memory = GuardedMemory(n_bytes)
    _allocations.append(memory)
    raw = memoryview((ctypes.c_ubyte * n_bytes).from_address(memory.end - n_bytes)).cast("B")
    return np.frombuffer(raw, np.dtype(kind))
