"""Import somebody's ONNX file as an encoder, for heads to be trained on (see `musiczoo.models.frozen_encoder`).

What a file must be
-------------------
- One file with all its weights inside, of standard operations.
- One input, float32 ``[N, samples]``: the mono waveform in [-1, 1]. N is free; the samples are free or those of an
  excerpt. No log-mel outside the graph: preprocessing that is not in the file is the usual cause of wrong results.
- A tensor float32 ``[N, F]``, an output or any other of the graph.

It is run before it is accepted, on music, silence and noise: its features have to be finite, the same in each run and
in any batch, and to differ between excerpts.
"""

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto

from musiczoo import audio, demo
from musiczoo._files import atomic_folder
from musiczoo.card import LARGEST_FILE, LIMITS, MODEL_FILE, sha256
from musiczoo.errors import InputError, ModelFileError, UnknownNameError
from musiczoo.export.onnx_graph import OPSET
from musiczoo.models.frozen_encoder import ENCODER_FILE, EncoderCard, cut, encoder_of
from musiczoo.registry import list_models, user_encoders
from musiczoo.session import check_whole

LEAST_OPSET, LAST_OPSET = 13, 25
"""Operations of a head (see `musiczoo.export.head`) are the same in all of these."""

TOLERANCE = 1e-3
"""Largest difference of a feature between runs or batches, as a share of the largest feature."""


def import_onnx(
    file: Path,
    sample_rate: int,
    excerpt_s: float,
    embedding: str,
    name: str | None = None,
    licence: str = "unspecified",
    encoders: Path | None = None,
) -> Path:
    """Check an ONNX file and put the part of it that computes an embedding among the user's encoders.

    Args:
        file: The .onnx file.
        sample_rate: Hz of the waveform that it takes.
        excerpt_s: Seconds of the excerpts that it takes.
        embedding: Name of the tensor ``[N, F]`` to take as features.
        name: What to call the encoder; by default as the file.
        licence: Of its weights.
        encoders: Folder of encoders; the user's by default.

    Returns:
        The encoder's folder; its name is what ``musiczoo train --encoder`` takes.

    Raises:
        ModelFileError: If it is no such file, cannot be run, or its features fail a check.
        UnknownNameError: If the graph has no such tensor, with the nearest name.
        InputError: If another argument is wrong.
    """
    name = file.stem if name is None else name
    samples = round(excerpt_s * sample_rate)
    if not 0 < sample_rate <= LIMITS["sample_rate"] or not 0 < samples <= LIMITS["excerpt_samples"]:
        raise InputError(f"Sample rate and excerpt must be positive, got {sample_rate} Hz and {excerpt_s} s.")
    if not name or Path(name).name != name or name.startswith("."):
        raise InputError(f"{name!r} is not a plain folder name. Name the encoder with --name.")
    if name in list_models():
        raise InputError(f"{name!r} is the name of a model. Choose another with --name.")
    graph = cut(_checked(file, samples, embedding), embedding, samples)
    parameters = sum(int(np.prod(t.dims)) for t in graph.graph.initializer if t.data_type in _FLOATS)
    target = (user_encoders() if encoders is None else encoders) / name
    with atomic_folder(target) as new:
        path = new / MODEL_FILE
        onnx.save_model(graph, str(path))
        card = EncoderCard(name, sample_rate, samples, sha256(path), licence, parameters=parameters)
        _try(path.read_bytes(), card, file)
        (new / ENCODER_FILE).write_text(card.to_json(), encoding="utf-8")
    return target


_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


def _checked(file: Path, samples: int, embedding: str) -> onnx.ModelProto:
    """The content of a file, if it is a graph that takes waveforms and has such a tensor."""
    try:
        size = file.stat().st_size
        content = file.read_bytes() if size <= LARGEST_FILE else b""
    except OSError as error:
        raise ModelFileError(f"Cannot read {file}: {error.strerror or error}.") from error
    if not content:
        raise ModelFileError(f"{file} has {size} bytes: an ONNX file has 1 to {LARGEST_FILE}.")
    check_whole(content, file)
    try:
        proto = onnx.load_model_from_string(content)
        onnx.checker.check_model(proto)
    except (DecodeError, onnx.checker.ValidationError, ValueError, TypeError) as error:
        raise ModelFileError(f"{file} is not a valid ONNX file: {error}") from error
    opset = max((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if not LEAST_OPSET <= opset <= LAST_OPSET:
        raise ModelFileError(
            f"{file} has opset {opset}, and a head is joined to opsets {LEAST_OPSET} to {LAST_OPSET}. "
            f"Export it again, with opset {OPSET}."
        )
    constants = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in constants]
    form = f"one input float32 [N, {samples}], the waveform, with N free"
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ModelFileError(f"{file} must have {form}; its inputs are: {names}. Put all else into the graph.")
    kind = inputs[0].type.tensor_type
    axes = [axis.dim_value if axis.HasField("dim_value") else None for axis in kind.shape.dim]
    if kind.elem_type != TensorProto.FLOAT or len(axes) != 2 or axes[0] is not None or axes[1] not in (None, samples):
        shape = [axis if axis is not None else "free" for axis in axes]
        raise ModelFileError(
            f"{file} must have {form}; {inputs[0].name!r} is {TensorProto.DataType.Name(kind.elem_type)} {shape}. "
            "Export it with a dynamic first axis and the preprocessing inside, or correct --sample-rate and --excerpt."
        )
    tensors = [output for node in proto.graph.node for output in node.output if output]
    if embedding not in tensors:
        raise UnknownNameError.of(f"tensor in {file}", embedding, tensors[::-1])  # the last ones are the likely ones
    return proto


def _try(content: bytes, card: EncoderCard, file: Path) -> None:
    """Run an encoder, and compare what it says.

    Raises:
        ModelFileError: Naming what is wrong with its features.
        InputError: If they are not ``[N, F]``.
    """
    encoder = encoder_of(content, card, file)
    if encoder.size > LIMITS["embedding_size"]:
        raise ModelFileError(f"{file}: {encoder.size} features are more than {LIMITS['embedding_size']}.")
    excerpts = probes(card.sample_rate, card.excerpt_samples)
    together, again = encoder.features(excerpts), encoder.features(excerpts)
    alone = np.concatenate([encoder.features(row[np.newaxis]) for row in excerpts])
    largest = float(np.abs(together).max()) or 1.0
    for other, what in (
        (again, "in a second run (is it exported in training mode?)"),
        (alone, "one excerpt at a time"),
    ):
        difference = float(np.abs(together - other).max()) / largest
        if not difference <= TOLERANCE:
            raise ModelFileError(f"{file} has other features {what}: they differ by {difference:.2g} of the largest.")
    if float(np.ptp(together[:2], axis=0).max()) <= TOLERANCE * largest:
        raise ModelFileError(f"{file} has the same features for different music. Is {card.sample_rate} Hz right?")


def probes(sample_rate: int, samples: int) -> NDArray[np.float32]:
    """Excerpts to try an encoder on: music twice, noise, silence: ``[4, samples]``."""
    music = audio.read(demo.PATH, sample_rate)
    music = np.resize(music, max(len(music), 2 * samples))
    noise = np.random.default_rng(0).uniform(-1, 1, samples)
    silence = np.zeros(samples)
    return np.stack([music[:samples], music[-samples:], noise, silence]).astype(np.float32)
