"""Export a Keras model as a TensorFlow SavedModel with named endpoints and a waveform as input.

Load it without Keras and musiczoo, and read outputs by name::

    model = tf.saved_model.load("saved_model")
    model.serve(waveform)["tags"]
"""

import os

import keras
import tensorflow as tf

from musiczoo.card import EMBEDDING_NAME, INPUT_NAME, TAGS_NAME, ModelCard

ENDPOINTS: dict[str, tuple[str, ...]] = {
    "serve": (EMBEDDING_NAME, TAGS_NAME),
    "embed": (EMBEDDING_NAME,),
    "tag": (TAGS_NAME,),
}
"""Endpoint -> its outputs. Endpoints are methods of the loaded model and its signatures, by which servers call it. The
first is also the signature ``serving_default``."""


def export_saved_model(model: keras.Model, card: ModelCard, folder: str | os.PathLike[str]) -> None:
    """Write a waveform model as a SavedModel with the `ENDPOINTS`.

    All endpoints share one copy of the weights, among them the matrices of the front end.

    Args:
        model: ``[N, card.excerpt_samples]`` float32 -> ``{"embedding", "tags"}`` (see
            `musiczoo.models.architectures.build_waveform`).
        card: Gives the length of the input.
        folder: Folder to write.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from musiczoo.card import read_card
        >>> from musiczoo.models.architectures import build, build_waveform
        >>> from musiczoo.registry import find
        >>> card = read_card(find("disentangled-classification"))
        >>> folder = Path(tempfile.mkdtemp()) / "saved_model"
        >>> export_saved_model(build_waveform(build("disentangled-classification", width=16)), card, folder)
        >>> model = tf.saved_model.load(str(folder))
        >>> model.embed(tf.zeros((1, 66_150)))["embedding"].shape
        TensorShape([1, 256])
    """
    signature = [tf.TensorSpec([None, card.excerpt_samples], tf.float32, name=INPUT_NAME)]
    archive = keras.export.ExportArchive()

    call = tf.function(lambda waveform: dict(model(waveform, training=False)), autograph=False)
    outputs = call.get_concrete_function(*signature)  # traced once for all endpoints

    for endpoint, names in ENDPOINTS.items():

        def run(waveform: tf.Tensor, names: tuple[str, ...] = names) -> dict[str, tf.Tensor]:
            every = outputs(waveform)
            return {name: every[name] for name in names}

        archive.add_endpoint(endpoint, run, input_signature=signature)
    archive.write_out(os.fspath(folder), verbose=False)
