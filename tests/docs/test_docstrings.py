"""Docstrings: every example runs, and whatever is public has one.

The examples of a module run in a folder like a reader's (see conftest.py), with the names `musiczoo` and `np`.
docs/contributing/documentation.md tells how to write one.
"""

import ast
import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest
from public import ROOT, has_example, modules_with_examples, named, public

import musiczoo

WITHOUT = Path(__file__).with_name("without_example.txt")
"""Public objects that have no example yet. The list may only get shorter."""

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def marks(module: str) -> list[pytest.MarkDecorator]:
    if module.startswith(("musiczoo.models", "musiczoo.export")):
        return [pytest.mark.train]
    return [pytest.mark.scale] if module.startswith(("musiczoo.scale.dask", "musiczoo.scale.milvus")) else []


@pytest.mark.parametrize("module", [pytest.param(name, marks=marks(name)) for name in modules_with_examples()])
def test_examples_of(module: str, reader: Path) -> None:
    found = importlib.import_module(module)
    result = doctest.testmod(found, extraglobs={"musiczoo": musiczoo, "np": np}, optionflags=OPTIONS)
    assert result.failed == 0, "see the captured output"


def test_whatever_is_public_has_an_example() -> None:
    allowed = WITHOUT.read_text(encoding="utf-8").split()
    without = sorted(name for key in named() for name, text in public(key) if not has_example(text))
    assert [name for name in without if name not in allowed] == [], "add an example to the docstring"
    assert [name for name in allowed if name not in without] == [], f"take these off {WITHOUT.name}"


def test_whatever_is_exported_has_a_page() -> None:
    pages = {name.rpartition(".")[2] for name in named()}
    errors = {node.name for node in ast.parse((ROOT / "musiczoo" / "errors.py").read_text(encoding="utf-8")).body
              if isinstance(node, ast.ClassDef)}  # fmt: skip
    packages = [musiczoo, importlib.import_module("musiczoo.library")]
    exported = {name for package in packages for name in package.__all__} - {"__version__"}
    assert exported - errors - pages == set()
