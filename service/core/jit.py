"""The one way this project compiles loops."""

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
    stamp = _source_stamp(dispatcher.py_func.__module__)
    kept._cache_file = new_file(kept._cache_path, kept._impl.filename_base, stamp)


@cache
def _source_stamp(module: str) -> str:
    """Digest the source of a module and of all modules of this package that it imports."""
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
    """Find a module of this package; what else has the name of one, a function for instance, has none."""
    parts = module.split(".")
    if parts[0] != PACKAGE.name:
        return None
    path = PACKAGE.parent.joinpath(*parts)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _imported(source: bytes) -> Iterator[str]:
    """Name all that may be a module among what a source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
