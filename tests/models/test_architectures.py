"""The models, from encoder to tags."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from numpy.typing import NDArray
from tiny_run import BLOCKS

from musiczoo.errors import InputError, UnknownNameError
from musiczoo.models import encoder
from musiczoo.models.architectures import (
    ARCHITECTURES,
    CALIBRATION_LAYER,
    LOGITS_LAYER,
    MIN_WIDTH,
    architecture,
    build,
    build_waveform,
)
from musiczoo.models.encoder import trunk
from musiczoo.models.frontend import LogMel
from musiczoo.models.heads import Centroids, Prototypes, Proxies
from musiczoo.models.losses import TripletLoss
from musiczoo.taxonomy import LASTFM_50, PLAIN_SPACES, SPACES, Vocabulary

pytestmark = pytest.mark.train
ALL_BLOCKS = True

PAPER = {
    # name: normalised, disentangled, trained on, lambda
    "triplet": (True, False, "triplet", 0),
    "disentangled-triplet": (True, True, "triplet", 0),
    "disentangled-triplet-track": (True, True, "triplet", 0.5),
    "proxy": (True, False, "proxy", 0),
    "disentangled-proxy": (True, True, "proxy", 0),
    "classification-unnormalized": (False, False, "classification", 0),
    "classification": (True, False, "classification", 0),
    "disentangled-classification": (True, True, "classification", 0),
}
"""Table 1 of the paper."""

OTHER_TAGS = Vocabulary(("slow", "loud", "fast"), {"tempo": ("slow", "fast"), "level": ("loud",), "empty": ()})


def log_mels(n: int = 3, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, 129, 128)).astype(np.float32)


@cache
def narrow(name: str) -> keras.Model:
    """Each model once, with prototypes and a calibration that do something. Leave it as it is."""
    keras.utils.set_random_seed(0)
    model = build(name, MIN_WIDTH)
    if PAPER[name][2] == "triplet":
        model.get_layer(LOGITS_LAYER).set_points(np.random.default_rng(0).uniform(size=(256, 50)))
    model.get_layer(CALIBRATION_LAYER).set_weights([np.linspace(0.5, 2, 50), np.linspace(-1, 1, 50)])
    return model


@cache
def outputs_of(name: str) -> dict[str, NDArray[np.float32]]:
    """The outputs of a model for `log_mels`."""
    return {output: np.asarray(value) for output, value in narrow(name)(log_mels(), training=False).items()}


def encoder_by_hand(width: int) -> int:
    """Trained parameters: each convolution k x k x in x out with the scale and shift of its normalisation."""

    def convolution(k: int, inputs: int) -> int:
        return k * k * inputs * width + 2 * width

    total, inputs = convolution(5, 1), width
    for _ in range(6):
        total += convolution(1, inputs) + convolution(3, inputs) + convolution(5, inputs)
        inputs += 3 * width
        total += 4 * convolution(1, inputs) + convolution(3, width) + convolution(5, width)
        inputs = 4 * width
    return total + (inputs * 256 + 256)


def trained(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


# === The table ===


def test_the_eight_models_are_the_papers() -> None:
    found = {
        name: (config.normalized, config.disentangled, config.head, config.track_weight)
        for name, config in ARCHITECTURES.items()
    }
    assert found == PAPER
    assert list(ARCHITECTURES) == list(PAPER)
    assert all(config.name == name for name, config in ARCHITECTURES.items())
    assert len({config.gist for config in ARCHITECTURES.values()}) == 8


@pytest.mark.parametrize("name", PAPER)
def test_the_models_are_built_so(name: str) -> None:
    """Head, spaces of the embedding, and the space of each tag."""
    model, (normalized, disentangled, head, _) = narrow(name), PAPER[name]
    spaces = SPACES if disentangled else PLAIN_SPACES
    layer = model.get_layer(LOGITS_LAYER)
    assert type(layer) is {"triplet": Prototypes, "proxy": Proxies, "classification": Centroids}[head]
    assert (layer.spaces, architecture(name).spaces(LASTFM_50)) == (spaces, spaces)
    assert layer.tag_spaces == (LASTFM_50.tag_dimensions if disentangled else ("all",) * 50)
    embedding = outputs_of(name)["embedding"]
    for start, stop in spaces.values():
        lengths = np.linalg.norm(embedding[:, start:stop], axis=1)
        if normalized:
            np.testing.assert_allclose(lengths, 0.5 if disentangled else 1, rtol=1e-5)
        else:
            assert np.all(np.abs(lengths - 1) > 0.01)
            assert np.ptp(lengths) > 0.001
    assert trained(model) == encoder_by_hand(MIN_WIDTH) + (0 if head == "triplet" else 256 * 50)


@pytest.mark.parametrize(("width", "millions"), [(32, 1.17), (64, 4.57)])
def test_parameters(width: int, millions: float) -> None:
    count = trained(build("disentangled-classification", width))
    assert count == encoder_by_hand(width) + 256 * 50
    assert count / 1e6 == pytest.approx(millions, abs=0.005)


# === Outputs ===


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_outputs(name: str) -> None:
    outputs = outputs_of(name)
    assert {output: (value.shape, value.dtype.name) for output, value in outputs.items()} == {
        "embedding": ((3, 256), "float32"),
        "tags": ((3, 50), "float32"),
    }
    assert narrow(name).input_shape == (None, 129, 128)
    assert np.all((outputs["tags"] > 0) & (outputs["tags"] < 1))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_tags_are_calibrated_logits(name: str) -> None:
    """The head once more, on the embedding, by hand."""
    head = narrow(name).get_layer(LOGITS_LAYER)
    x, points = outputs_of(name)["embedding"].astype(float), np.asarray(head.weights[0], float)
    points = points.T if type(head) is Proxies else points
    for z, space in enumerate(head.tag_spaces):
        own = slice(*head.spaces[space])
        part = x[:, own] / (np.linalg.norm(x[:, own], axis=1, keepdims=True) if PAPER[name][0] else 1)
        logits = (0.5 + 1.5 * z / 49) * part @ points[own, z] + (2 * z / 49 - 1)
        np.testing.assert_allclose(outputs_of(name)["tags"][:, z], 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_triplet_models_have_no_opinion_before_their_prototypes() -> None:
    head = Prototypes(SPACES, LASTFM_50.tag_dimensions)
    assert np.all(keras.ops.sigmoid(head(np.ones((2, 256), np.float32))) == 0.5)


def test_six_blocks_halve_the_map() -> None:
    """The naive module adds 3 branches to what comes in; the reduced one always gives 4."""
    model, w = narrow("disentangled-classification"), MIN_WIDTH
    for block, size in enumerate((32, 16, 8, 4, 2, 1), start=1):
        incoming = w if block == 1 else 4 * w
        assert model.get_layer(f"block{block}_naive").output.shape == (None, size, size, 3 * w + incoming)
        assert model.get_layer(f"block{block}_reduced").output.shape == (None, size, size, 4 * w)
    assert model.get_layer("features").output.shape == (None, 4 * w)


@pytest.mark.parametrize("name", ["disentangled-proxy", "classification-unnormalized", "triplet"])
def test_same_bytes_again_in_any_batch(name: str) -> None:
    again, alone = (narrow(name)(x, training=False) for x in (log_mels(), log_mels()[1:2]))
    for output, expected in outputs_of(name).items():
        assert np.array_equal(again[output], expected)
        np.testing.assert_allclose(alone[output], expected[1:2], atol=1e-5)


@pytest.mark.parametrize(
    ("proxy", "classification"),
    [("disentangled-proxy", "disentangled-classification"), ("proxy", "classification")],
)
def test_proxies_and_centroids_are_one_metric(proxy: str, classification: str) -> None:
    """Eq. 7 against eq. 11, and eq. 5 against eq. 8: models with the same encoder and tied weights."""
    one, other = narrow(proxy), narrow(classification)
    before = one.get_weights()
    for layer in [*trunk(one), one.get_layer("embedding_units")]:
        layer.set_weights(other.get_layer(layer.name).get_weights())
    one.get_layer(LOGITS_LAYER).proxies.assign(np.asarray(other.get_layer(LOGITS_LAYER).centroids).T)
    x = log_mels(4, seed=5)
    got, expected = one(x, training=False), other(x, training=False)
    one.set_weights(before)
    assert np.ptp(expected["tags"]) > 0.05
    np.testing.assert_allclose(got["embedding"], expected["embedding"], atol=1e-6)
    np.testing.assert_allclose(got["tags"], expected["tags"], atol=1e-6)


def test_other_tags_and_dimensions() -> None:
    """256 columns in three parts, or nearly; a dimension may have no tags."""
    model = build("disentangled-proxy", MIN_WIDTH, OTHER_TAGS)
    outputs = model(log_mels(), training=False)
    assert outputs["tags"].shape == (3, 3)
    for part in (slice(0, 85), slice(85, 170), slice(170, 256)):
        np.testing.assert_allclose(np.linalg.norm(outputs["embedding"][:, part], axis=1), 3**-0.5, rtol=1e-5)
    assert model.get_layer(LOGITS_LAYER).tag_spaces == ("tempo", "level", "tempo")


# === In a user's hands ===


def test_a_user_can_train_one_on_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras's own loss and `fit`."""
    monkeypatch.setattr(encoder, "BLOCKS", BLOCKS)  # eager training is slow
    keras.utils.set_random_seed(1)
    model = build("disentangled-proxy", MIN_WIDTH)
    x, y = log_mels(4), (np.random.default_rng(1).uniform(size=(4, 50)) < 0.3).astype(np.float32)
    model.compile(optimizer="adam", loss={"embedding": None, "tags": "binary_crossentropy"}, run_eagerly=True)
    losses = model.fit(x, {"tags": y}, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]


def test_a_user_can_train_one_on_triplets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prototypes stay as they are."""
    monkeypatch.setattr(encoder, "BLOCKS", BLOCKS)
    keras.utils.set_random_seed(1)
    model = build("disentangled-triplet-track", MIN_WIDTH)
    points = np.asarray(model.get_layer(LOGITS_LAYER).centroids).copy()
    random = np.random.default_rng(1)
    y = (random.uniform(size=(4, 50)) < 0.3).astype(np.float32)
    loss = TripletLoss(SPACES, LASTFM_50.tag_dimensions)
    model.compile(optimizer="adam", loss={"embedding": loss, "tags": None}, run_eagerly=True)
    losses = model.fit(log_mels(4), {"embedding": y}, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    assert np.array_equal(model.get_layer(LOGITS_LAYER).centroids, points)


def test_loss_is_the_mean_cross_entropy() -> None:
    model = narrow("disentangled-classification")
    x, t = log_mels(), np.random.default_rng(1).uniform(size=(3, 50)).astype(np.float32)
    p = np.asarray(model(x, training=False)["tags"], float)
    total = 0.0
    for n in range(3):
        for z in range(50):
            total -= t[n, z] * np.log(p[n, z]) + (1 - t[n, z]) * np.log(1 - p[n, z])
    twin = keras.Model(model.input, model.output)  # so that the shared one stays uncompiled
    twin.compile(loss={"embedding": None, "tags": keras.losses.BinaryCrossentropy()}, run_eagerly=True)
    assert twin.test_on_batch(x, {"tags": t}) == pytest.approx(total / 150, rel=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_saved_model_says_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few blocks of the encoder: what is ours is in each of them, and in the heads."""
    monkeypatch.setattr(encoder, "BLOCKS", BLOCKS)
    model = build(name, MIN_WIDTH)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)  # noqa: TID251  (in safe mode)
    assert trained(again) == trained(model)
    expected = model(log_mels(), training=False)
    for output, got in again(log_mels(), training=False).items():
        assert np.array_equal(got, expected[output])


def test_waveform_model_is_front_end_and_model(tmp_path: Path) -> None:
    """Saved and loaded too."""
    model = narrow("disentangled-classification")
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 66150)).astype(np.float32)
    whole = build_waveform(model)
    assert whole.input_shape == (None, 66150)
    assert [tensor.name for tensor in whole.inputs] == ["waveform"]
    got, expected = whole(audio), model(LogMel()(audio))
    assert set(got) == {"embedding", "tags"}
    whole.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)(audio)  # noqa: TID251
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-6)
        assert np.array_equal(again[name], got[name])


# === What is refused ===


def test_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'disentangled-classification'"):
        build("disentangled-clasification")
    assert architecture("classification").name == "classification"


@pytest.mark.parametrize("width", [15, 8, 0, -1, 32.0, "32"])
def test_widths_that_cannot_be_trained_are_refused(width: int) -> None:
    with pytest.raises(InputError, match=f"width must be a whole number of 16 or more, got {width!r}"):
        build("classification", width)


@pytest.mark.parametrize("name", [name for name, config in ARCHITECTURES.items() if config.disentangled])
def test_tags_of_one_dimension_are_not_disentangled(name: str) -> None:
    """And the error says what to train instead: the same model without sub-spaces."""
    plain = {"triplet": "triplet", "proxy": "proxy", "classification": "classification"}[ARCHITECTURES[name].head]
    one = Vocabulary(("rock", "pop"), {"genre": ("rock", "pop")})
    with pytest.raises(InputError, match=rf"got 1 \(genre\)\. Train '{plain}'"):
        build(name, 16, one)


def test_sub_spaces_are_as_equal_as_can_be_for_any_number_of_dimensions() -> None:
    """All columns, in order, whose numbers differ by one at most."""
    for number in (2, 3, 5, 7, 30, 256):
        tags = tuple(map(str, range(number)))
        spaces = ARCHITECTURES["disentangled-proxy"].spaces(
            Vocabulary(tags, {f"dimension {tag}": (tag,) for tag in tags})
        )
        edges = [0, *(stop for _, stop in spaces.values())]
        assert [start for start, _ in spaces.values()] == edges[:-1]
        assert edges[-1] == 256
        sizes = [stop - start for start, stop in spaces.values()]
        assert max(sizes) - min(sizes) <= 1
        assert min(sizes) >= 1


def test_summaries_name_the_spaces_of_the_data_set() -> None:
    three = Vocabulary(("a", "b", "c"), {"genre": ("a",), "instrument": ("b",), "mood/theme": ("c",)})
    config = ARCHITECTURES["disentangled-triplet"]
    assert config.summary(three).endswith("three 85- to 86-d unit embeddings (genre, instrument, mood/theme).")
    assert config.summary(LASTFM_50).endswith("four 64-d unit embeddings (genre, mood, instrument, era).")
    assert ARCHITECTURES["triplet"].summary(three) == "Triplets of tags in one 256-d unit embedding."
