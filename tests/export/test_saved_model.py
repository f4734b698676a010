"""The SavedModel: endpoints by name, weights once."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from tiny import Exported, excerpts

from musiczoo.card import EMBEDDING_NAME, INPUT_NAME, TAGS_NAME

pytestmark = pytest.mark.train


@pytest.mark.parametrize(
    ("endpoint", "names"),
    [("serve", {EMBEDDING_NAME, TAGS_NAME}), ("embed", {EMBEDDING_NAME}), ("tag", {TAGS_NAME})],
)
def test_endpoints_equal_keras(exported: Exported, endpoint: str, names: set[str]) -> None:
    audio = excerpts()
    loaded = tf.saved_model.load(str(exported.saved_model))
    outputs = getattr(loaded, endpoint)(audio)
    expected = exported.model(audio, training=False)
    assert set(outputs) == names
    for name in names:
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-5)
    signature = loaded.signatures[endpoint](**{INPUT_NAME: tf.constant(audio)})  # what TF Serving calls
    assert set(signature) == names


def test_weights_are_stored_once(exported: Exported) -> None:
    variables = tf.train.load_checkpoint(str(exported.saved_model / "variables" / "variables"))
    shapes = variables.get_variable_to_shape_map()
    stored = sum(int(np.prod(shape)) for name, shape in shapes.items() if "VARIABLE_VALUE" in name)
    assert stored == exported.model.count_params()
