"""Quantize a published model to int8: smaller, and faster on processors that multiply bytes.

Conventions
-----------
- Static quantisation in QDQ form (the graph stays standard ONNX): weights int8 per channel, activations uint8 per
  tensor with ranges from excerpts of the training split. Weights use 7 bits: processors without VNNI sum two products
  in 16 bits, which 8-bit weights would overflow. So all processors give the same numbers.
- These layers stay float: everything before the first convolution (a rounded DFT is inexact), everything after the last
  (little work), and as many of the first or the last convolutions as the gate requires: a log-mel and the first feature
  maps have a wider range than 256 steps resolve. Versions are tried in the order of the work that they save.
- Weights are not rounded to the nearest value, but so that outputs change least (`musiczoo.export.rounding`).
- The gate compares both versions on the validation split: the ROC-AUC of the tags, and the cosine between the
  embeddings of each excerpt.
- The int8 version keeps the model's embedding-space id if a search may mix both versions; otherwise it gets a new one.
"""

import dataclasses
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from musiczoo import audio
from musiczoo._files import atomic_folder
from musiczoo._paths import scratch_folder
from musiczoo.card import CARD_FILE, INPUT_NAME, MODEL_FILE, README_FILE, ModelCard, sha256
from musiczoo.datasets.prepared import Store
from musiczoo.errors import DatasetError, InputError, ParityError
from musiczoo.evaluation import ground_truth
from musiczoo.evaluation.embeddings import Outputs, run_models
from musiczoo.evaluation.metrics import retrieval, tagging
from musiczoo.export import rounding
from musiczoo.export.readme import readme
from musiczoo.model import PRECISIONS, Model, load
from musiczoo.registry import find
from musiczoo.session import INT8_SPACE, open_session

INT8 = "int8"
EXCERPTS = 64
"""Excerpts of the training split, each of another track where there are enough, that set the ranges of activations."""

MAX_AUC_FALL = 0.002
"""Largest accepted decrease of the macro ROC-AUC on the validation split."""

MIN_COSINE = 0.999
"""The mean cosine between the int8 and float32 embeddings of an excerpt must be above this."""

MAX_RECALL_FALL = 0.002
"""Largest decrease of any R@K, with queries of one precision and an index of the other, at which both share a space
id."""

LEAST_WORK = 0.25
"""Least share of the multiplications of all convolutions that is worth an int8 version."""

MIN_ROW, MAX_ROWS = 8, 16
"""A filter of more than `MAX_ROWS` rows that are shorter than `MIN_ROW` (columns times input channels) stays float:
onnxruntime gathers the input of int8 filters row by row, which takes longer than the filter does in float."""

_FOLLOWING = ("Relu", "MaxPool", "Concat")
"""Operations that are quantized behind a quantized one."""

_MOVING = ("Transpose", "Reshape", "Squeeze", "Unsqueeze")
"""Operations that leave the values as they are."""


def quantize(
    name_or_folder: str | Path, store: Store, teachers: Sequence[str], out: Path | None = None
) -> dict[str, Any]:
    """Write the int8 version of a published model: model.int8.onnx beside model.onnx, and its metrics in the card.

    Args:
        name_or_folder: Name or folder of a model.
        store: A prepared data set. Excerpts of its training split set the ranges; its validation split is the gate.
        teachers: Teachers whose labels give the tags of the tracks.
        out: Folder to write the model to; by default the model's own, which is replaced atomically.

    Returns:
        The metrics that go into the card as ``"int8"``: those of `compare_versions`, and ``"float_layers"`` (layers of
        convolutions that stay float), ``"calibration_excerpts"`` and ``"space_id"``.

    Raises:
        ParityError: If no version passes the gate. Nothing is written.
        InputError: If the model has no convolutions, or `out` is another folder.
        DatasetError: If the data cannot be read or are not labelled.
        MusicZooError: If the model cannot be loaded.

    Example:
        >>> from musiczoo.datasets.prepared import Store
        >>> quantize("disentangled-classification", Store.open("data/mine"), ["musicnn-msd"])  # doctest: +SKIP
    """
    folder = find(name_or_folder)
    target = folder if out is None else out
    if target.exists() and not (target / CARD_FILE).is_file():
        raise InputError(f"Cannot write {str(target)!r}: it is not a model's folder. Choose a new folder.")
    model = load(folder)
    calibration = training_excerpts(store, model.card)
    labelled, _ = ground_truth.read(store, "validation", teachers)
    proto = unfold(onnx.load_model(str(folder / MODEL_FILE), load_external_data=False))
    layers = max(depths(proto).values())
    if not layers:
        raise InputError(f"Cannot quantize {model.name!r}: it has no convolutions.")
    with atomic_folder(target) as new:
        for name in set(model.card.files) - {PRECISIONS[INT8]}:
            shutil.copyfile(folder / name, new / name)
        shortfall = ""
        for first, last in candidates(proto, calibration[0]):
            write_int8(proto, new / PRECISIONS[INT8], calibration, first, last)
            _sign(new, model.card)
            candidate = load(new, precision=INT8)
            cosine = float(cosines(model.embed(calibration), candidate.embed(calibration)).mean())
            shortfall = f"a mean cosine of {cosine:.5f} on the training excerpts"
            if not cosine > MIN_COSINE:
                continue
            metrics = _evaluate(model, candidate, store, labelled)
            shortfall = _shortfall(metrics)
            if not shortfall:
                space_id = model.card.space_id + ("" if _mixes(metrics) else INT8_SPACE)
                metrics |= {
                    "float_layers": first + layers - last,
                    "calibration_excerpts": len(calibration),
                    "space_id": space_id,
                }
                _set_metadata(new / PRECISIONS[INT8], space_id=space_id)
                _sign(new, dataclasses.replace(model.card, metrics={**model.card.metrics, INT8: metrics}))
                return metrics
        raise ParityError(
            f"{model.name}: expected an int8 version with a ROC-AUC at most {MAX_AUC_FALL:g} lower and a mean cosine "
            f"above {MIN_COSINE:g}, got {shortfall} with as many layers in float as are worth it. Nothing was written: "
            "publish the model without int8."
        )


def training_excerpts(store: Store, card: ModelCard, count: int = EXCERPTS) -> NDArray[np.float32]:
    """Read excerpts from the middles of tracks spread over the training split: ``[N, excerpt_samples]``.

    Raises:
        DatasetError: If there are no training tracks.
        AudioError: If a track cannot be decoded.
    """
    tracks = store.split("train")
    if not tracks:
        raise DatasetError(f"Expected training tracks in {store.root}, got none.")
    chosen = [tracks[i * len(tracks) // count] for i in range(count)] if len(tracks) > count else tracks
    return np.stack([x for track in chosen for _, x in audio.excerpts(store.audio(track.id), card, count=1)])


def unfold(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with float32 weights in place of float16 weights and casts, and a name for every node."""
    weights = {initializer.name: initializer for initializer in proto.graph.initializer}
    nodes = []
    for node in proto.graph.node:
        if node.op_type == "Cast" and node.input[0] in weights:
            value = numpy_helper.to_array(weights[node.input[0]])
            dtype = helper.tensor_dtype_to_np_dtype(node.attribute[0].i)
            weights[node.input[0]].CopyFrom(numpy_helper.from_array(value.astype(dtype), node.output[0]))
        else:
            node.name = node.name or node.output[0]
            nodes.append(node)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return proto


def depths(proto: onnx.ModelProto) -> dict[str, int]:
    """Return for each node the largest number of convolutions on a path from the input to its output."""
    of_tensor: dict[str, int] = {}
    of_node: dict[str, int] = {}
    for node in proto.graph.node:  # the standard requires topological order
        depth = max((of_tensor.get(name, 0) for name in node.input), default=0) + (node.op_type == "Conv")
        of_node[node.name] = depth
        of_tensor |= dict.fromkeys(node.output, depth)
    return of_node


def candidates(proto: onnx.ModelProto, excerpt: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Return which layers to try to quantize, those with the most work first.

    Args:
        proto: A graph of `unfold`.
        excerpt: ``[excerpt_samples]``.

    Returns:
        Spans (first, last): layers of greater depth than the first up to the last. Spans of the same convolutions occur
        once, the one with the most layers; those with less than `LEAST_WORK` of all multiplications are left out.
    """
    convolutions = {node.name: node for node in proto.graph.node if node.op_type == "Conv"}
    kernels = {tensor.name: tensor.dims for tensor in proto.graph.initializer}
    outputs = [node.output[0] for node in convolutions.values()]
    values = next(_values(proto, outputs, excerpt[np.newaxis]))
    work = {
        name: values[node.output[0]].size * float(np.prod(kernels[node.input[1]][1:]))
        for name, node in convolutions.items()
    }
    layers = max(depths(proto).values())
    found: dict[frozenset[str], tuple[int, int]] = {}
    for first, last in sorted(itertools.combinations(range(layers + 1), 2), key=lambda span: span[0] - span[1]):
        chosen = frozenset(name for name in quantized_nodes(proto, first, last) if name in work)
        found.setdefault(chosen, (first, last))
    shares = {span: sum(work[name] for name in chosen) / sum(work.values()) for chosen, span in found.items()}
    return sorted((span for span in shares if shares[span] >= LEAST_WORK), key=lambda span: -shares[span])


def quantized_nodes(proto: onnx.ModelProto, float_layers: int = 0, last: int | None = None) -> list[str]:
    """Return the names of the nodes to quantize: convolutions, and what can follow them without a conversion.

    Tall filters of short rows stay float (`MIN_ROW`), and so does everything behind a dense layer that is behind a
    convolution: it is little work.

    Args:
        proto: A graph of `unfold`.
        float_layers: Nodes of this depth (see `depths`) or less stay float.
        last: Nodes of a greater depth stay float, too.
    """
    depth, constants = depths(proto), {tensor.name: tensor for tensor in proto.graph.initializer}
    dense, int8, found = set[str](), set[str](), list[str]()
    for node in proto.graph.node:
        if dense & set(node.input) or (node.op_type in ("Gemm", "MatMul") and depth[node.name]):
            dense |= set(node.output)
        elif float_layers < depth[node.name] <= (last or depth[node.name]):
            if node.op_type == "Conv":
                shape = constants[node.input[1]].dims
                wanted = shape[1] * shape[-1] >= MIN_ROW or np.prod(shape[2:-1]) <= MAX_ROWS
            else:
                wanted = node.op_type in _FOLLOWING and bool(int8 & set(node.input))
            if wanted:
                found.append(node.name)
            if wanted or (node.op_type in _MOVING and int8 & set(node.input)):
                int8 |= set(node.output)
    return found


def limited(proto: onnx.ModelProto) -> dict[str, str]:
    """Return the tensors that only their limits use: output of a convolution, or of its pool -> the limited tensor.

    Limits are the nodes Max and Min with constants, as `musiczoo.export.musicnn` writes them. What lies beyond the
    limits of all channels need not be represented, which halves the range of a tensor or better.
    """
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in proto.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    found: dict[str, str] = {}
    for node in proto.graph.node:
        chain = [node]
        while len(after := users.get(chain[-1].output[0], [])) == 1 and len(chain) < 4:
            chain.append(after[0])
        kinds = [part.op_type for part in chain]
        for wanted in (["Conv", "Max", "Min"], ["Conv", "MaxPool", "Max", "Min"]):
            if kinds[: len(wanted)] == wanted:
                found |= {part.output[0]: chain[len(wanted) - 1].output[0] for part in chain[: len(wanted) - 2]}
    return found


def write_int8(
    proto: onnx.ModelProto, path: Path, excerpts: NDArray[np.float32], float_layers: int = 0, last: int | None = None
) -> None:
    """Quantize a graph.

    Args:
        proto: A graph of `unfold`.
        path: The .onnx file to write.
        excerpts: ``[N, excerpt_samples]`` that set the ranges of activations.
        float_layers: Nodes of this depth (see `depths`) or less stay float.
        last: Nodes of a greater depth stay float, too.

    Raises:
        onnx.checker.ValidationError: If the result is not valid ONNX.
    """
    nodes = quantized_nodes(proto, float_layers, last)
    prepared, scales = _prepare(proto, nodes, excerpts)
    known = helper.make_model(prepared.graph, opset_imports=proto.opset_import, ir_version=proto.ir_version)
    helper.set_model_props(known, {"onnx.quant.pre_process": "onnxruntime.quant"})  # or onnxruntime advises to run it
    with scratch_folder("int8") as scratch:
        result = scratch / "int8.onnx"
        onnxruntime.set_default_logger_severity(3)  # the sessions of its calibration warn of each weight that they fold
        quantize_static(
            known, result, _Excerpts(excerpts), quant_format=QuantFormat.QDQ, nodes_to_quantize=nodes,
            op_types_to_quantize=["Conv", *_FOLLOWING], per_channel=True, reduce_range=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            # Float nodes keep a float input: onnxruntime is slow at pools between float and int8.
            extra_options={"DedicatedQDQPair": True, "TensorQuantOverrides": scales},
        )  # fmt: skip
        quantized = onnx.load_model(str(result))
    helper.set_model_props(quantized, {prop.key: prop.value for prop in proto.metadata_props})
    onnx.checker.check_model(quantized, full_check=True)
    onnx.save_model(quantized, str(path))
    _set_metadata(path, precision=INT8)


def compare_versions(float32: Outputs, int8: Outputs, labelled: ground_truth.GroundTruth) -> dict[str, Any]:
    """Compare the outputs of two versions of a model for the same tracks.

    Args:
        float32: Outputs of the published version.
        int8: Outputs of the int8 version.
        labelled: Tags of the tracks, in the same order.

    Returns:
        ``"tracks"``; ``"roc_auc"``: macro, by precision; ``"cosine"``: mean over excerpts; ``"recall"``: R@K of
        tracks, for each K ``{"float32", "int8_queries", "int8_index"}``, where the other side is float32.
    """
    scores = {"float32": float32.tags, INT8: int8.tags}
    pairs = {
        "float32": (float32.vectors, float32.vectors),
        "int8_queries": (int8.vectors, float32.vectors),
        "int8_index": (float32.vectors, int8.vectors),
    }
    recall = {name: mixed_recall(queries, index, labelled.positives) for name, (queries, index) in pairs.items()}
    return {
        "tracks": len(labelled.ids),
        "roc_auc": {
            name: tagging.evaluate(tags, labelled.positives, labelled.tags)["roc_auc"]["value"]
            for name, tags in scores.items()
        },
        "cosine": float(cosines(np.concatenate(float32.excerpts), np.concatenate(int8.excerpts)).mean()),
        "recall": {
            str(k): {name: values[k - 1] for name, values in recall.items()}
            for k in retrieval.KS
            if k < len(labelled.ids)
        },
    }


def mixed_recall(queries: ArrayLike, index: ArrayLike, positives: ArrayLike) -> list[float]:
    """Return the mean recall between queries and an index of different versions: R@1, R@2, ..., R@max(KS).

    Args:
        queries: ``[tracks, E]``; each is a query against all other rows of `index`.
        index: ``[tracks, E]``, of the same tracks.
        positives: ``[tracks, tags]``.
    """
    q, x = np.asarray(queries, np.float64), np.asarray(index, np.float64)
    near = np.empty((len(q), min(max(retrieval.KS), len(q) - 1)), np.intp)
    for i, query in enumerate(q):
        score = x @ query
        score[i] = -np.inf
        near[i] = np.argsort(-score, kind="stable")[: near.shape[1]]
    means: list[float] = np.nanmean(retrieval.recall_at_k(near, positives), axis=0).tolist()
    return means


def cosines(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine of each pair of rows, ``[N, E] -> [N]``: 1 where both are zero, 0 where one is.

    Example:
        >>> cosines(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 0.0]]))
        array([0.6, 1. ])
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    alike = np.asarray(~a.any(axis=1) & ~b.any(axis=1), np.float64)
    return np.asarray(np.divide((a * b).sum(axis=1), length, out=alike, where=length > 0), np.float64)


Overrides = dict[str, list[dict[str, Any]]]
"""Tensor -> its scale or range, or those of its channels, in onnxruntime's form."""


def _prepare(
    proto: onnx.ModelProto, nodes: Sequence[str], excerpts: NDArray[np.float32]
) -> tuple[onnx.ModelProto, Overrides]:
    """Round the weights of convolutions, and balance the channels of their inputs (see `musiczoo.export.rounding`).

    Returns:
        A graph of the same function but for the rounding, and the scales that it was rounded to.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    made_by = {name: node.name for node in proto.graph.node for name in node.output}
    convolutions = [node for node in copy.graph.node if node.op_type == "Conv" and node.name in nodes]
    limits = limited(proto)
    names = sorted({node.input[0] for node in convolutions} | set(limits.values()))
    random = np.random.default_rng(0)
    seen: dict[str, list[NDArray[np.float32]]] = {node.name: [] for node in convolutions}
    ranges = dict.fromkeys(limits.values(), (0.0, 0.0))
    constants = {tensor.name: tensor for tensor in copy.graph.initializer}
    kernels = {node.name: numpy_helper.to_array(constants[node.input[1]]) for node in convolutions}
    for values in _values(proto, names, excerpts):
        for name, (least, most) in ranges.items():
            ranges[name] = min(least, float(values[name].min())), max(most, float(values[name].max()))
        for node in convolutions:
            shape = kernels[node.name].shape[2:]
            if (pads := _pads(node, len(shape))) is not None:
                seen[node.name].append(rounding.patches(values[node.input[0]], shape, pads, random))
    scales = {tensor: _range(*ranges[name]) for tensor, name in limits.items() if made_by[tensor] in nodes}
    for node in convolutions:
        if not seen[node.name]:
            continue
        kernel, inputs = kernels[node.name], np.concatenate(seen[node.name])
        if kernel.shape[1] > 1 and made_by.get(node.input[0]) not in nodes:
            channels = np.moveaxis(inputs.reshape(len(inputs), kernel.shape[1], -1), 1, 2).reshape(-1, kernel.shape[1])
            factor, limits_of = rounding.balanced(channels, kernel)
            axes = (1, -1, *[1] * (kernel.ndim - 2))
            node.input[0] = _scaled(copy, node, factor.reshape(axes))
            scales[node.input[0]] = _range(*limits_of)
            inputs, kernel = inputs * np.repeat(factor, kernel[0, 0].size), kernel / factor.reshape(axes)
        result = rounding.rounded(kernel, inputs)
        _correct(copy, node, result.bias)
        constants[node.input[1]].CopyFrom(numpy_helper.from_array(result.kernel, node.input[1]))
        scales[node.input[1]] = [
            {"axis": 0, "scale": scale, "zero_point": np.int8(0), "quant_type": QuantType.QInt8}
            for scale in result.scale
        ]
    return copy, scales


def _range(least: float, most: float) -> list[dict[str, Any]]:
    return [{"rmin": np.float32(least), "rmax": np.float32(most)}]


def _values(
    proto: onnx.ModelProto, names: Sequence[str], excerpts: NDArray[np.float32]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Yield tensors of a graph for each excerpt."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    copy.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    session = open_session(copy.SerializeToString(), Path(MODEL_FILE), None)
    for excerpt in excerpts:
        yield dict(zip(names, session.run(list(names), {INPUT_NAME: excerpt[np.newaxis]}), strict=True))


def _pads(node: onnx.NodeProto, axes: int) -> tuple[int, ...] | None:
    """Return the padding of a convolution over some axes; None if it has strides, dilations or groups."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    plain = {"strides": [1] * axes, "dilations": [1] * axes, "group": 1, "auto_pad": b"NOTSET"}
    if any(attributes.get(name, value) != value for name, value in plain.items()):
        return None
    return tuple(attributes.get("pads", [0] * 2 * axes))


def _scaled(proto: onnx.ModelProto, node: onnx.NodeProto, factor: NDArray[np.float32]) -> str:
    """Multiply the input of a node; return the name of the product."""
    name = f"{node.name}/balanced"
    proto.graph.initializer.append(numpy_helper.from_array(factor, f"{name}/factor"))
    place = next(i for i, other in enumerate(proto.graph.node) if other.name == node.name)
    proto.graph.node.insert(place, helper.make_node("Mul", [node.input[0], f"{name}/factor"], [name], name))
    return name


def _correct(proto: onnx.ModelProto, node: onnx.NodeProto, change: NDArray[np.float32]) -> None:
    """Add to the bias of a convolution."""
    bias = change
    if len(node.input) > 2:
        bias = change + numpy_helper.to_array(next(t for t in proto.graph.initializer if t.name == node.input[2]))
        del node.input[2]
    name = f"{node.name}/bias"
    proto.graph.initializer.append(numpy_helper.from_array(np.asarray(bias, np.float32), name))
    node.input.append(name)


class _Excerpts(CalibrationDataReader):  # type: ignore[misc]
    """Excerpts for onnxruntime's calibration, one in a batch."""

    def __init__(self, excerpts: Iterable[NDArray[np.float32]]) -> None:
        self._left = iter(excerpts)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next excerpt as a batch of one, or None."""
        excerpt = next(self._left, None)
        return None if excerpt is None else {INPUT_NAME: excerpt[np.newaxis]}


def _evaluate(float32: Model, int8: Model, store: Store, labelled: ground_truth.GroundTruth) -> dict[str, Any]:
    answers, undecoded = run_models([float32, int8], store, [store.track(track_id) for track_id in labelled.ids])
    outputs = [answer for answer in answers if isinstance(answer, Outputs)]
    for answer in answers:
        if not isinstance(answer, Outputs):
            raise answer
    decoded = [track_id for track_id in labelled.ids if track_id not in undecoded]
    ground_truth.require_tracks(decoded, store, "validation", (), undecoded)
    return compare_versions(outputs[0], outputs[1], labelled.only(decoded))


def _shortfall(metrics: dict[str, Any]) -> str:
    """Return why a version does not pass the gate; empty if it passes."""
    auc, cosine = metrics["roc_auc"], metrics["cosine"]
    if auc[INT8] >= auc["float32"] - MAX_AUC_FALL and cosine > MIN_COSINE:
        return ""
    return f"a ROC-AUC of {auc[INT8]:.4f} instead of {auc['float32']:.4f} and a mean cosine of {cosine:.5f}"


def _mixes(metrics: dict[str, Any]) -> bool:
    """Whether a search may mix queries and an index of different versions."""
    return all(
        value >= by_side["float32"] - MAX_RECALL_FALL
        for by_side in metrics["recall"].values()
        for value in by_side.values()
    )


def _set_metadata(path: Path, **values: str) -> None:
    proto = onnx.load_model(str(path))
    props = {prop.key: prop.value for prop in proto.metadata_props}
    helper.set_model_props(proto, props | {f"musiczoo.{key}": json.dumps(value) for key, value in values.items()})
    onnx.save_model(proto, str(path))


def _sign(folder: Path, card: ModelCard) -> None:
    """Write the README and the card, with the sha256 of all files."""
    (folder / README_FILE).write_text(readme(card), encoding="utf-8")
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != CARD_FILE}
    (folder / CARD_FILE).write_text(dataclasses.replace(card, files=files).to_json(), encoding="utf-8")
