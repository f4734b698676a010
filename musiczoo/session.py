"""An ONNX file -> an onnxruntime session that is what its model's card says."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .card import EMBEDDING_NAME, INPUT_NAME, TAGS_NAME, ModelCard
from .errors import InputError, ModelFileError

INT8_SPACE = "-int8"
"""What an embedding-space id ends with where int8 embeddings may not be mixed with float ones."""

_CPU = "CPUExecutionProvider"
_DECISIVE = ("sample_rate", "excerpt_samples", "spaces", "space_id", "tags", "dimensions", "front_end")
"""The fields of `ModelCard.metadata` in which a card may not differ from its graph."""


def open_session(path: Path, providers: Sequence[Any] | None, threads: int | None) -> Any:
    """An `onnxruntime.InferenceSession`: see `musiczoo.load` for the arguments.

    Raises:
        ModelFileError: If onnxruntime cannot run the file.
        InputError: If an argument is something else.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    if isinstance(providers, str):
        raise InputError(f"Expected a list of providers, received the string {providers!r}: write [{providers!r}].")
    wanted = list(providers or [])
    available = onnxruntime.get_available_providers()
    for provider in wanted:
        name = provider if isinstance(provider, str) else provider[0]
        if name not in available:
            raise InputError(f"Expected providers out of {available}, received {name!r}. Install its package.")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = _threads(threads)
    try:
        return onnxruntime.InferenceSession(path, options, providers=[*(p for p in wanted if p != _CPU), _CPU])
    except (
        errors.Fail,
        errors.InvalidArgument,
        errors.InvalidGraph,
        errors.InvalidProtobuf,
        errors.NotImplemented,
        errors.RuntimeException,
    ) as error:
        raise ModelFileError(f"{path}: expected an ONNX model that onnxruntime can run, received {error}") from error


def _threads(threads: int | None) -> int:
    """What onnxruntime is told; 0 is its default, one thread per physical core of the machine."""
    if threads is None:
        # A process may have fewer cores than the machine, as in a container: the default would be too many.
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return 0 if allowed is None or allowed == os.cpu_count() else allowed
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InputError(f"Expected a whole number of threads from 1, received {threads!r}.")
    return threads


def with_space_of(session: Any, card: ModelCard) -> ModelCard:
    """The card with the space id that a graph of lower precision has of its own, if it has."""
    own = card.space_id + INT8_SPACE
    said = session.get_modelmeta().custom_metadata_map.get("musiczoo.space_id")
    return replace(card, space_id=own) if said == json.dumps(own, ensure_ascii=False) else card


def check_graph(session: Any, card: ModelCard, path: Path) -> None:
    """Compare the graph with the card.

    Raises:
        ModelFileError: If a name, a shape or the metadata in the graph differ from the card's.
    """
    expected = {
        INPUT_NAME: card.excerpt_samples,
        EMBEDDING_NAME: card.embedding_size,
        TAGS_NAME: len(card.tags),
    }
    nodes = [*session.get_inputs(), *session.get_outputs()]
    received = {node.name: (node.type, node.shape) for node in nodes}
    for name, columns in expected.items():
        kind, shape = received.get(name, ("nothing", []))
        if kind != "tensor(float)" or len(shape) != 2 or shape[1] != columns or isinstance(shape[0], int):
            raise ModelFileError(
                f"{path}: expected {name} as tensor(float) [N, {columns}], as the card says, received {kind} "
                f"{shape}. Export the model again."
            )
    graph, said = session.get_modelmeta().custom_metadata_map, card.metadata()
    for key in (f"musiczoo.{name}" for name in _DECISIVE):
        if key in graph and json.loads(graph[key]) != json.loads(said[key]):
            raise ModelFileError(
                f"{path}: expected the card's {key} {said[key]} in its metadata, received {graph[key]}. "
                "The card was altered, or is another model's: publish, import or install the model again."
            )
