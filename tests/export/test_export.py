"""From a run folder to an export folder, all or nothing."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
import onnx
from tiny import TINY_CARD, excerpts, tiny_model
from toy import music, write_audio

import musiczoo
from musiczoo.card import CARD_FILE, MODEL_FILE, POINTS_FILE, read_card
from musiczoo.datasets.prepared import Store, TrackEntry
from musiczoo.errors import DatasetError, InputError, ParityError, TrainingError
from musiczoo.export import run as module
from musiczoo.export.publish import publish
from musiczoo.export.run import PARITY_FILE, SAVED_MODEL_FOLDER, export_run, validation_excerpts
from musiczoo.taxonomy import dimension_of

pytestmark = pytest.mark.train


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder that names a data set of three tracks; its model is the tiny one."""
    tracks = []
    (tmp_path / "data" / "audio").mkdir(parents=True)
    for i, split in enumerate(("train", "validation", "validation")):
        write_audio(tmp_path / "data" / "audio" / f"{i}.wav", music(4, seed=i))
        tracks.append(TrackEntry(f"{i}", split, f"{i}.wav", 4.0, 172, "", "", "", "CC0", "toy"))
    Store(tmp_path / "data", "toy", {"n_mels": 128}, tuple(tracks)).save()
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"data": str(tmp_path / "data")}))
    monkeypatch.setattr(module, "load_run", lambda _: (tiny_model(), TINY_CARD))
    return folder


def test_export_then_publish(run: Path, tmp_path: Path) -> None:
    report = export_run(run, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == sorted([SAVED_MODEL_FOLDER, MODEL_FILE, POINTS_FILE, CARD_FILE, PARITY_FILE])
    assert json.loads((tmp_path / "out" / PARITY_FILE).read_text()) == report
    assert report["excerpts"] == 2
    assert read_card(tmp_path / "out") == TINY_CARD
    assert 0 < report["float16"]["trained-rounded"]["tags"] < 1e-2
    assert publish(tmp_path / "out", tmp_path / "zoo").name == "tiny"


def test_tags_have_points_that_score_like_the_tags(run: Path, tmp_path: Path) -> None:
    """The cosine with a tag's point, in its space, orders excerpts as its probability does."""
    export_run(run, tmp_path / "out", excerpts(2))
    model = musiczoo.load(publish(tmp_path / "out", tmp_path / "zoo"))
    points, audio = model.tag_points(), excerpts(9)
    assert points is not None
    embeddings, tags = model.embed(audio).astype(float), model.tag(audio)
    for z, tag in enumerate(model.card.tags):
        start, stop = model.card.spaces[dimension_of(tag)]
        assert np.linalg.norm(points[z, start:stop]) == pytest.approx(1, abs=1e-6)
        assert np.linalg.norm(points[z]) == pytest.approx(1, abs=1e-6)
        centroid = np.log(tags[:, z] / (1 - tags[:, z])).astype(float)
        cosine = embeddings @ points[z]
        slope = np.polyfit(cosine, centroid, 1)
        assert slope[0] > 0
        np.testing.assert_allclose(np.polyval(slope, cosine), centroid, atol=2e-3)


def test_a_name_and_a_version_of_its_own_are_in_card_and_graph(run: Path, tmp_path: Path) -> None:
    export_run(run, tmp_path / "out", excerpts(2), name="mine", version="7.1")
    assert read_card(tmp_path / "out") == dataclasses.replace(TINY_CARD, name="mine", version="7.1")
    metadata = {prop.key: prop.value for prop in onnx.load(tmp_path / "out" / MODEL_FILE).metadata_props}
    assert metadata["musiczoo.name"] == '"mine"'
    assert metadata["musiczoo.version"] == '"7.1"'


def test_export_replaces_an_earlier_export_and_nothing_else(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / PARITY_FILE).write_text("{}")
    (out / "old").write_text("of the earlier export")
    export_run(run, out, excerpts(2))
    assert (out / MODEL_FILE).exists()
    assert not (out / "old").exists()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(InputError, match="earlier export"):
        export_run(run, tmp_path / "thesis", excerpts(2))
    assert (tmp_path / "thesis" / "chapter1.tex").exists()


def test_failed_gate_writes_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: keras.Model, *rest: object) -> None:
        weights = model.layers[-1].get_layer("convolution1").kernel
        weights.assign(weights * 1.5)
        real(model, *rest)
        weights.assign(weights / 1.5)

    real = module.export_onnx
    monkeypatch.setattr(module, "export_onnx", wrong)
    with pytest.raises(ParityError, match="from keras and onnx"):
        export_run(run, tmp_path / "out", excerpts(2))
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "run"]


def test_weights_that_float16_cannot_hold_are_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Centroids so small that float16 makes them zero, and a calibration that makes up for it."""
    model = tiny_model()
    calibration = next(layer for layer in model.layers[-1].layers if layer.name.startswith("calibration"))
    centroids = next(layer for layer in model.layers[-1].layers if layer.name.startswith("centroids"))
    centroids.centroids.assign(centroids.centroids * 1e-8)
    calibration.scale.assign(calibration.scale * 1e8)
    monkeypatch.setattr(module, "load_run", lambda _: (model, TINY_CARD))
    with pytest.raises(ParityError, match=r"from trained and rounded within 0\.02"):
        export_run(run, tmp_path / "out", excerpts(2))


def test_excerpts_of_another_length_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[N, 66150\], got shape \(2, 100\)"):
        export_run(run, tmp_path / "out", np.zeros((2, 100), np.float32))


def test_the_gate_reads_the_validation_split(run: Path) -> None:
    """The middle of 4 s is 0.5 to 3.5 s: `music` at that place, to 16-bit precision."""
    audio = validation_excerpts(run, TINY_CARD)
    assert audio.shape == (2, 66150)
    for seed, excerpt in zip((1, 2), audio, strict=True):
        np.testing.assert_allclose(excerpt, music(4, seed=seed)[11025 : 11025 + 66150], atol=1e-4)
    assert len(validation_excerpts(run, TINY_CARD, count=1)) == 1


def test_run_without_data(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"run\.json"):
        validation_excerpts(tmp_path, TINY_CARD)


def test_data_without_validation_split(run: Path, tmp_path: Path) -> None:
    Store(tmp_path / "data", "toy", {"n_mels": 128}, ()).save()
    with pytest.raises(DatasetError, match="Expected validation tracks"):
        validation_excerpts(run, TINY_CARD)
