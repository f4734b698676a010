"""The published models and one that was exported and published before version 0.1.0: the same graphs and numbers."""

import json
from pathlib import Path

import golden
import numpy as np
import onnxruntime
import pytest

import musiczoo

MODEL = "disentangled-classification"
QUIET = pytest.mark.filterwarnings("ignore::musiczoo.QuietAudioWarning")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return golden.unpack("zoo", tmp_path) / "tiny"


def check_numbers(model: musiczoo.Model, name: str) -> None:
    with np.load(golden.DATA / f"vectors-{name}.npz") as expected:
        for i, song in enumerate(golden.SONGS):
            track = model.analyze(golden.DATA / "songs" / song)
            np.testing.assert_allclose(track.embedding, expected["embedding"][i], rtol=0, atol=golden.TOLERANCE)
            tags = list(track.tags.values())
            np.testing.assert_allclose(tags, expected["tags"][i], rtol=0, atol=golden.TOLERANCE)


@QUIET
def test_the_default_model_gives_the_same_embeddings_and_tags() -> None:
    check_numbers(musiczoo.load(MODEL), "default")


@QUIET
def test_a_published_model_loads_and_gives_the_same_embeddings_and_tags(tiny: Path) -> None:
    check_numbers(musiczoo.load(tiny), "tiny")


def test_an_export_can_be_published(here: Path, tiny: Path) -> None:
    """Its folder is what `musiczoo export` wrote; what comes out loads, with the same graph."""
    golden.unpack("exported", here)
    golden.run_text("publish", "exported", "--zoo", "new")
    assert (here / "new/tiny/model.onnx").read_bytes() == (tiny / "model.onnx").read_bytes()
    found, expected = (json.loads((folder / "card.json").read_text()) for folder in (here / "new/tiny", tiny))
    for card in (found, expected):
        del card["files"]["README.md"]  # prose
    golden.check(found, expected)
    assert musiczoo.load(here / "new" / "tiny").card.space_id == expected["space_id"]


@pytest.mark.parametrize("path", sorted((golden.DATA / "onnx").iterdir()), ids=lambda path: path.stem)
def test_published_graphs_keep_their_inputs_outputs_and_metadata(path: Path) -> None:
    name, _, file = path.stem.rpartition("-")
    graph = Path(musiczoo.__file__).parent / "zoo" / name / f"{file}.onnx"
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    expected = json.loads(path.read_text(encoding="utf-8"))
    for way, nodes in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        assert {node.name: [node.type, node.shape] for node in nodes} == expected[way]
    metadata = session.get_modelmeta().custom_metadata_map
    found = {key: json.loads(value) for key, value in metadata.items()}
    if (golden.DATA / "weights" / name).exists():  # the weights were replaced, and only they
        for key in ("musiczoo.version", "musiczoo.space_id"):
            assert found.pop(key) != expected["metadata"].pop(key)
    golden.check(found, expected["metadata"])


def test_tag_says_the_same(here: Path) -> None:
    golden.copy("songs", here)
    found, expected = golden.run("tag", *(f"songs/{song}" for song in golden.SONGS), "--json"), "cli/tag.json"
    golden.check(found, golden.load(expected))
    assert [track["path"] for track in found] == [f"songs/{song}" for song in golden.SONGS]
    golden.check(golden.run("tag", "songs/broken.mp3", "--json", code=1), golden.load("cli/tag-failed.json"))


def test_tag_says_the_same_with_another_model(here: Path, tiny: Path) -> None:
    golden.copy("songs", here)
    found = golden.run("tag", "songs/Anna/First/1.ogg", "--model", tiny, "--json")
    golden.check(found, golden.load("cli/tag-tiny.json"))


def test_models_are_listed_the_same() -> None:
    """But for the headline metric, which stands for nothing that a file holds."""
    found, expected = golden.run("models", "--json"), golden.load("cli/models.json")
    assert all(isinstance(value, float) for model in found for value in model.pop("metric").values())
    for model in expected:
        del model["metric"]
        golden.check(next(other for other in found if other["name"] == model["name"]), model)
