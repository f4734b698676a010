"""Properties of the published models, tested for each model in the zoo."""

import numpy as np
import pytest
from toy import music

import musiczoo
from musiczoo import Model, demo, registry
from musiczoo.card import MODEL_FILE
from musiczoo.evaluation.report import published as paper
from musiczoo.model import PRECISIONS

MODELS = musiczoo.list_models()


@pytest.fixture(scope="module", params=MODELS or [pytest.param("", marks=pytest.mark.skip("the zoo is empty"))])
def published(request: pytest.FixtureRequest) -> Model:
    """Each model in the zoo."""
    return musiczoo.load(request.param)


def zoo_excerpts(model: Model, n: int) -> np.ndarray:
    seconds = model.card.excerpt_seconds
    return np.stack([music(seconds, model.card.sample_rate, seed=i)[: model.card.excerpt_samples] for i in range(n)])


def test_published_embeddings_are_unit_vectors_in_every_space(published: Model) -> None:
    embedding, spaces = published.embed(zoo_excerpts(published, 3)), published.card.spaces
    assert embedding.shape == (3, published.card.embedding_size)
    assert embedding.dtype == np.float32
    if not published.card.normalized:
        assert published.name == "classification-unnormalized"
        assert np.ptp(np.linalg.norm(embedding, axis=1)) > 1e-3
        return
    for start, stop in spaces.values():
        np.testing.assert_allclose(np.linalg.norm(embedding[:, start:stop], axis=1), len(spaces) ** -0.5, atol=1e-4)


def test_published_tags_are_probabilities(published: Model) -> None:
    tags = published.tag(zoo_excerpts(published, 3))
    assert tags.shape == (3, len(published.card.tags))
    assert ((tags >= 0) & (tags <= 1)).all()
    assert np.ptp(tags) > 0


def test_published_models_do_not_depend_on_the_batch_or_the_day(published: Model) -> None:
    excerpts = zoo_excerpts(published, 11)
    together = published.embed(excerpts)
    np.testing.assert_array_equal(published.embed(excerpts), together)
    apart = np.concatenate([published.embed(excerpts[i : i + 1]) for i in range(len(excerpts))])
    np.testing.assert_allclose(apart, together, atol=2e-5)


def test_published_models_take_silence_and_full_scale(published: Model) -> None:
    size = published.card.excerpt_samples
    extremes = np.stack([np.zeros(size), np.ones(size), np.where(np.arange(size) % 2, -1, 1)])
    assert np.isfinite(published.embed(extremes)).all()
    assert np.isfinite(published.tag(extremes)).all()


def test_published_cards_are_complete(published: Model) -> None:
    card = published.card
    assert published.name in MODELS
    for name in (
        "version",
        "summary",
        "licence",
        "space_id",
        "data",
        "labels",
        "metrics",
        "limits",
        "intended_use",
    ):
        assert getattr(card, name), f"{published.name}: the card's {name} is empty"
    assert card.parameters > 0
    assert set(card.thresholds) == set(card.tags)
    assert (registry.find(published.name) / "README.md").is_file()


def test_published_tags_are_points_of_the_space(published: Model) -> None:
    """What a tag says of an excerpt is linear in how far the excerpt lies in the direction of its point."""
    points = published.tag_points()
    if points is None:
        pytest.skip("an imported network, whose tags are no points")
    excerpts = zoo_excerpts(published, 12)
    logits = np.log(published.tag(excerpts).astype(float)) - np.log1p(-published.tag(excerpts).astype(float))
    products = published.embed(excerpts).astype(float) @ points.T
    for tag, logit, product in zip(published.card.tags, logits.T, products.T, strict=True):
        assert np.corrcoef(logit, product)[0, 1] > 0.999, tag


def test_the_zoo_holds_all_models_of_the_paper() -> None:
    assert {model["name"] for model in paper.models()} <= set(MODELS)


def test_published_int8_versions_agree_with_the_model(published: Model) -> None:
    if PRECISIONS["int8"] not in published.card.files:
        pytest.skip("it has no int8 version")
    quantised = musiczoo.load(published.name, precision="int8")
    folder = registry.find(published.name)
    assert (folder / PRECISIONS["int8"]).stat().st_size < 0.8 * (folder / MODEL_FILE).stat().st_size
    expected, again = published.analyze(demo.PATH), quantised.analyze(demo.PATH)
    assert expected.embedding @ again.embedding > 0.999
    assert np.abs(expected.tags.probabilities - again.tags.probabilities).max() < 0.05
    assert np.ptp(expected.embedding - again.embedding) > 0
