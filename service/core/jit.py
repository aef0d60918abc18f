"""The one way this project compiles loops."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.caching import IndexDataCacheFile
from numba.core.dispatcher import Dispatcher

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., object])

_SERVICE = Path(__file__).parents[1]
_PACKAGES_WITH_COMPILED_CODE = ("core", "decoding")


def compiled(function: Function) -> Function:
    """Compile a function of arrays and numbers to machine code at its first call.

    The code is kept on disk beside the module, or below ``NUMBA_CACHE_DIR`` where that is set (as it has
    to be where the package is installed read-only). Arithmetic is strict IEEE 754: operations are
    neither reordered nor fused, since equal results for equal input is what the service promises.

    Parameters
    ----------
    function
        Takes and returns what numba understands; releases the interpreter lock while it runs.
    """
    dispatcher = njit(cache=True, nogil=True, fastmath=False, error_model="numpy")(function)
    if isinstance(dispatcher, Dispatcher):  # not where NUMBA_DISABLE_JIT is set
        _stamp_cache(dispatcher)
    return cast("Function", dispatcher)


def _stamp_cache(dispatcher: Any) -> None:
    """Keep code on disk only as long as nothing it may be made of has changed.

    numba looks at the function's own file, but compiles in what that takes from other files: helpers and
    constants. After a change there it would go on running the old code.
    """
    kept = dispatcher._cache
    new_file: Any = IndexDataCacheFile
    kept._cache_file = new_file(kept._cache_path, kept._impl.filename_base, _source_stamp())


@cache
def _source_stamp() -> str:
    """Digest all source that compiled code may be made of (some 70 files, 2 ms)."""
    digest = hashlib.sha256()
    for package in _PACKAGES_WITH_COMPILED_CODE:
        for path in sorted((_SERVICE / package).rglob("*.py")):
            digest.update(str(path.relative_to(_SERVICE)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
