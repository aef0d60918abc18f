"""Reading a Dockerfile, and doing what its build stages do in a directory instead of a container."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.composition import ROOT

__all__ = ["Build", "Instruction", "allowed_by_dockerignore", "instructions"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    arguments: str

    @property
    def words(self) -> list[str]:
        return [word for word in self.arguments.split() if not word.startswith("--")]

    @property
    def copies_from_stage(self) -> bool:
        return "--from=" in self.arguments


def instructions(path: Path) -> Iterator[Instruction]:
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            name, _, arguments = line.strip().partition(" ")
            yield Instruction(name.upper(), arguments.strip())


def allowed_by_dockerignore(path: str) -> bool:
    """Whether a file reaches the builder: the last pattern that fits it, or a directory above it, decides."""
    allowed = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        takes, pattern = pattern.startswith("!"), pattern.removeprefix("!").removeprefix("**/")
        parts = Path(path).parts
        above = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        if any(fnmatch.fnmatch(name, pattern) for name in [*above, *parts]):
            allowed = takes
    return allowed


@dataclass(slots=True)
class Build:
    """The build stages of a Dockerfile, done below a directory.

    Parameters
    ----------
    root
        Stands for the file system of the stages; every later stage goes on in it.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    _directory: Path = field(init=False)

    def __post_init__(self) -> None:
        self._directory = self.root

    def run(self, dockerfile: Path) -> None:
        """Execute the stages up to the last one, which only puts together what they made."""
        for instruction in stages_but_the_last(dockerfile):
            match instruction.name:
                case "WORKDIR":
                    self._directory = self.here(instruction.arguments)
                    self._directory.mkdir(parents=True, exist_ok=True)
                case "ENV":
                    pairs = (word.split("=", 1) for word in instruction.words)
                    self.environment |= {name: self.localised(value) for name, value in pairs}
                case "COPY":
                    self._copy(*instruction.words)
                case "RUN":
                    self.shell(instruction.arguments)
                case name:
                    assert name in {"FROM", "ARG"}, name

    def here(self, path: str) -> Path:
        return self.root / path.removeprefix("/")

    def localised(self, text: str) -> str:
        return re.sub(r"(?<![\w.])/(?=opt/|src\b)", f"{self.root}/", text)

    def shell(self, line: str) -> str:
        """Run a line as the builder's shell would."""
        inherited = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        done = subprocess.run(
            ["sh", "-ec", self.localised(line)],
            cwd=self._directory,
            env={**inherited, "PATH": path, "HOME": str(self.root), **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def _copy(self, *words: str) -> None:
        *sources, target = words
        for source in sources:
            origin, destination = ROOT / source, self._directory / target
            if origin.is_file():
                shutil.copy(origin, destination)
                continue
            for file in sorted(origin.rglob("*")):
                name = file.relative_to(ROOT)
                if file.is_file() and allowed_by_dockerignore(str(name)):
                    place = destination / file.relative_to(origin)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file, place)


def stages_but_the_last(dockerfile: Path) -> list[Instruction]:
    found = list(instructions(dockerfile))
    last = max(index for index, instruction in enumerate(found) if instruction.name == "FROM")
    return found[:last]
