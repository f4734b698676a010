"""A toy model that needs no TensorFlow, and synthesized audio."""

import dataclasses
import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import soundfile
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from musiczoo import card as cards
from musiczoo import taxonomy

Floats = NDArray[np.float32]

RATE, SIZE, POOL = 22050, 66150, 441

CARD = cards.ModelCard(
    name="toy",
    version="1",
    summary="Tags noise at random, but always the same way.",
    licence="MIT",
    sample_rate=RATE,
    excerpt_samples=SIZE,
    embedding_size=taxonomy.EMBEDDING_SIZE,
    spaces=taxonomy.SPACES,
    space_id="toy-1",
    tags=taxonomy.TAGS,
    dimensions=taxonomy.DIMENSION_TAGS,
    thresholds={tag: 0.5 for tag in taxonomy.TAGS},
    front_end=cards.FrontEnd(n_fft=1024, n_mels=128, gain=10, mean=0.2, std=0.25),
    parameters=0,
)


def toy_weights() -> tuple[Floats, Floats, Floats, Floats]:
    """W [150, 256], b [256], V [150, 50], c [50] of the toy model."""
    random = np.random.default_rng(7)
    shapes = [(SIZE // POOL, 256), (256,), (SIZE // POOL, 50), (50,)]
    w, b, v, c = (random.standard_normal(shape).astype(np.float32) for shape in shapes)
    return w, b, v, c


def toy_answer(excerpts: Floats) -> tuple[Floats, Floats]:
    """The expected output of the toy model, in plain numpy float64: embedding [N, 256] and tags [N, 50]."""
    w, b, v, c = (weights.astype(np.float64) for weights in toy_weights())
    pooled = np.abs(excerpts.astype(np.float64)).reshape(len(excerpts), -1, POOL).mean(axis=2)
    slices = (pooled @ w + b).reshape(-1, 4, 64)
    slices /= np.linalg.norm(slices, axis=2, keepdims=True)
    tags = 1 / (1 + np.exp(-(pooled @ v + c)))
    return (slices / 2).reshape(-1, 256).astype(np.float32), tags.astype(np.float32)


def write_model(folder: Path, model_card: cards.ModelCard = CARD, size: int = SIZE) -> Path:
    """Write a toy model: |waveform| pooled by 441, one matrix to the embedding and one to the tags."""
    w, b, v, c = toy_weights()
    constants = {
        "w": w[: size // POOL], "b": b, "v": v[: size // POOL], "c": c, "half": np.float32(0.5),
        "to_pools": np.array([-1, size // POOL, POOL]), "to_slices": np.array([-1, 4, 64]),
        "to_whole": np.array([-1, 256]), "axis": np.array([2]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Abs", [cards.INPUT_NAME], ["abs"]),
        helper.make_node("Reshape", ["abs", "to_pools"], ["pools"]),
        helper.make_node("ReduceMean", ["pools", "axis"], ["pooled"], keepdims=0),
        helper.make_node("Gemm", ["pooled", "w", "b"], ["encoded"]),
        helper.make_node("Reshape", ["encoded", "to_slices"], ["slices"]),
        helper.make_node("LpNormalization", ["slices"], ["unit"], axis=2, p=2),
        helper.make_node("Mul", ["unit", "half"], ["halved"]),
        helper.make_node("Reshape", ["halved", "to_whole"], [cards.EMBEDDING_NAME]),
        helper.make_node("Gemm", ["pooled", "v", "c"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], [cards.TAGS_NAME]),
    ]
    values = {cards.INPUT_NAME: size, cards.EMBEDDING_NAME: 256, cards.TAGS_NAME: 50}
    infos = [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["N", n]) for k, n in values.items()]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "toy", infos[:1], infos[1:], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, model_card.metadata())
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / cards.MODEL_FILE))
    files = {cards.MODEL_FILE: cards.sha256(folder / cards.MODEL_FILE)}
    text = dataclasses.replace(model_card, files=files).to_json()
    (folder / cards.CARD_FILE).write_text(text, encoding="utf-8")
    return folder


def music(seconds: float, rate: int = RATE, channels: int | None = None, seed: int = 0) -> Floats:
    """A rising tone with noise, in [-0.5, 0.5]: ``[samples]`` or ``[samples, channels]``."""
    mono = _mono(seconds, rate, seed)
    return mono.copy() if channels is None else mono[:, None] * np.linspace(0.5, 1, channels, dtype=np.float32)


@functools.lru_cache(maxsize=32)
def _mono(seconds: float, rate: int, seed: int) -> Floats:
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(t))
    mono = 0.3 * np.sin(2 * np.pi * (100 + 15 * t) * t) * (0.5 + 0.5 * np.sin(t)) + 0.02 * noise
    return np.asarray(mono.clip(-0.5, 0.5), np.float32)


def write_audio(path: Path, samples: Any, rate: int = RATE, subtype: str | None = None) -> Path:
    """Write in the format of the suffix, in blocks: one long Vorbis write crashes libsndfile."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    kind = {".opus": ("OGG", "OPUS")}.get(path.suffix, (None, subtype))
    with soundfile.SoundFile(path, "w", rate, channels, format=kind[0], subtype=kind[1]) as file:
        for i in range(0, len(samples), 4096):
            file.write(samples[i : i + 4096])
    return path


@functools.lru_cache(maxsize=32)
def encoded(suffix: str, seconds: float, rate: int = RATE, channels: int | None = None) -> bytes:
    """A file with `music`, encoded once for all tests that want the same."""
    with tempfile.TemporaryDirectory() as folder:
        return write_audio(Path(folder) / f"a{suffix}", music(seconds, rate, channels), rate).read_bytes()
