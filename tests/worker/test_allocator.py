"""A worker's allocator keeps what is freed; each case is a process whose allocator is untouched."""

import platform
import subprocess
import sys

import pytest

# Takes and frees messages as a batch does, many times over, and counts the pages that had to be cleared.
PROGRAM = """
import resource
from service.worker.allocator import keep_freed_memory
if {kept}:
    keep_freed_memory()
def batch():
    return [bytes(bytearray(110_000)) for _ in range(100)]
batch(), batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(*, kept: bool) -> int:
    code = PROGRAM.format(kept=kept)
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told anything")
def test_freed_memory_is_used_again() -> None:
    assert page_faults(kept=True) * 10 < page_faults(kept=False)
