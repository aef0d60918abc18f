"""Every promise of the documentation names a test, and every test that it names exists."""

import ast
import re
from functools import cache

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) > 30
    for path, name in named:
        assert name in functions_of(path), f"{path}::{name}"
        assert name.startswith("test_")


def test_every_promise_names_a_test() -> None:
    promises = re.findall(r"^- .*(?:\n  .*)*", PAGE, re.MULTILINE)
    assert len(promises) > 25
    for promise in promises:
        assert NAMED.search(promise), promise
