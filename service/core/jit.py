"""The one way this project compiles loops."""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., object])


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
    compile_function = njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
    return cast("Function", compile_function(function))
