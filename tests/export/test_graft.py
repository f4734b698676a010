"""Encoder and head in one file: against the toy encoder in numpy and a head computed with loops."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from toy import CARD, SIZE, music, toy_answer, toy_weights, write_model

import musiczoo
from musiczoo.card import CARD_FILE, MODEL_FILE, POINTS_FILE, sha256
from musiczoo.errors import InputError, ModelFileError, ParityError, UnknownNameError
from musiczoo.export.graft import graft
from musiczoo.export.head import EPSILON, Head
from musiczoo.export.publish import publish
from musiczoo.models.frozen_encoder import open_encoder

SPACES = {"first": (0, 5), "second": (5, 8)}
TAGS = ("a", "b", "c")
POOLS = SIZE // 441


def head(features: int, normalized: bool = True, seed: int = 0) -> Head:
    """A head of 8 units and 3 tags, two in the first space and one in the second."""
    random = np.random.default_rng(seed)
    mask = np.zeros((8, 3), np.float32)
    mask[:5, :2] = mask[5:, 2] = 1
    arrays = [random.normal(size=shape).astype(np.float32) for shape in ((features, 8), 8, (8, 3), 3, (3, 8))]
    arrays[2] *= mask
    arrays[4] /= np.linalg.norm(arrays[4], axis=1, keepdims=True)
    return Head(*arrays, SPACES if normalized else {"all": (0, 8)}, normalized)


def card_of(card: musiczoo.ModelCard, head: Head) -> musiczoo.ModelCard:
    return dataclasses.replace(
        card, name="grafted", embedding_size=8, spaces=dict(head.spaces), space_id="grafted/1", tags=TAGS,
        dimensions={"first": ("a", "b"), "second": ("c",)}, thresholds=dict.fromkeys(TAGS, 0.5),
        normalized=head.normalized,
    )  # fmt: skip


def by_hand(head: Head, features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Embedding and tags, one excerpt, unit and tag at a time."""
    embeddings, tags = np.zeros((len(features), 8)), np.zeros((len(features), 3))
    for n, row in enumerate(features.astype(float)):
        units = [
            max(0.0, sum(x * k for x, k in zip(row, head.kernel[:, j], strict=True)) + head.bias[j]) for j in range(8)
        ]
        if head.normalized:
            for start, stop in head.spaces.values():
                part = [unit + EPSILON for unit in units[start:stop]]
                length = sum(x * x for x in part) ** 0.5 * len(head.spaces) ** 0.5
                units[start:stop] = [x / length for x in part]
        embeddings[n] = units
        for t in range(3):
            logit = sum(u * m for u, m in zip(units, head.tag_kernel[:, t], strict=True)) + head.tag_bias[t]
            tags[n, t] = 1 / (1 + np.exp(-logit))
    return embeddings, tags


def excerpts(count: int = 3) -> NDArray[np.float32]:
    return np.stack([music(3, seed=seed) for seed in range(count)])


def pooled(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """The toy's hidden layer."""
    return np.abs(audio).reshape(len(audio), -1, 441).mean(axis=2)


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize(("layer", "size"), [(None, 256), ("pooled", POOLS)])
def test_grafted_model_is_encoder_and_head(
    toy_folder: Path, tmp_path: Path, layer: str | None, size: int, normalized: bool
) -> None:
    encoder, weights = open_encoder(toy_folder, layer), head(size, normalized)
    assert encoder.size == size
    (tmp_path / "out").mkdir()
    audio = excerpts()
    report = graft(encoder, weights, card_of(CARD, weights), audio, tmp_path / "out")
    assert report["excerpts"] == 3
    assert max(report["graft-parts"].values()) < 1e-5
    model = musiczoo.load(publish(tmp_path / "out", tmp_path / "zoo"))
    features = pooled(audio) if layer else toy_answer(audio)[0]
    embeddings, tags = by_hand(weights, features)
    np.testing.assert_allclose(model.embed(audio), embeddings, atol=1e-5)
    np.testing.assert_allclose(model.tag(audio), tags, atol=1e-5)
    points = model.tag_points()
    assert points is not None
    np.testing.assert_allclose(points, weights.points, atol=2e-3)  # float16


def test_nothing_of_the_old_head_is_left(toy_folder: Path, tmp_path: Path) -> None:
    """Behind the hidden layer, only the new head's weights are in the file."""
    (tmp_path / "out").mkdir()
    weights = head(POOLS)
    graft(open_encoder(toy_folder, "pooled"), weights, card_of(CARD, weights), excerpts(1), tmp_path / "out")
    sizes = {t.name: int(np.prod(t.dims)) for t in onnx.load(str(tmp_path / "out" / MODEL_FILE)).graph.initializer}
    assert not set(sizes.values()) & {w.size for w in toy_weights()}
    assert {name for name in sizes if sizes[name] == POOLS * 8} == {"head/kernel"}


def test_wrong_head_is_refused(toy_folder: Path, tmp_path: Path) -> None:
    weights = head(200)
    with pytest.raises(InputError, match="takes 200 features, and 'embedding' of toy has 256"):
        graft(open_encoder(toy_folder), weights, card_of(CARD, weights), excerpts(1), tmp_path)


def test_gate(toy_folder: Path, tmp_path: Path) -> None:
    """A head that was trained with other numbers than those in the file is not published."""
    weights, other = head(256), head(256, seed=1)
    with pytest.raises(ParityError, match="other embedding joined"):
        graft(open_encoder(toy_folder), weights, card_of(CARD, weights), excerpts(1), tmp_path, trained=other)
    assert not list(tmp_path.iterdir())


def test_layers(toy_folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'pooled'"):
        open_encoder(toy_folder, "poled")
    with pytest.raises(InputError, match=r"'pools' of .* has shape \[2, 150, 441\]"):
        open_encoder(toy_folder, "pools")
    ids = {open_encoder(toy_folder, layer).id for layer in ("pooled", "encoded", None)}
    assert len(ids) == 3
    assert all(name.startswith("toy-") for name in ids)


def test_altered_encoder_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "toy")
    (folder / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes() + b"\0")
    with pytest.raises(ModelFileError, match="altered"):
        open_encoder(folder)


def test_unknown_encoder(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Unknown encoder 'disentangled-clasification'"):
        open_encoder("disentangled-clasification")


def test_head_file(tmp_path: Path) -> None:
    weights = head(7).rounded()
    weights.save(tmp_path / "head.npz")
    read = Head.read(tmp_path / "head.npz")
    features = np.random.default_rng(0).normal(size=(4, 7))
    np.testing.assert_array_equal(read(features)["tags"], weights(features)["tags"])
    assert (read.spaces, read.normalized) == (SPACES, True)
    for content in (b"", b"PK", (tmp_path / "head.npz").read_bytes()[:-40]):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(ModelFileError, match="does not hold the weights of a head"):
            Head.read(tmp_path / "bad.npz")


def test_head_refuses_what_does_not_fit() -> None:
    good = head(7)
    for name, value in {"bias": np.zeros(9, np.float32), "tag_bias": np.full(3, np.nan, np.float32)}.items():
        with pytest.raises(ModelFileError, match=name):
            dataclasses.replace(good, **{name: value})
    for spaces in ({"first": (0, 5)}, {"first": (0, 5), "second": (4, 8)}, {"second": (5, 8), "first": (0, 5)}):
        with pytest.raises(ModelFileError, match="do not tile"):
            dataclasses.replace(good, spaces=spaces)


def test_parameters_are_counted() -> None:
    assert head(7).parameters == 7 * 8 + 8 + 5 * 2 + 3  # a tag has the columns of its space


def test_sha256_of_the_file_is_the_encoders(toy_folder: Path) -> None:
    assert open_encoder(toy_folder).card.sha256 == sha256(toy_folder / MODEL_FILE)
    assert (toy_folder / CARD_FILE).is_file()
    assert not (toy_folder / POINTS_FILE).exists()
