"""Run another program so that it dies with its parent.

Run as ``python -I -S launch.py PARENT_PID PROGRAM ARGUMENT...``. It is a separate program, and not code
run between fork and exec, because that is unsafe once the parent has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent ends (on Linux; elsewhere nothing happens).

    Parameters
    ----------
    parent_pid
        Process id of the parent.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have ended before the request took effect.
    if os.getppid() != parent_pid:
        sys.exit(1)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    try:
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  the caller names the program
    except OSError as error:
        sys.exit(f"{sys.argv[2]}: {error.strerror}")
