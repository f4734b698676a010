"""A prepared data set, and its songs with their table, from before version 0.1.0."""

import json
from pathlib import Path

import golden
import numpy as np
import pytest


def test_models_are_measured_on_it_with_the_same_results(here: Path) -> None:
    golden.prepared(here)
    found = golden.run("evaluate", "--data", "prepared", "--split", "train", "--json")
    golden.check(found, golden.load("cli/evaluate.json"))


def test_the_songs_are_checked_the_same(here: Path) -> None:
    golden.copy("songs", here)
    found = golden.run("data", "check", "folder", "--root", "songs", "--json", code=1)
    golden.check(found, golden.load("cli/data-check.json"))


def test_data_sets_are_listed_the_same() -> None:
    expected = golden.load("cli/data-list.json")
    found = {entry["name"]: entry for entry in golden.run("data", "list", "--json")}
    assert all(entry.keys() <= found[entry["name"]].keys() for entry in expected)


@pytest.mark.train
def test_preparing_it_again_finds_nothing_to_do(here: Path) -> None:
    """And preparing it elsewhere gives the same index, annotations and log-mels."""
    pytest.importorskip("tensorflow")
    golden.copy("songs", here)
    old = golden.prepared(here)
    times = {path: path.stat().st_mtime_ns for path in old.glob("l*/**/*.npy")}
    golden.run_text("data", "prepare", "folder", "--root", "songs", "--out", "prepared")
    assert {path: path.stat().st_mtime_ns for path in times} == times
    golden.run_text("data", "prepare", "folder", "--root", "songs", "--out", "again")
    assert json.loads((here / "again/index.json").read_text()) == golden.load("prepared/index.json")
    for path in (here / "again").glob("l*/**/*.npy"):
        expected = np.load(golden.DATA / "prepared" / path.relative_to(here / "again"))
        np.testing.assert_allclose(np.load(path), expected, rtol=0, atol=2e-3)  # float16 up to 2
    assert len(list((here / "again").glob("l*/**/*.npy"))) == 12
