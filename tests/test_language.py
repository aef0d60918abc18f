"""Names use the terms of the glossary, and docstrings begin with what a function returns or does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for package in ("service", "training") for path in (ROOT / package).rglob("*.py"))

# Former names of concepts: docs/glossary.md has the terms that replace them.
FORMER_WORDS = {
    "anew",
    "aside",
    "begun",
    "beside",
    "besides",
    "settle",
    "settled",
    "settles",
    "settling",
    "unmarked",
    "unsettled",
}
# A docstring says what a function returns or does: "Return the light curve", not "Give the light curve".
FORMER_BEGINNING = re.compile(r"(?:Give|Say)s?\b")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def words_of(name: str) -> set[str]:
    """Return the words of an identifier in lower case; ``_read_settled`` and ``ReadSettled`` agree."""
    return {word.lower() for word in WORD.findall(name)}


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every name in a module that its authors chose, each with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.keyword(arg=str(name)):
                yield node.value.lineno, name
            case ast.alias(name=name, asname=other):
                yield node.lineno, f"{name}.{other}"


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every docstring of a module, each with the line of what it documents."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""


def test_words_of_an_identifier() -> None:
    assert words_of("_read_settled_rows2") == {"read", "settled", "rows"}
    assert words_of("HTTPBodySettled") == {"http", "body", "settled"}
    assert words_of("NOT_BEGUN") == {"not", "begun"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_uses_standard_terms(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not words_of(str(path.relative_to(ROOT))) & FORMER_WORDS
    names = [f"line {line}: {name}" for line, name in identifiers(tree) if words_of(name) & FORMER_WORDS]
    assert not names
    texts = [
        f"line {line}: {text.splitlines()[0]}"
        for line, text in docstrings(tree)
        if FORMER_BEGINNING.match(text)
    ]
    assert not texts
