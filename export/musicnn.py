"""Import the two Million Song Dataset networks of the musicnn wheel as ordinary models.

The wheel's code does not run beside a current numpy, and the networks are TensorFlow 1 checkpoints. Only
their graphs and weights are read here: variables and the is-training switch become constants, the front end
goes in front, and one ONNX file from waveform to tags comes out.

musicnn computes its log-mel in float16, which overflows above an energy of 6.5 and turns tags of most loud
music into NaN. Here all is float32.

Source: Pons and Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging",
ISMIR 2019 late-breaking demo (arXiv:1909.06654).
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from musiczoo.card import CARD_FILE, EMBEDDING_NAME, MODEL_FILE, TAGS_NAME, FrontEnd, ModelCard
from musiczoo.export.musicnn_wheel import NETWORKS, Network, unpack, wrong_wheel
from musiczoo.export.onnx import LOG_MEL, write_onnx
from musiczoo.export.publish import publish
from musiczoo.export.verify import TOLERANCE, check_front_end, compare, run_onnx
from musiczoo.models.frontend import LogMel
from musiczoo.taxonomy import DIMENSION_TAGS, PLAIN_SPACE, TAGS

__all__ = ["NETWORKS", "import_musicnn", "unpack"]

SAMPLE_RATE = 16_000
EXCERPT_SAMPLES = 3 * SAMPLE_RATE
FRONT_END = FrontEnd(n_fft=512, n_mels=96, gain=10_000.0)

THRESHOLD = 0.2
"""Probability from which on a tag is said to apply, for want of labels to choose one a tag. Far below 1/2:
the best threshold for F1 is half the F1 that can be reached (Lipton et al., 2014), little for rare tags."""

FRONT_END_TOLERANCE = 1e-4
"""Their gain of 10,000 lifts what float32 rounds off in faint bands beside loud ones: 5e-5 on music, where
the tags agree within 1e-6 nevertheless."""

_LOG_MEL = "model/Placeholder"
_TAGS = "model/Sigmoid"

_OPERATIONS = {
    "Add", "BiasAdd", "ConcatV2", "Const", "Conv2D", "ExpandDims", "Floor", "FusedBatchNorm", "Identity",
    "MatMul", "Max", "MaxPool", "Mean", "Merge", "Mul", "Pack", "Pad", "Placeholder", "RandomUniform", "RealDiv",
    "Relu", "Reshape", "Rsqrt", "Shape", "Sigmoid", "SquaredDifference", "Squeeze", "StopGradient",
    "StridedSlice", "Sub", "Switch", "Transpose", "VariableV2",
}  # fmt: skip
"""Those of the two networks, and none that reads or writes files: a graph is a program, and this one is run."""

_UNREADABLE = (DecodeError, tf.errors.OpError, RuntimeError, LookupError, ValueError)
"""What TensorFlow raises for a damaged checkpoint, depending on where the damage is."""


def import_musicnn(wheel: Path, zoo: Path | None = None) -> list[Path]:
    """Make ``musicnn-msd`` and ``vgg-msd`` out of the wheel of musicnn 0.1.0.

    Args:
        wheel: The .whl file.
        zoo: Folder of models; the user's zoo by default.

    Returns:
        The folders of the two models.

    Raises:
        ModelFileError: If the file is not that wheel.
        ParityError: If a converted network differs from its checkpoint.
    """
    with tempfile.TemporaryDirectory(prefix="musiczoo-musicnn-") as scratch:
        exports = [Path(scratch, network.name) for network in NETWORKS]
        for network, out in zip(NETWORKS, exports, strict=True):
            checkpoint = unpack(wheel, network, out / "checkpoint")
            try:
                graph, hidden, size = frozen_graph(checkpoint)
            except _UNREADABLE as error:
                received = f"a checkpoint in {network.folder} that cannot be read ({error})"
                raise wrong_wheel(wheel, received) from error
            model = waveform_function(graph, hidden, size)
            card = _card(network, size, _parameters(checkpoint))
            write_onnx(model, card, out / MODEL_FILE)
            excerpts = _noise()
            compare({"tensorflow": model(excerpts), "onnx": run_onnx(out / MODEL_FILE, excerpts)}, TOLERANCE)
            check_front_end(out / MODEL_FILE, card, excerpts, FRONT_END_TOLERANCE)
            (out / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
        return [publish(out, zoo) for out in exports]


def frozen_graph(checkpoint: Path) -> tuple[graph_pb2.GraphDef, str, int]:
    """The inference graph of a checkpoint, from ``[N, 187, 96]`` log-mel to tags, all variables constants.

    Args:
        checkpoint: The checkpoint's prefix; its graph is in the .meta file beside it.

    Returns:
        The graph, the name of its last hidden layer (what the final dense layer multiplies), and that
        layer's size.
    """
    meta = meta_graph_pb2.MetaGraphDef()
    meta.ParseFromString(Path(f"{checkpoint}.meta").read_bytes())
    for node in meta.graph_def.node:
        node.attr.pop("_output_shapes", None)  # of another TensorFlow, which this one rejects
    graph = _needed_for(_TAGS, meta.graph_def)
    if others := {node.op for node in graph.node} - _OPERATIONS:
        raise ValueError(f"operations that the networks do not have: {', '.join(sorted(others))}")
    weights = tf.train.load_checkpoint(str(checkpoint))
    for node in graph.node:
        if node.op == "VariableV2":
            _make_constant(node, weights.get_tensor(node.name))
        elif node.op == "Placeholder" and node.attr["dtype"].type == tf.bool.as_datatype_enum:
            _make_constant(node, np.array(False))  # is_training
    nodes = {node.name: node for node in graph.node}
    hidden, kernel = nodes[nodes[nodes[_TAGS].input[0]].input[0]].input
    size, tags = weights.get_tensor(kernel.removesuffix("/read")).shape
    if tags != len(TAGS):
        raise ValueError(f"{tags} outputs instead of {len(TAGS)}")
    return graph, hidden, size


def waveform_function(graph: graph_pb2.GraphDef, hidden: str, size: int) -> Callable[[Any], dict[str, tf.Tensor]]:
    """The function ``[N, 48000]`` waveform -> embedding (unit length), tags and log-mel.

    Args:
        graph: From `frozen_graph`.
        hidden: Name of its last hidden layer.
        size: Size of that layer.
    """
    front_end = LogMel(FRONT_END, SAMPLE_RATE)
    front_end.build((None, EXCERPT_SAMPLES))  # variables must exist before the function is traced

    @tf.function  # type: ignore[untyped-decorator]
    def run(waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        log_mel = front_end(waveform)
        features, tags = tf.graph_util.import_graph_def(
            graph, {_LOG_MEL: log_mel}, [f"{hidden}:0", f"{_TAGS}:0"], name=""
        )
        embedding = tf.math.l2_normalize(tf.ensure_shape(features, [None, size]), axis=-1)
        return {EMBEDDING_NAME: embedding, TAGS_NAME: tags, LOG_MEL: log_mel}

    return run  # type: ignore[no-any-return]


def _noise() -> NDArray[np.float32]:
    """Two excerpts of noise, soft and loud, that show whether a conversion went right: ``[2, 48000]``."""
    noise = np.random.default_rng(0).uniform(-1, 1, EXCERPT_SAMPLES)
    return np.stack([0.01 * noise, np.cumsum(noise) / np.abs(np.cumsum(noise)).max()]).astype(np.float32)


def _needed_for(output: str, graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The part of a graph that computes one of its nodes."""
    nodes = {node.name: node for node in graph.node}
    pending, found = [output], set()
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += [source.removeprefix("^").split(":")[0] for source in nodes[name].input]
    part = graph_pb2.GraphDef(versions=graph.versions)  # and no functions, which could bear an operation's name
    part.node.extend(node for node in graph.node if node.name in found)
    return part


def _make_constant(node: Any, value: np.ndarray[Any, Any]) -> None:
    node.op = "Const"
    node.attr.clear()
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))


def _parameters(checkpoint: Path) -> int:
    """Count of trained numbers: no moving statistics, no optimiser's state."""
    shapes = tf.train.load_checkpoint(str(checkpoint)).get_variable_to_shape_map()
    trained = ("/kernel", "/bias", "/gamma", "/beta")
    return sum(int(np.prod(shape)) for name, shape in shapes.items() if name.endswith(trained))


def _card(network: Network, embedding_size: int, parameters: int) -> ModelCard:
    return ModelCard(
        name=network.name,
        version="0.1.0",
        summary=network.summary,
        licence="ISC",
        sample_rate=SAMPLE_RATE,
        excerpt_samples=EXCERPT_SAMPLES,
        embedding_size=embedding_size,
        spaces={PLAIN_SPACE: (0, embedding_size)},
        space_id=f"{network.name}-0.1.0",
        tags=TAGS,
        dimensions=DIMENSION_TAGS,
        thresholds=dict.fromkeys(TAGS, THRESHOLD),
        front_end=FRONT_END,
        parameters=parameters,
        data="Million Song Dataset, the usual tagging split (201,680 training tracks); not shipped.",
        labels="The 50 most frequent Last.fm tags of the Million Song Dataset.",
        metrics={"published": network.published},
        recipe={"trained by": "Jordi Pons", "checkpoint": f"{network.folder} in musicnn 0.1.0"},
        limits=(
            "Probabilities are not calibrated; one threshold serves all tags.",
            "Tags are what listeners of the 2000s wrote on Last.fm, mostly about Western popular music.",
        ),
        intended_use="Tagging, and a teacher for models on music that nobody has tagged.",
        sources=(
            "Jordi Pons, Xavier Serra: musicnn: pre-trained convolutional neural networks for music audio "
            "tagging. ISMIR 2019 late-breaking demo (arXiv:1909.06654). Copyright Music Technology Group, "
            "Universitat Pompeu Fabra 2019. https://github.com/jordipons/musicnn",
        ),
    )
