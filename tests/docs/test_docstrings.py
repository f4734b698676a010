"""Docstrings: every example runs, and every public object has one.

The examples of a module run in a folder like a reader's (see conftest.py), with the names `musiczoo` and `np`.
docs/contributing/documentation.md tells how to write one.
"""

import ast
import doctest
import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from public import ROOT, has_example, modules_with_examples, named, public

import musiczoo
from musiczoo.errors import MissingDependencyError

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

OF_A_RUN = ("musiczoo.export.run", "musiczoo.export.litert")
"""Modules whose examples export ``runs/mine``."""


ALL_BLOCKS = (
    *("musiczoo.models.encoder", "musiczoo.models.presets"),
    *("musiczoo.models.initialization", "musiczoo.models.finetuning"),
)
"""Modules whose examples name late blocks of the encoder, or load published weights into it. Two do for all others."""


def marks(module: str) -> list[pytest.MarkDecorator]:
    if module.startswith(("musiczoo.models", "musiczoo.export")):
        return [pytest.mark.train]
    if module == "musiczoo.datasets.open_music.loader":
        return [pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")]
    return [pytest.mark.scale] if module.startswith(("musiczoo.scale.dask", "musiczoo.scale.milvus")) else []


@pytest.fixture
def small_encoder() -> Iterator[None]:
    """Encoders of few blocks."""
    from tiny_run import few_blocks

    with few_blocks():
        yield


@pytest.mark.parametrize("module", [pytest.param(name, marks=marks(name)) for name in modules_with_examples()])
def test_examples_of(module: str, reader: Path, request: pytest.FixtureRequest) -> None:
    if module.startswith(("musiczoo.models", "musiczoo.export")) and module not in ALL_BLOCKS:
        request.getfixturevalue("small_encoder")
    if module in OF_A_RUN:
        shutil.copytree(request.getfixturevalue("run"), reader / "runs" / "mine")
    try:
        found = importlib.import_module(module)
    except MissingDependencyError as error:
        pytest.skip(str(error))  # dask and pymilvus: make scale
    result = doctest.testmod(found, extraglobs={"musiczoo": musiczoo, "np": np}, optionflags=OPTIONS)
    assert result.failed == 0, "see the captured output"


def test_whatever_is_public_has_an_example() -> None:
    without = sorted(name for key in named() for name, text in public(key) if not has_example(text))
    assert without == [], "add an example to the docstring"


def test_whatever_is_exported_has_a_page() -> None:
    pages = {name.rpartition(".")[2] for name in named()}
    errors = {node.name for node in ast.parse((ROOT / "musiczoo" / "errors.py").read_text(encoding="utf-8")).body
              if isinstance(node, ast.ClassDef)}  # fmt: skip
    packages = [musiczoo, importlib.import_module("musiczoo.library")]
    exported = {name for package in packages for name in package.__all__} - {"__version__"}
    assert exported - errors - pages == set()
