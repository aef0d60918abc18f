"""The documentation builds, leads nowhere but to itself, and says what the code says."""

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
