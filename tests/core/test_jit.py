"""Cached machine code is never older than the sources it was compiled from."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[2] / "service"
CALLER = """
from service.core.jit import compiled
from service.core.callee import TERM, twice


@compiled
def answer(number: int) -> int:
    return twice(number) + TERM
"""
CALLEE = """
from service.core.jit import compiled

TERM = {term}


@compiled
def twice(number: int) -> int:
    return {factor} * number
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a directory with a separate service package that contains nothing but `service.core.jit`."""
    core = tmp_path / "service" / "core"
    core.mkdir(parents=True)
    for package in (core, core.parent):
        (package / "__init__.py").touch()
    shutil.copy(SERVICE / "core" / "jit.py", core)
    (core / "caller.py").write_text(CALLER)
    (core / "callee.py").write_text(CALLEE.format(term=1, factor=2))
    return tmp_path


def answer_of_new_process(directory: Path) -> tuple[int, int]:
    """Return ``answer(10)`` and the number of functions compiled for it."""
    code = (
        "from service.core import caller; print(caller.answer(10), "
        "sum(caller.answer.stats.cache_misses.values()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(directory), "NUMBA_CACHE_DIR": str(directory / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    number, misses = done.stdout.split()
    return int(number), int(misses)


def test_compiled_code_is_kept_until_a_helper_or_constant_in_another_file_changes(copy: Path) -> None:
    assert answer_of_new_process(copy) == (21, 1)
    assert answer_of_new_process(copy) == (21, 0)
    (copy / "service" / "core" / "callee.py").write_text(CALLEE.format(term=5, factor=3))
    assert answer_of_new_process(copy) == (35, 1)
