"""The disentangled models that the import of the musicnn wheel makes: on a wheel of our own, and on the real one."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from musicnn_wheels import members, random_weights, write_wheel
from toy import music

import musiczoo
from musiczoo.card import MODEL_FILE, read_card, sha256
from musiczoo.evaluation.metrics.agreement import spearman, top_k_overlap
from musiczoo.export import musicnn_wheel
from musiczoo.export.head import Head
from musiczoo.export.musicnn import import_musicnn
from musiczoo.export.musicnn_wheel import NETWORKS
from musiczoo.export.published_heads import HEADS, gate_excerpts
from musiczoo.models.frozen_encoder import open_encoder
from musiczoo.taxonomy import DIMENSION_TAGS, SPACES, TAGS

WHEEL_VARIABLE = "MUSICZOO_MUSICNN_WHEEL"
NAMES = [head.name for head in HEADS]

LARGEST = 300_000
"""Bytes that a head may add to the package."""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All models of a wheel with random weights."""
    folder = tmp_path_factory.mktemp("published")
    weights = {network.name: random_weights(network, seed) for seed, network in enumerate(NETWORKS)}
    path = write_wheel(folder / "musicnn.whl", members(weights))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(musicnn_wheel, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
        folders = import_musicnn(path, folder / "zoo")
    assert [made.name for made in folders] == [network.name for network in NETWORKS] + NAMES
    return folder / "zoo"


@pytest.mark.parametrize("published", HEADS, ids=NAMES)
def test_model_is_network_and_head(zoo: Path, published: musiczoo.export.published_heads.PublishedHead) -> None:
    """Disentangled embeddings of unit length from the network's hidden layer, which the head alone would give."""
    model = musiczoo.load(zoo / published.name)
    audio = np.stack([music(3, 16000, seed=seed) for seed in range(3)])
    expected = Head.read(published.file)(open_encoder(zoo / published.network).features(audio))
    np.testing.assert_allclose(model.embed(audio), expected["embedding"], atol=1e-5)
    np.testing.assert_allclose(model.tag(audio), expected["tags"], atol=1e-5)
    parts = np.linalg.norm(model.embed(audio).reshape(3, 4, 64), axis=2)
    np.testing.assert_allclose(parts, 0.5, atol=1e-5)


@pytest.mark.parametrize("published", HEADS, ids=NAMES)
def test_card_says_what_it_is(zoo: Path, published: musiczoo.export.published_heads.PublishedHead) -> None:
    card, network = read_card(zoo / published.name), read_card(zoo / published.network)
    assert (card.tags, dict(card.spaces), dict(card.dimensions)) == (TAGS, SPACES, DIMENSION_TAGS)
    assert card.licence == "MIT (head), ISC (encoder)"
    assert card.recipe["encoder_sha256"] == sha256(zoo / published.network / MODEL_FILE)
    assert card.space_id != network.space_id
    assert "Pseudo-labels" in card.labels
    assert card.thresholds == network.thresholds
    metrics = json.loads(published.file.with_suffix(".json").read_text())["metrics"]
    assert card.metrics == metrics
    assert card.parameters - network.parameters == Head.read(published.file).parameters


@pytest.mark.parametrize("published", HEADS, ids=NAMES)
def test_weights_are_small_and_of_the_papers_form(published: musiczoo.export.published_heads.PublishedHead) -> None:
    assert published.file.stat().st_size < LARGEST
    head = Head.read(published.file)
    assert dict(head.spaces) == SPACES
    assert head.normalized
    dimensions = {tag: name for name, tags in DIMENSION_TAGS.items() for tag in tags}
    for column, tag in enumerate(TAGS):
        start, stop = SPACES[dimensions[tag]]
        outside = np.delete(head.tag_kernel[:, column], np.arange(start, stop))
        assert not outside.any()  # a tag sees its own sub-space alone


@pytest.mark.skipif(WHEEL_VARIABLE not in os.environ, reason=f"set {WHEEL_VARIABLE} to the wheel of musicnn 0.1.0")
def test_tags_stay_those_of_the_real_networks(tmp_path: Path) -> None:
    """On the recording that comes with musiczoo, as it is, quieter, slower, and in noise: none was trained on."""
    import_musicnn(Path(os.environ[WHEEL_VARIABLE]), tmp_path)
    random = np.random.default_rng(0)
    for published in HEADS:
        model, network = (musiczoo.load(tmp_path / name) for name in (published.name, published.network))
        music = gate_excerpts(model.card)
        slower = np.repeat(music, 2, axis=1)[:, : music.shape[1]]
        noisy = music + random.normal(0, 0.1, music.shape)
        audio = np.concatenate([music, 0.1 * music, slower, noisy]).astype(np.float32)
        ours, own = model.tag(audio), network.tag(audio)
        assert np.mean(spearman(ours.T, own.T)) > 0.95
        assert np.mean(top_k_overlap(ours, own)) > 4.5
