"""The documentation builds, loads nothing from other hosts, and agrees with the code."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"

FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]+src=["']?(?:https?:)?//|@import|url\(["']?(?:https?:)?//"""
)
STYLE = re.compile(r"""<link[^>]+href=["']?(?:https?:)?//""")

# What maintainers look for, each with a definition in the module that the map of docs/architecture.md names.
CONCERNS = {
    "worker loop": "Worker",
    "commit order": "Worker.run",
    "compaction": "compact",
    "schema cache": "SchemaCache",
    "framing": "framing_of",
    "one survey's field rules": "map_alerts",
    "abstention": "AbstentionPolicy.reasons",
    "calibration": "Calibration.apply",
    "hanging transactions": "has_hanging_records",
    "in-flight object state": "ObjectUpdate",
    "shadow results and their REST": "get_shadow_classifications",
    "search": "find",
    "stored filters": "FilterSpec",
    "rate limits": "RateLimitMiddleware",
    "audit": "Auditor.run",
    "dead-letter replay": "DeadLetterReplay",
    "export's Parquet schema": "ARROW",
    "time conversion": "mjd_tai_of_mjd_utc",
    "class taxonomy": "CLASS_IDS",
    "featuriser": "Featuriser.encode",
    "transfer schemes": "Scheme",
    "simulator's cadence": "ZtfCadence.visits",
}
# | worker loop | `service/worker/loop.py` (`Worker`), ... |
MAP_ROW = re.compile(r"^\| (.+) \| (`.+`\)) \|$", re.MULTILINE)
MAP_ENTRY = re.compile(r"`([^`]+)` \(`([^`]+)`\)")
GLOSSARY_ROW = re.compile(r"^\| (.+) \| .+ \| `(.+)` \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(directory)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_built_without_a_warning(site: Path) -> None:
    built = {path.parent.name for path in site.glob("*/index.html")} | {"index"}
    assert built == {path.stem for path in DOCS.glob("*.md")}
    assert "confluent_kafka" in (site / "index.html").read_text(encoding="utf-8")


def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not FETCHED.search(text), page
        assert not STYLE.search(text), page
    assert len(pages) > 8


def test_the_commands_are_as_the_code_has_them() -> None:
    written = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert load("cli_reference").markdown() == written, "run `make docs`"
    assert "### nightjar listen" in written
    assert "### nightjar-train fit" in written


def definitions(path: Path) -> set[str]:
    """Return the functions, classes, methods and constants that a module defines, not those it imports."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                names.add(node.name)
            case ast.ClassDef():
                names.add(node.name)
                names |= {
                    f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)
                }
            case ast.Assign():
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


def architecture_map() -> dict[str, list[tuple[str, str]]]:
    """Return the map of docs/architecture.md: each concern with its modules, and a definition in each."""
    rows = MAP_ROW.findall((DOCS / "architecture.md").read_text(encoding="utf-8"))
    concerns = {concern: MAP_ENTRY.findall(entries) for concern, entries in rows}
    assert len(concerns) == len(rows), "a concern has two rows"
    return concerns


@pytest.mark.parametrize("concern", CONCERNS)
def test_concern_is_found_from_the_map_of_the_architecture_in_one_step(concern: str) -> None:
    modules = [ROOT / path for path, _ in architecture_map()[concern]]
    assert any(CONCERNS[concern] in definitions(module) for module in modules)


def test_every_module_of_the_map_defines_what_the_map_names() -> None:
    for concern, entries in architecture_map().items():
        for path, name in entries:
            assert name in definitions(ROOT / path), f"{concern}: {path} does not define {name}"


def test_every_path_of_the_architecture_exists() -> None:
    paths = set(re.findall(r"`((?:service|training|tests)/[^`\s]*)`", (DOCS / "architecture.md").read_text()))
    assert len(paths) > 50
    assert not [path for path in sorted(paths) if not (ROOT / path).exists()]


def test_glossary_defines_each_term_once_and_names_its_module() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    rows = GLOSSARY_ROW.findall(text)
    headings = text.count("| term | meaning | module |")
    assert len(rows) + headings == len(re.findall(r"^\| ", text, re.MULTILINE)), "a row names no module"
    terms = [term for term, _ in rows]
    assert len(terms) >= 40
    assert len(set(terms)) == len(terms)
    assert not [f"{term}: {module}" for term, module in rows if not (ROOT / module).is_file()]
