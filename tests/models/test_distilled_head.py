"""A head that keeps the tags of an affine last layer."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import onnx
from onnx import helper, numpy_helper

from musiczoo.card import TAGS_NAME
from musiczoo.errors import InputError
from musiczoo.models.distilled_head import LastLayer, distil
from musiczoo.taxonomy import LASTFM_50

pytestmark = pytest.mark.train

FEATURES = 40


def layer(seed: int = 0) -> LastLayer:
    random = np.random.default_rng(seed)
    return LastLayer(random.normal(0, 0.3, (FEATURES, 50)), random.normal(-3, 0.5, 50))


def vectors(count: int, seed: int, scale: float = 1.0) -> np.ndarray:
    """What a ReLU leaves of correlated noise."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(FEATURES, FEATURES)) / FEATURES**0.5
    return scale * np.maximum(random.normal(size=(count, FEATURES)) @ mixing, 0)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """The mean over columns of the correlation of ranks, which here have no ties."""
    ranks = [np.argsort(np.argsort(x, axis=0), axis=0) for x in (a, b)]
    return float(np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(ranks[0].T, ranks[1].T, strict=True)]))


def test_tags_are_kept_on_other_vectors() -> None:
    """Also on longer ones than any that it saw; the probabilities too, not only their order."""
    last = layer()
    head = distil(vectors(400, 0), last, LASTFM_50, steps=300, batch=128)
    for scale in (1.0, 1.6):
        fresh = vectors(300, 1, scale)
        outputs = head(fresh)
        own = 1 / (1 + np.exp(-last(fresh)))
        assert correlation(np.asarray(outputs["tags"]), own) > 0.95
        assert np.abs(np.asarray(outputs["tags"]) - own).mean() < 0.02
        lengths = np.linalg.norm(np.asarray(outputs["embedding"]).reshape(-1, 4, 64), axis=2)
        np.testing.assert_allclose(lengths, 0.5, atol=1e-5)


def test_same_seed_same_head() -> None:
    heads = [distil(vectors(200, 0), layer(), LASTFM_50, steps=5, batch=64, seed=seed) for seed in (1, 1, 2)]
    weights = [np.concatenate([np.ravel(w) for w in head.get_weights()]) for head in heads]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def proto(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    last = layer()
    constants = {"kernel": last.kernel.astype(np.float32), "bias": last.bias.astype(np.float32)}
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return helper.make_model(helper.make_graph(nodes, "tagger", [], [], initializers))


def test_last_layer_is_read() -> None:
    dense = helper.make_node("Gemm", ["features", "kernel", "bias"], ["logits"])
    read = LastLayer.of(proto(dense, helper.make_node("Sigmoid", ["logits"], [TAGS_NAME])))
    np.testing.assert_allclose(read(vectors(3, 0)), vectors(3, 0) @ layer().kernel + layer().bias, atol=1e-5)


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("Softmax", ["logits"], [TAGS_NAME])],
        [helper.make_node("Gemm", ["other", "kernel", "bias"], ["x"]), helper.make_node("Sigmoid", ["x"], [TAGS_NAME])],
        [helper.make_node("Sigmoid", ["features"], [TAGS_NAME])],
        [],
    ],
)
def test_other_last_layers_are_refused(nodes: list[onnx.NodeProto]) -> None:
    with pytest.raises(InputError, match="Train a head on labels instead"):
        LastLayer.of(proto(*nodes))
