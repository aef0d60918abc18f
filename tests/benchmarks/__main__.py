"""``python -m tests.benchmarks all`` or a benchmark's name, with its own options behind it."""

import subprocess
import sys
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main(arguments: list[str]) -> int:
    """Run benchmarks one after the other, each in a process of its own, so that none warms another up."""
    wanted, options = arguments[:1] or ["all"], arguments[1:]
    if wanted == ["all"]:
        wanted = NAMES
    unknown = set(wanted) - set(NAMES)
    if unknown:
        sys.stderr.write(f"no benchmark {', '.join(unknown)}: choose all or one of {', '.join(NAMES)}\n")
        return 2
    codes = []
    for name in wanted:
        sys.stderr.write(f"== {name}\n")
        command = [sys.executable, "-m", f"tests.benchmarks.{name}", *options]
        codes.append(subprocess.run(command, check=False).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
