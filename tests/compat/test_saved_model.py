"""A SavedModel of ours runs in a TensorFlow five or six versions older than the one that exported it."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from musiczoo.card import EMBEDDING_NAME, TAGS_NAME

BOTH = (EMBEDDING_NAME, TAGS_NAME)


@pytest.mark.parametrize(("endpoint", "names"), [("serve", BOTH), ("embed", BOTH[:1]), ("tag", BOTH[1:])])
def test_endpoints_give_what_keras_gave(
    endpoint: str, names: tuple[str, ...], reference: dict[str, np.ndarray], saved_model: Path
) -> None:
    model = tf.saved_model.load(str(saved_model))  # holds the weights: an endpoint alone would lose them
    outputs = getattr(model, endpoint)(tf.constant(reference["waveform"]))
    assert set(outputs) == set(names)
    for name in names:
        np.testing.assert_allclose(outputs[name], reference[name], rtol=0, atol=1e-5)


def test_default_signature_is_serve(reference: dict[str, np.ndarray], saved_model: Path) -> None:
    model = tf.saved_model.load(str(saved_model))
    outputs = model.signatures["serving_default"](waveform=tf.constant(reference["waveform"][:1]))
    assert set(outputs) == set(BOTH)
    np.testing.assert_allclose(outputs[TAGS_NAME], reference[TAGS_NAME][:1], rtol=0, atol=1e-5)


def test_reference_tells_excerpts_apart(reference: dict[str, np.ndarray]) -> None:
    """Else the comparisons above could pass for outputs that do not depend on the input."""
    for name in BOTH:
        assert np.abs(reference[name][0] - reference[name][1]).max() > 1e-3
