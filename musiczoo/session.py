"""Open an ONNX file as an onnxruntime session, and check that it fits the model's card."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .card import EMBEDDING_NAME, INPUT_NAME, TAGS_NAME, ModelCard
from .errors import InputError, ModelFileError

INT8_SPACE = "-int8"
"""Ending of an embedding-space id where int8 embeddings may not be mixed with float32 ones."""

BATCH = 1
"""Excerpts in one run of the graph on a core. Larger batches are not faster, and keep other cores waiting."""

DEVICE_BATCH = 32
"""Excerpts in one run of the graph on another device."""

_CPU = "CPUExecutionProvider"
_DECISIVE = ("sample_rate", "excerpt_samples", "spaces", "space_id", "tags", "dimensions", "front_end")
"""Fields of `ModelCard.metadata` in which the card and the graph must agree."""


_EXTERNAL = re.compile(rb"(\x0a|\x8a\x80{0,8}\0)(\x08|\x88\x80{0,8}\0)location")
"""The entry of a tensor whose data are in another file: the text "location" as the first field of a message."""


def open_session(content: bytes, path: Path, providers: Sequence[Any] | None) -> Any:
    """Open an `onnxruntime.InferenceSession` that uses one thread: callers run it in several threads.

    Threads inside the session would wait for each other at every node, and would be gone after a fork.

    Args:
        content: Verified content of the ONNX file, which is not read again.
        path: Name of the file for error messages.
        providers: See `musiczoo.load`.

    Raises:
        ModelFileError: If the model keeps data in other files, or onnxruntime cannot run it.
        InputError: If `providers` is invalid.
    """
    check_whole(content, path)
    import onnxruntime

    if isinstance(providers, str):
        raise InputError(f"Expected a list of providers, got the string {providers!r}. Write [{providers!r}].")
    wanted = list(providers or [])
    available = onnxruntime.get_available_providers()
    for provider in wanted:
        name = provider if isinstance(provider, str) else provider[0]
        if name not in available:
            raise InputError(f"Expected providers out of {available}, got {name!r}. Install its package.")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(content, options, providers=[*(p for p in wanted if p != _CPU), _CPU])
    except _errors() as error:
        raise ModelFileError(f"{path}: expected an ONNX model that onnxruntime can run, got {error}") from error


def check_whole(content: bytes, path: Path) -> None:
    """Check that an ONNX model keeps no data in other files: those are not verified, and could be any files.

    Raises:
        ModelFileError: If it does, or is in onnxruntime's own format.
    """
    # The plain text first, since that search is fast. Tensors may be anywhere, also in attributes and functions.
    if content[4:8] == b"ORTM" or (b"location" in content and _EXTERNAL.search(content)):
        raise ModelFileError(
            f"{path}: expected an ONNX model with all its weights inside, got one with data in other files, or in "
            "another format. Save it as one ONNX file."
        )


def _errors() -> tuple[type[Exception], ...]:
    """Return the errors that onnxruntime raises for models that it cannot read or run."""
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    named = "EPFail Fail InvalidArgument InvalidGraph InvalidProtobuf NotImplemented RuntimeException"
    # RuntimeError: for example, out of memory. ValueError: names that are not UTF-8.
    return (*(getattr(errors, name) for name in named.split()), RuntimeError, ValueError, MemoryError)


def batch_size(session: Any) -> int:
    """Return the number of excerpts to run at once."""
    return BATCH if session.get_providers() == [_CPU] else DEVICE_BATCH


def run_session(session: Any, card: ModelCard, outputs: Sequence[str], batch: Any) -> list[Any]:
    """Run a graph on a batch ``[N, excerpt_samples]``; return the named outputs, ``[N, columns]`` each.

    Raises:
        ModelFileError: If the graph fails, or an output has another shape than the card says.
    """
    columns = {EMBEDDING_NAME: card.embedding_size, TAGS_NAME: len(card.tags)}
    try:
        results: list[Any] = session.run(list(outputs), {INPUT_NAME: batch})
    except _errors() as error:
        raise ModelFileError(
            f"Model {card.name!r}: expected its graph to run, got {error}. Export or install the model again."
        ) from error
    for name, result in zip(outputs, results, strict=True):
        if result.shape != (len(batch), columns[name]):
            raise ModelFileError(
                f"Model {card.name!r}: expected {name} {[len(batch), columns[name]]}, got {list(result.shape)}. "
                "Export or install the model again."
            )
    return results


def with_space_of(session: Any, card: ModelCard) -> ModelCard:
    """Return the card with the space id of a graph of lower precision, if that has a different one."""
    own = card.space_id + INT8_SPACE
    stated = _metadata(session).get("musiczoo.space_id")
    return replace(card, space_id=own) if stated == json.dumps(own, ensure_ascii=False) else card


def check_graph(session: Any, card: ModelCard, path: Path) -> None:
    """Check that the graph fits the card.

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
        found = {node.name: (node.type, node.shape) for node in nodes}
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path}: expected names in UTF-8, got {error}. Export the model again.") from error
    for name, columns in expected.items():
        kind, shape = found.get(name, ("nothing", []))
        if kind != "tensor(float)" or len(shape) != 2 or shape[1] != columns or isinstance(shape[0], int):
            raise ModelFileError(
                f"{path}: expected {name} as tensor(float) [N, {columns}], as the card says, got {kind} "
                f"{shape}. Export the model again."
            )
    graph, expected_metadata = _metadata(session), card.metadata()
    for key in (f"musiczoo.{name}" for name in _DECISIVE):
        if key in graph and _parsed(graph[key]) != json.loads(expected_metadata[key]):
            raise ModelFileError(
                f"{path}: expected the card's {key} {expected_metadata[key]} in its metadata, got {graph[key]}. "
                "The card was altered, or is another model's: publish, import or install the model again."
            )


def _metadata(session: Any) -> Mapping[str, str]:
    """Return the metadata in the file; empty if they are not valid text."""
    try:
        metadata: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError:
        return {}
    return metadata


def _parsed(text: str) -> Any:
    """Return the value of a JSON text; the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
