"""Export a Keras model or a TensorFlow function as one ONNX file with a waveform as input.

Conventions
-----------
- `musiczoo.card` names the input and the outputs. Their first axis is called N and has any size.
- The log-mel inside the graph is the tensor `LOG_MEL`. It is not an output, but a check can read it.
- A weight matrix that float16 represents exactly is stored as float16 and cast to float32 in the graph; runtimes fold
  the cast when they load the file. This halves the file and changes no number.
- `round_weights` makes the weights of the Keras model exact in float16 first: rounding in the ONNX file alone would
  change its tags by 1e-3, where parity with Keras allows 1e-4. Keras, SavedModel and ONNX hold the same numbers.
- `fold_batch_normalization` comes before that: converters fold a normalisation into the convolution before it, and the
  product would no longer be rounded.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnx import TensorProto, helper, numpy_helper

from musiczoo.card import INPUT_NAME, ModelCard
from musiczoo.export.onnx_graph import BATCH_AXIS, LOG_MEL, OPSET, OUTPUTS
from musiczoo.models.frontend import LogMel
from musiczoo.models.heads import Centroids, Proxies

LARGE = 256
"""Arrays of up to this size (biases, batch normalisation) are not rounded."""


def fold_batch_normalization(model: keras.Model) -> None:
    """Fold the scale and the mean of each batch normalisation into the convolution before it, in place.

    With ``s = gamma / sqrt(variance + epsilon)`` the kernel becomes ``s * kernel`` and beta becomes
    ``beta - s * mean``; the rest of the normalisation adds beta. The outputs of the model in inference stay the same;
    do not train it any more.

    Args:
        model: A model. Only normalisations that follow a `keras.layers.Conv2D` without bias or activation, which feeds
            no other layer, are folded.

    Example:
        >>> model = keras.Sequential([
        ...     keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3, use_bias=False), keras.layers.BatchNormalization()
        ... ])
        >>> _ = model.layers[1].gamma.assign([2.0, 3.0])
        >>> before = np.asarray(model(np.ones((1, 4, 4, 1))))
        >>> fold_batch_normalization(model)
        >>> np.asarray(model.layers[1].gamma), np.allclose(model(np.ones((1, 4, 4, 1))), before, atol=1e-6)
        (array([1., 1.], dtype=float32), True)
    """
    for norm in leaves(model):
        if not isinstance(norm, keras.layers.BatchNormalization):
            continue
        convolution = norm.input._keras_history.operation
        if not isinstance(convolution, keras.layers.Conv2D) or len(convolution._outbound_nodes) != 1:
            continue
        if convolution.use_bias or convolution.activation is not keras.activations.linear:
            continue
        gamma, beta, mean, variance = (
            np.asarray(weight, np.float64) for weight in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
        )
        scale = gamma / np.sqrt(variance + norm.epsilon)
        convolution.kernel.assign(np.asarray(convolution.kernel) * scale)
        norm.gamma.assign(np.ones_like(gamma))
        norm.beta.assign(beta - scale * mean)
        norm.moving_mean.assign(np.zeros_like(mean))
        norm.moving_variance.assign(np.full_like(variance, 1 - norm.epsilon))


def round_weights(model: keras.Model) -> None:
    """Round all large weights to the nearest float16, in place, except the matrices of the front end.

    Example:
        >>> model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(32)])
        >>> round_weights(model)
        >>> kernel = np.asarray(model.layers[0].kernel)
        >>> np.array_equal(kernel, kernel.astype(np.float16))
        True
    """
    for layer in leaves(model):
        for weight in [] if isinstance(layer, LogMel) else layer.weights:
            if np.prod(weight.shape) > LARGE:
                weight.assign(np.asarray(weight).astype(np.float16).astype(np.float32))


def head(model: keras.Model) -> Centroids | Proxies:
    """Return the head: the layer from the embedding to the logits of the tags."""
    return next(layer for layer in leaves(model) if isinstance(layer, Centroids | Proxies))


def leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the layers of a model and of the models inside it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def export_onnx(model: keras.Model, card: ModelCard, path: Path) -> None:
    """Write a waveform model as an ONNX file.

    Args:
        model: ``[N, card.excerpt_samples]`` -> embedding and tags, with a `LogMel` as one of its layers (see
            `musiczoo.models.architectures.build_waveform`).
        card: The metadata of the file.
        path: The .onnx file to write.

    Raises:
        onnx.checker.ValidationError: If the converter wrote a graph that is not valid ONNX.

    Example:
        >>> import tempfile
        >>> from musiczoo.card import read_card
        >>> from musiczoo.models.architectures import build, build_waveform
        >>> from musiczoo.registry import find
        >>> card = read_card(find("disentangled-classification"))
        >>> path = Path(tempfile.mkdtemp()) / "model.onnx"
        >>> export_onnx(build_waveform(build("disentangled-classification", width=16)), card, path)
        >>> [output.name for output in onnx.load_model(path).graph.output]
        ['embedding', 'tags']
    """
    front_end = next(layer for layer in model.layers if isinstance(layer, LogMel))
    inspected = keras.Model(model.input, {**model.output, LOG_MEL: front_end.output})
    inspected(tf.zeros([1, card.excerpt_samples]))  # Keras builds lazily, and the converter needs a built model
    write_onnx(lambda waveform: inspected(waveform, training=False), card, path)


def write_onnx(function: Any, card: ModelCard, path: Path) -> None:
    """Convert a function of TensorFlow operations, check the result and write it with the card's metadata.

    Args:
        function: ``[N, card.excerpt_samples]`` float32 -> mapping with the `OUTPUTS` and `LOG_MEL`.
        card: The metadata of the file.
        path: The .onnx file to write.

    Raises:
        onnx.checker.ValidationError: If the converter wrote a graph that is not valid ONNX.
    """
    signature = [tf.TensorSpec([None, card.excerpt_samples], tf.float32, name=INPUT_NAME)]
    names = (*OUTPUTS, LOG_MEL)

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def run(waveform: tf.Tensor) -> list[tf.Tensor]:
        outputs = function(waveform)
        return [tf.identity(outputs[name]) for name in names]

    proto, _ = tf2onnx.convert.from_function(run, input_signature=signature, opset=OPSET)
    _name_outputs(proto, names)
    del proto.graph.output[len(OUTPUTS) :]
    _store_as_half(proto)
    helper.set_model_props(proto, card.metadata())
    onnx.checker.check_model(proto, full_check=True)
    onnx.save_model(proto, str(path))


def _name_outputs(proto: onnx.ModelProto, names: tuple[str, ...]) -> None:
    """Rename the outputs to `names`, in their order, and the first axis of input and outputs to N."""
    graph = proto.graph
    new = {value.name: name for value, name in zip(graph.output, names, strict=True)}
    for value in graph.output:
        value.name = new[value.name]
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH_AXIS


def _store_as_half(proto: onnx.ModelProto) -> None:
    """Replace each large initialiser that float16 represents exactly by a float16 initialiser and a cast."""
    casts = []
    for initializer in proto.graph.initializer:
        value = numpy_helper.to_array(initializer)
        if initializer.data_type != TensorProto.FLOAT or value.size <= LARGE:
            continue
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        if np.array_equal(half.astype(np.float32), value):
            name = initializer.name
            initializer.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
