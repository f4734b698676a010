"""Keras model -> TensorFlow SavedModel with named endpoints, waveform in.

Load it without Keras and without musiczoo, and address outputs by name::

    model = tf.saved_model.load("saved_model")
    model.serve(waveform)["tags"]
"""

from pathlib import Path

import keras
import tensorflow as tf

from musiczoo.card import EMBEDDING_NAME, INPUT_NAME, TAGS_NAME, ModelCard

ENDPOINTS: dict[str, tuple[str, ...]] = {
    "serve": (EMBEDDING_NAME, TAGS_NAME),
    "embed": (EMBEDDING_NAME,),
    "tag": (TAGS_NAME,),
}
"""Endpoint -> its outputs. The first is also the signature ``serving_default``."""


def export_saved_model(model: keras.Model, card: ModelCard, folder: Path) -> None:
    """Write a waveform model as a SavedModel with the `ENDPOINTS`.

    Weights are stored once, whichever endpoints use them; so are the front end's matrices, which are weights
    for this reason.

    Args:
        model: ``[N, card.excerpt_samples]`` float32 -> ``{"embedding", "tags"}``.
        card: Tells the input's length.
        folder: Where to write.
    """
    signature = [tf.TensorSpec([None, card.excerpt_samples], tf.float32, name=INPUT_NAME)]
    archive = keras.export.ExportArchive()
    for endpoint, names in ENDPOINTS.items():

        def run(waveform: tf.Tensor, names: tuple[str, ...] = names) -> dict[str, tf.Tensor]:
            outputs = model(waveform, training=False)
            return {name: outputs[name] for name in names}

        archive.add_endpoint(endpoint, run, input_signature=signature)
    archive.write_out(str(folder), verbose=False)
