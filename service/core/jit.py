"""Compiling loops with numba, with an on-disk cache that notices changes in other modules.

Reads the sources of this package for the stamp of that cache.
"""

import ast
import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.caching import IndexDataCacheFile
from numba.core.dispatcher import Dispatcher

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., object])

PACKAGE = Path(__file__).parents[1]


def compiled(function: Function) -> Function:
    """Compile a function of arrays and numbers to machine code at its first call.

    The machine code is cached in ``__pycache__``, or below ``NUMBA_CACHE_DIR`` if that is set (necessary
    where the package is installed read-only). Arithmetic is strict IEEE 754: operations are neither reordered
    nor fused, because the service promises equal results for equal input.

    Parameters
    ----------
    function
        Its arguments and result are of types that numba supports. The interpreter lock is released while it
        runs.

    Returns
    -------
    callable
        The compiled function, with the signature of `function`.
    """
    dispatcher = njit(cache=True, nogil=True, fastmath=False, error_model="numpy")(function)
    if isinstance(dispatcher, Dispatcher):  # not where NUMBA_DISABLE_JIT is set
        _stamp_cache(dispatcher)
    return cast("Function", dispatcher)


def _stamp_cache(dispatcher: Any) -> None:
    """Invalidate cached machine code whenever any source it was compiled from has changed.

    numba checks only the file of the function itself, but also compiles in helpers and constants from other
    files; after a change there it would continue to run the old code.
    """
    disk_cache = dispatcher._cache
    new_file: Any = IndexDataCacheFile
    stamp = _source_stamp(dispatcher.py_func.__module__)
    disk_cache._cache_file = new_file(disk_cache._cache_path, disk_cache._impl.filename_base, stamp)


@cache
def _source_stamp(module: str) -> str:
    """Return a digest over the sources of a module and all modules of this package that it imports."""
    pending, sources = [module], dict[str, bytes]()
    while pending:
        name = pending.pop()
        path = _source_path(name)
        if name not in sources and path is not None:
            sources[name] = path.read_bytes()
            pending += _imported(sources[name])
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(name.encode() + sources[name])
    return digest.hexdigest()


def _source_path(module: str) -> Path | None:
    """Return the file of a module of this package; None for any other name, such as a function's."""
    parts = module.split(".")
    if parts[0] != PACKAGE.name:
        return None
    path = PACKAGE.parent.joinpath(*parts)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _imported(source: bytes) -> Iterator[str]:
    """Yield every imported name that may be a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
