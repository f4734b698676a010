"""docs/reference/onnx.md is right: its example is computed again, its keys and sizes are those of the files."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from toy import CARD

import musiczoo
from musiczoo import audio, registry
from musiczoo.card import FORMAT, MODEL_FILE
from musiczoo.track import summarise

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "onnx.md"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """The JSON of the page."""
    found = re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    values: dict[str, Any] = json.loads(found[1])
    return values


@pytest.fixture(scope="module")
def card(example: dict[str, Any]) -> musiczoo.ModelCard:
    """The card of the page's toy model."""
    return dataclasses.replace(
        CARD,
        sample_rate=example["sample_rate"],
        excerpt_samples=example["excerpt_samples"],
        embedding_size=4,
        spaces={name: tuple(columns) for name, columns in example["spaces"].items()},
        tags=tuple(example["tags"]),
        dimensions={"genre": ("rock", "funk"), "mood": ("sad",)},
        thresholds=example["thresholds"],
    )


def test_track_of_the_example(example: dict[str, Any], card: musiczoo.ModelCard) -> None:
    track = summarise(
        card,
        np.array(example["starts_s"]),
        np.array(example["excerpt_embeddings"], np.float32),
        np.array(example["excerpt_tags"], np.float32),
        path=None,
        duration_s=example["song_samples"] / card.sample_rate,
    )
    np.testing.assert_allclose(track.tags.probabilities, example["track_tags"], atol=1e-6)
    assert [tag.name for tag in track.tags.above_threshold()] == example["above_threshold"]
    np.testing.assert_allclose(track.embedding, example["track_embedding"], atol=1e-6)


def test_excerpts_of_the_example(example: dict[str, Any]) -> None:
    rate = 22050  # of a real model: 4 Hz is no audio
    framing = dataclasses.replace(CARD, sample_rate=rate, excerpt_samples=3 * rate)
    samples = np.zeros(round(example["song_samples"] / example["sample_rate"] * rate), np.float32)
    assert example["excerpt_samples"] == 3 * example["sample_rate"]
    starts = [start for start, _ in audio.excerpts(samples, framing, hop_s=3, source_rate=rate)]
    assert starts == example["starts_s"]


def test_similarity_of_the_example(example: dict[str, Any]) -> None:
    x, y = np.array(example["track_embedding"]), np.array(example["other_embedding"])
    unit = {
        s: (x[a:b] / np.linalg.norm(x[a:b]), y[a:b] / np.linalg.norm(y[a:b])) for s, (a, b) in example["spaces"].items()
    }
    cosines = {name: float(u @ v) for name, (u, v) in unit.items()}
    assert cosines == pytest.approx(example["cosines"], abs=1e-7)
    weights = example["weights"]
    assert sum(weights[s] * cosines[s] for s in cosines) / 3 == pytest.approx(example["score"], abs=1e-7)
    assert x @ y == pytest.approx(example["score_without_weights"], abs=1e-7)
    scaled = np.concatenate([2 * weights[s] / 3 * x[a:b] for s, (a, b) in example["spaces"].items()])
    assert scaled @ y == pytest.approx(example["score"], abs=1e-7)
    assert unit["genre"][0] @ np.array(example["tag_point_of_rock"])[:2] == pytest.approx(
        example["cosine_to_rock"], abs=1e-7
    )


def test_keys_of_the_page_are_those_of_the_files() -> None:
    told = set(re.findall(r"`(musiczoo\.[a-z_]+)`", PAGE.read_text(encoding="utf-8")))
    assert told == set(CARD.metadata()) | {"musiczoo.precision"}
    assert f"Version {FORMAT} " in PAGE.read_text(encoding="utf-8")
    for name in musiczoo.list_models():
        proto = onnx.load_model(str(registry.find(name) / MODEL_FILE))
        assert {prop.key for prop in proto.metadata_props} == told - {"musiczoo.precision"}
        assert {opset.domain or "ai.onnx": opset.version for opset in proto.opset_import}["ai.onnx"] == 17
        assert {node.domain for node in proto.graph.node} <= {"", "ai.onnx"}
