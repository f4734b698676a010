"""An ONNX file -> an onnxruntime session that is what its model's card says."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .card import EMBEDDING_NAME, INPUT_NAME, TAGS_NAME, ModelCard
from .errors import InputError, ModelFileError

INT8_SPACE = "-int8"
"""What an embedding-space id ends with where int8 embeddings may not be mixed with float ones."""

BATCH = 1
"""Excerpts in one run of the graph on a core. More at once take no less time each, and keep other cores waiting."""

DEVICE_BATCH = 32
"""Excerpts in one run of the graph on another device."""

_CPU = "CPUExecutionProvider"
_DECISIVE = ("sample_rate", "excerpt_samples", "spaces", "space_id", "tags", "dimensions", "front_end")
"""The fields of `ModelCard.metadata` in which a card may not differ from its graph."""


_EXTERNAL = re.compile(rb"(\x0a|\x8a\x80{0,8}\0)(\x08|\x88\x80{0,8}\0)location")
"""How each tensor whose data lie in another file says where: the text "location" as a message's first field."""


def open_session(content: bytes, path: Path, providers: Sequence[Any] | None) -> Any:
    """An `onnxruntime.InferenceSession` without threads of its own: its runs are what goes on at the same time.

    Threads that share a run wait for each other at every node, and are not there any more after a fork.

    Args:
        content: Of the ONNX file: it was verified, and is not read again.
        path: What to call it in an error message.
        providers: See `musiczoo.load`.

    Raises:
        ModelFileError: If the model keeps data in other files, or onnxruntime cannot run it.
        InputError: If `providers` is something else.
    """
    check_whole(content, path)
    import onnxruntime

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
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(content, options, providers=[*(p for p in wanted if p != _CPU), _CPU])
    except _errors() as error:
        raise ModelFileError(f"{path}: expected an ONNX model that onnxruntime can run, received {error}") from error


def check_whole(content: bytes, path: Path) -> None:
    """Refuse an ONNX model that keeps data in other files: nobody has verified those, and they may be any files.

    Raises:
        ModelFileError: If it does, or is in onnxruntime's own format.
    """
    # The text first, since looking for it is quick; tensors may hide anywhere, in attributes and functions too.
    if content[4:8] == b"ORTM" or (b"location" in content and _EXTERNAL.search(content)):
        raise ModelFileError(
            f"{path}: expected an ONNX model with all its weights inside, received one with data in other files, or in "
            "another format. Save it as one ONNX file."
        )


def _errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises at models that it cannot read or run."""
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    named = "EPFail Fail InvalidArgument InvalidGraph InvalidProtobuf NotImplemented RuntimeException"
    # RuntimeError: no memory, for one. ValueError: names that are no UTF-8.
    return (*(getattr(errors, name) for name in named.split()), RuntimeError, ValueError, MemoryError)


def batch_size(session: Any) -> int:
    """How many excerpts to run at once."""
    return BATCH if session.get_providers() == [_CPU] else DEVICE_BATCH


def run_session(session: Any, card: ModelCard, outputs: Sequence[str], batch: Any) -> list[Any]:
    """What a graph says of a batch ``[N, excerpt_samples]``: the named outputs, ``[N, columns]`` each.

    Raises:
        ModelFileError: If it fails, or says something of another shape than it promised.
    """
    columns = {EMBEDDING_NAME: card.embedding_size, TAGS_NAME: len(card.tags)}
    try:
        results: list[Any] = session.run(list(outputs), {INPUT_NAME: batch})
    except _errors() as error:
        raise ModelFileError(
            f"Model {card.name!r}: expected its graph to run, received {error}. Export or install the model again."
        ) from error
    for name, result in zip(outputs, results, strict=True):
        if result.shape != (len(batch), columns[name]):
            raise ModelFileError(
                f"Model {card.name!r}: expected {name} {[len(batch), columns[name]]}, received {list(result.shape)}. "
                "Export or install the model again."
            )
    return results


def with_space_of(session: Any, card: ModelCard) -> ModelCard:
    """The card with the space id that a graph of lower precision has of its own, if it has."""
    own = card.space_id + INT8_SPACE
    said = _metadata(session).get("musiczoo.space_id")
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
    try:
        nodes = [*session.get_inputs(), *session.get_outputs()]
        received = {node.name: (node.type, node.shape) for node in nodes}
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path}: expected names in UTF-8, received {error}. Export the model again.") from error
    for name, columns in expected.items():
        kind, shape = received.get(name, ("nothing", []))
        if kind != "tensor(float)" or len(shape) != 2 or shape[1] != columns or isinstance(shape[0], int):
            raise ModelFileError(
                f"{path}: expected {name} as tensor(float) [N, {columns}], as the card says, received {kind} "
                f"{shape}. Export the model again."
            )
    graph, said = _metadata(session), card.metadata()
    for key in (f"musiczoo.{name}" for name in _DECISIVE):
        if key in graph and _parsed(graph[key]) != json.loads(said[key]):
            raise ModelFileError(
                f"{path}: expected the card's {key} {said[key]} in its metadata, received {graph[key]}. "
                "The card was altered, or is another model's: publish, import or install the model again."
            )


def _metadata(session: Any) -> Mapping[str, str]:
    """What the file says of itself; nothing if that is no text."""
    try:
        said: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError:
        return {}
    return said


def _parsed(text: str) -> Any:
    """What a JSON text says; itself if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
