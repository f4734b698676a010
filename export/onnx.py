"""Keras model or TensorFlow function -> one ONNX file, waveform in.

Conventions
-----------
- Input and outputs are named by card.py; their first axis is called N and may have any size.
- The log-mel inside the graph is the tensor `LOG_MEL`, not an output, so that a checker can look at it.
- A weight matrix that float16 holds exactly is stored as float16 and cast to float32 in the graph; runtimes
  fold the cast when they load the file. It halves the file and changes no number; weights.py makes them so.
"""

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
from musiczoo.export.weights import LARGE
from musiczoo.models.frontend import LogMel


def export_onnx(model: keras.Model, card: ModelCard, path: Path) -> None:
    """Write a waveform model as ONNX.

    Args:
        model: ``[N, card.excerpt_samples]`` -> embedding and tags, with a `LogMel` as one of its layers.
        card: Goes into the file's metadata.
        path: Of the .onnx file.

    Raises:
        onnx.checker.ValidationError: If the converter wrote a graph that is not valid ONNX.
    """
    front_end = next(layer for layer in model.layers if isinstance(layer, LogMel))
    inspected = keras.Model(model.input, {**model.output, LOG_MEL: front_end.output})
    inspected(tf.zeros([1, card.excerpt_samples]))  # Keras builds lazily, and the converter does not wait
    write_onnx(lambda waveform: inspected(waveform, training=False), card, path)


def write_onnx(function: Any, card: ModelCard, path: Path) -> None:
    """Convert a function of TensorFlow operations, check the result and write it with the card's metadata.

    Args:
        function: ``[N, card.excerpt_samples]`` float32 -> mapping with the `OUTPUTS` and `LOG_MEL`.
        card: Goes into the file's metadata.
        path: Of the .onnx file.

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
    """Call the outputs by `names`, in their order, and the first axis of input and outputs N."""
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
    """Replace each large initialiser that float16 holds exactly by its float16 and a cast."""
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
