"""Published models in Keras: `from_preset` makes one by name, with its weights.

The ONNX file is the one home of published weights: the Keras weights are read from it, and no other file is shipped.
The exporter folded each batch normalisation into the convolution before it (see `musiczoo.export.onnx`). What remains
is a bias and, for the stem, whose pool stands in between, a scale. The new normalisation has the scale as gamma,
the bias as beta, and neutral statistics.

The batch statistics are lost, so the normalisation layers of a published model are frozen: they stay in inference mode
during any training.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper

from musiczoo.card import EMBEDDING_NAME, MODEL_FILE, ModelCard, read_card, verify_files
from musiczoo.errors import InputError, ModelFileError, MusicZooError
from musiczoo.models.architectures import ARCHITECTURES, CALIBRATION_LAYER, LOGITS_LAYER, build, build_waveform
from musiczoo.models.encoder import trunk
from musiczoo.models.frontend import FRONT_END
from musiczoo.models.heads import Centroids
from musiczoo.registry import find, list_models
from musiczoo.session import check_whole
from musiczoo.taxonomy import Vocabulary

Array = NDArray[np.float32]

_PASSED = ("MaxPool", "Identity")
"""Operations that may stand between a convolution or product and its bias, besides a scale."""


def list_presets(pattern: str = "*") -> list[str]:
    """Return the names of the models that `from_preset` makes: those of `musiczoo.list_models` that musiczoo built.

    Networks of others, such as those of musicnn, exist as ONNX files only.

    Args:
        pattern: Shell-style pattern: ``*`` matches anything, ``?`` one character, ``[abc]`` one of some characters.

    Returns:
        The matching names, sorted.

    Example:
        >>> list_presets("disentangled-t*")
        ['disentangled-triplet', 'disentangled-triplet-track']
    """
    return [name for name in list_models(pattern) if _is_ours(name)]


def from_preset(
    name_or_folder: str | os.PathLike[str], *, front_end: bool = True, trainable: bool = True
) -> keras.Model:
    """Make the Keras model of a published model, with its weights. Its outputs equal the ONNX file's within 1e-5.

    It is an ordinary model: compile it, call ``fit`` and ``predict``, save its weights, use it under a mixed-precision
    policy, or make it in the scope of a ``tf.distribute`` strategy.

    Args:
        name_or_folder: A name of `list_presets`, a model's folder, or whatever else `musiczoo.load` takes.
        front_end: Take waveforms. If false, take log-mels, for training on log-mels that were computed once (see
            `musiczoo.models.frontend.data_front_end`).
        trainable: Train all layers but the batch normalisations, which stay in inference mode because the published
            weights hold no batch statistics. If false, no layer is trained: an encoder for another network. Setting
            ``model.trainable = True`` afterwards would train the normalisations too: make the model again instead.

    Returns:
        A model ``[N, 66150]`` float32 mono waveform at 22,050 Hz in [-1, 1], or ``[N, 129, 128]`` standardised log-mel
        -> ``{"embedding": [N, 256], "tags": [N, T]}``, float32: unit vectors, except for
        ``classification-unnormalized``, and calibrated probabilities, in the order of the card's tags. With
        `front_end`, the second form is a layer of the first, after the `LogMel` layer ``front_end``.

    Raises:
        UnknownNameError: If there is no such model.
        InputError: If musiczoo did not build the model's network, as for ``musicnn-msd``.
        ModelFileError: If a file is missing, altered, or has other layers than its card says.

    Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.2.

    Example:
        >>> model = from_preset("disentangled-classification")
        >>> outputs = model.predict(np.zeros((2, 66_150), np.float32), verbose=0)
        >>> outputs["embedding"].shape, outputs["tags"].shape
        ((2, 256), (2, 50))
        >>> from_preset("disentangled-classification", front_end=False).get_layer("features").output.shape
        (None, 128)
    """
    folder = find(name_or_folder)
    card = read_card(folder)
    if not _built_here(card):
        raise InputError(
            f"Cannot make {card.name!r} in Keras: musiczoo did not build its network. Available: "
            f"{', '.join(list_presets()) or 'none'}."
        )
    contents = verify_files(card, folder, (MODEL_FILE,))
    if MODEL_FILE not in contents:
        raise ModelFileError(f"{folder}: expected the sha256 of {MODEL_FILE} in the card. Publish the model again.")
    graph = _Graph.read(contents[MODEL_FILE], folder / MODEL_FILE)
    model = build(str(card.recipe["model"]), graph.width, Vocabulary(card.tags, card.dimensions, card.spaces))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            graph.fill_convolution(layer, model.get_layer(f"{layer.name}_norm"))
        elif isinstance(layer, keras.layers.Dense):
            kernel, _, bias = graph.weights(layer.name)
            _assign(layer, [kernel, bias])
    _fill_tags(model, graph)
    freeze_normalization(model)
    if front_end:
        model = build_waveform(model)
    if not trainable:
        model.trainable = False
    return model


def _is_ours(name: str) -> bool:
    try:
        return _built_here(read_card(find(name)))
    except MusicZooError:
        return False  # whoever loads the model reports the error


def _built_here(card: ModelCard) -> bool:
    """Return whether musiczoo built the whole network, rather than a head on another encoder."""
    ours = str(card.recipe.get("model")) in ARCHITECTURES and not card.recipe.get("encoder")
    return ours and card.front_end == FRONT_END


def freeze_normalization(model: keras.Model) -> None:
    """Freeze the batch normalisations of a model: they stay in inference mode during training."""
    for layer in trunk(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def _fill_tags(model: keras.Model, graph: "_Graph") -> None:
    """Fill the head and the calibration. The graph holds the product of the scales of both as one array."""
    head, calibration = model.get_layer(LOGITS_LAYER), model.get_layer(CALIBRATION_LAYER)
    points, scale, offset = graph.weights(head.name)
    if isinstance(head, Centroids):
        scale = scale / head.scale
        _assign(head, [points, np.asarray(head.mask)])
    else:
        _assign(head, [points.T, np.asarray(head.masks)])
    _assign(calibration, [scale, offset])


def _assign(layer: keras.layers.Layer, values: Iterable[Array]) -> None:
    shapes = [tuple(weight.shape) for weight in layer.weights]
    full = [
        np.broadcast_to(value, shape) if value.size == 1 else value for value, shape in zip(values, shapes, strict=True)
    ]
    if [value.shape for value in full] != shapes:
        raise ModelFileError(
            f"Layer {layer.name!r}: expected weights of shapes {shapes}, got {[value.shape for value in full]}. "
            "The graph does not match its card: export or install the model again."
        )
    layer.set_weights(full)


@dataclass(frozen=True)
class _Graph:
    """The weights inside an ONNX file that `musiczoo.export.onnx` wrote.

    Keras names layers, and the converter keeps the names as parts of its constants' names.

    Attributes:
        path: The file, for messages.
        nodes: Its operations.
        constants: Initialisers by name, and what is cast from them; float32.
    """

    path: Path
    nodes: tuple[onnx.NodeProto, ...]
    constants: dict[str, Array]

    @classmethod
    def read(cls, content: bytes, path: Path) -> "_Graph":
        """Read the verified content of a file.

        Raises:
            ModelFileError: If it is not an ONNX file, or keeps data in other files.
        """
        check_whole(content, path)
        try:
            graph = onnx.load_model_from_string(content).graph
        except DecodeError as error:
            raise ModelFileError(f"Expected an ONNX file at {path}, got {error}.") from error
        constants = {
            tensor.name: numpy_helper.to_array(tensor).astype(np.float32)
            for tensor in graph.initializer
            if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
        }
        for node in graph.node:
            if node.op_type == "Cast" and node.input[0] in constants:
                constants[node.output[0]] = constants[node.input[0]]
        return cls(path, tuple(graph.node), constants)

    @property
    def width(self) -> int:
        """Channels of an encoder branch."""
        return int(self.weights("stem")[0].shape[0])

    def fill_convolution(self, convolution: keras.layers.Conv2D, norm: keras.layers.BatchNormalization) -> None:
        """Fill a convolution and its normalisation."""
        kernel, scale, bias = self.weights(convolution.name)
        _assign(convolution, [kernel.transpose(2, 3, 1, 0)])
        still = [np.zeros(1, np.float32), np.full(1, 1 - norm.epsilon, np.float32)]  # divides by exactly 1
        _assign(norm, [scale, bias, *still])

    def weights(self, layer: str) -> tuple[Array, Array, Array]:
        """Return the kernel of a layer, and the scale and the bias that follow, ``[outputs]`` or ``[1]`` each.

        Raises:
            ModelFileError: If the graph has no such layer, or computes something else after it.
        """
        if layer not in self._products:
            raise self._other(layer, "none")
        node = self._products[layer]
        kernel = self.constants[node.input[1]]
        scale, bias = np.ones(1, np.float32), np.zeros(1, np.float32)
        if len(node.input) > 2:
            bias = self._flat(node.input[2])
        while True:
            following = self._consumers.get(node.output[0], [])
            if len(following) != 1 or following[0].op_type in ("Relu", "Sigmoid"):
                return kernel, scale, bias
            before, node = node.output[0], following[0]
            if node.op_type == "Mul":
                factor = np.prod([self._factor(name) for name in node.input if name != before], axis=0)
                scale, bias = scale * factor, bias * factor
            elif node.op_type == "Add" and any(name in self.constants for name in node.input):
                bias = bias + next(self._flat(name) for name in node.input if name in self.constants)
            elif node.op_type not in _PASSED:
                raise self._other(layer, node.op_type)

    def _factor(self, name: str) -> Array:
        """Return the constant part of a factor: the converter may move a scale to the lengths of proxies."""
        if name in self.constants:
            return self._flat(name)
        product = next((node for node in self.nodes if name in node.output and node.op_type == "Mul"), None)
        factors = [self._flat(part) for part in product.input if part in self.constants] if product else []
        return factors[0] if factors else np.ones(1, np.float32)

    def _flat(self, constant: str) -> Array:
        """``[1, C, 1, 1]``, ``[C]`` or a number -> ``[C]``."""
        return self.constants[constant].reshape(-1)

    def _other(self, layer: str, got: str) -> ModelFileError:
        return ModelFileError(
            f"{self.path}: expected the layer {layer!r}, a scale and a bias as musiczoo exports them, got "
            f"{got}. Export the model again with this musiczoo."
        )

    @cached_property
    def _consumers(self) -> dict[str, list[onnx.NodeProto]]:
        consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                consumers.setdefault(name, []).append(node)
        return consumers

    @cached_property
    def _products(self) -> dict[str, onnx.NodeProto]:
        """Layer -> its convolution or matrix product."""
        products: dict[str, onnx.NodeProto] = {}
        for node in self.nodes:
            if node.op_type not in ("Conv", "MatMul") or node.input[1] not in self.constants:
                continue
            for part in node.input[1].split("/")[:-1]:
                layer = _layer(part)
                # Proxies have a second product, of the squares, for the lengths.
                if layer != LOGITS_LAYER or node.input[0] == EMBEDDING_NAME:
                    products.setdefault(layer, node)
        return products


def _layer(part: str) -> str:
    """Return a part of a constant's name without the number that Keras adds when a layer is called again."""
    stem, _, number = part.rpartition("_")
    return stem if stem and number.isdigit() else part
