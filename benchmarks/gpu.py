"""Training and inference on a GPU: speed, and agreement with the CPU. Takes at most 8 minutes.

    pip install '.[train]' onnxruntime-gpu && pip uninstall onnxruntime
    python benchmarks/gpu.py --json build/gpu.json

`--smoke` runs everything on the CPU, tiny, to check the script itself: its numbers mean nothing.

Conventions
-----------
- Training is the trainer's step for `disentangled-classification` on one batch in memory, with random weights and
  nothing frozen. Excerpts per second are the median over turns, which the variants take one after the other; the first
  turn, in which graphs are built, does not count.
- *MirroredStrategy* has one GPU, and is compared with the default strategy on it.
- Losses are those of the first steps on different batches, beside those of another process that sees no GPU, from the
  same seed. TensorFloat-32 is off for them, and on, as by default, for the speed.
- ONNX: the published file under CUDAExecutionProvider and CPUExecutionProvider, on excerpts of the bundled recording.
  TensorFloat-32 is off for the differences, and on for the speed.
- What does not fit into the time limit is left out, and listed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

MODEL = "disentangled-classification"
LIMIT_S = 470
"""Of everything; the rest of 8 minutes is for the end of a step that has begun."""

TOLERANCES = {"float32": 1e-3, "bfloat16": 5e-2}
"""Largest relative difference of a loss from the CPU's, which computes in float32."""
ONNX_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        widths: Channels of an encoder branch.
        batch: Excerpts in a step.
        turns: Turns that count.
        steps: Steps in a turn.
        losses: Steps whose losses are compared.
        batches: Excerpts in one run of the ONNX file.
        excerpts: Excerpts that the ONNX file runs in a turn, at least.
    """

    widths: tuple[int, ...] = (32, 64)
    batch: int = 64
    turns: int = 5
    steps: int = 20
    losses: int = 20
    batches: tuple[int, ...] = (1, 8, 32, 128, 512)
    excerpts: int = 512


SMOKE = Sizes(widths=(16,), batch=4, turns=1, steps=1, losses=2, batches=(1, 2), excerpts=2)


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        precision: Type that layers compute in.
        xla: Whether XLA compiles the step.
        mirrored: Whether a MirroredStrategy of one device runs it.
        rewriting: Whether TensorFlow may rewrite graphs, which costs the repeatability of the last bits.
    """

    precision: str = "float32"
    xla: bool = False
    mirrored: bool = False
    rewriting: bool = False


VARIANTS = {
    "float32": Variant(),
    "bfloat16": Variant(precision="bfloat16"),
    "float32, MirroredStrategy": Variant(mirrored=True),
    "float32, XLA": Variant(xla=True),
    "bfloat16, XLA": Variant(precision="bfloat16", xla=True),
    "float32, graphs rewritten": Variant(rewriting=True),
}


class Trainer:
    """A new model under a variant.

    Args:
        variant: How it trains.
        width: Channels of an encoder branch.
        batch: Excerpts in a step.
    """

    def __init__(self, variant: Variant, width: int, batch: int) -> None:
        import keras
        import tensorflow as tf

        from musiczoo.models import distributed, recipe
        from musiczoo.models.architectures import build
        from musiczoo.models.loop import Loop
        from musiczoo.models.trainer import be_repeatable, compile_model, training_loss

        settings = replace(recipe.Recipe(MODEL), width=width, batch=batch, precision=variant.precision)
        be_repeatable(settings.seed)
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not variant.rewriting})
        keras.mixed_precision.set_global_policy(recipe.POLICIES[settings.precision])
        strategy = tf.distribute.MirroredStrategy([_device()]) if variant.mirrored else distributed.choose()
        with strategy.scope():
            self.model = build(MODEL, width)
            compile_model(self.model, settings, 1000)
        self.batch = batch
        self.loop = Loop(self.model, strategy, training_loss(settings))
        self.compiled = tf.function(self.loop._train, jit_compile=True, autograph=False) if variant.xla else None

    def losses(self, batches: Iterator[Any], steps: int) -> list[float]:
        """Train for some steps; return the loss of each."""
        if self.compiled:
            return [float(self.compiled(next(batches))) for _ in range(steps)]
        found: list[float] = []
        self.loop.train(batches, steps, lambda loss: found.append(float(loss)))
        return found

    def excerpts_per_second(self, turns: int, steps: int) -> tuple[float, float]:
        """Return the median over turns, and the seconds of the first turn, which builds the graph."""
        batch = next(noise(self.batch))
        taken = []
        for _ in range(turns + 1):
            began = time.perf_counter()
            if self.compiled:
                float([self.compiled(batch) for _ in range(steps)][-1])
            else:
                self.loop.train(repeat(batch), steps)  # returns a number, so it waits for the device
            taken.append(time.perf_counter() - began)
        return steps * self.batch / median(taken[1:]), taken[0]


def noise(batch: int) -> Iterator[Any]:
    """Yield batches of random standardised log-mels and tags, the same ones each time."""
    import tensorflow as tf

    from musiczoo.models.frontend import EXCERPT_FRAMES, FRONT_END
    from musiczoo.taxonomy import TAGS

    rng = np.random.default_rng(0)
    while True:
        log_mels = rng.normal(size=(batch, EXCERPT_FRAMES, FRONT_END.n_mels)).astype(np.float32)
        tags = (rng.random((batch, len(TAGS))) < 0.1).astype(np.float32)
        yield tf.constant(log_mels), {"tags": tf.constant(tags)}


def training(sizes: Sizes, left: Callable[[], float], cpu: Path | None) -> dict[str, Any]:
    """Measure all variants at all widths, and compare losses at the first width.

    Args:
        sizes: How much is measured.
        left: Seconds left.
        cpu: File with the losses that the CPU computed; None if there was no time for them.
    """
    import tensorflow as tf

    speed: dict[str, Any] = {}
    agreement: dict[str, Any] = {}
    left_out: list[str] = []
    expected = np.array(json.loads(cpu.read_text(encoding="utf-8"))) if cpu else None
    longest = 0.0
    for width in sizes.widths:
        for name, variant in VARIANTS.items():
            label = f"width {width}, {name}"
            if left() < 2 * longest:
                left_out.append(label)
                continue
            began = time.perf_counter()
            trainer = Trainer(variant, width, sizes.batch)
            if expected is not None and width == sizes.widths[0]:
                tf.config.experimental.enable_tensor_float_32_execution(False)
                found = np.array(trainer.losses(noise(sizes.batch), sizes.losses))
                tf.config.experimental.enable_tensor_float_32_execution(True)
                worst = float(np.max(np.abs(found / expected - 1)))
                agreement[name] = {"largest_relative_difference": worst, "tolerance": TOLERANCES[variant.precision]}
            rate, first = trainer.excerpts_per_second(sizes.turns, sizes.steps)
            speed[label] = {"excerpts_a_second": rate, "first_turn_s": first}
            tf.keras.backend.clear_session()
            longest = max(longest, time.perf_counter() - began)
    return {"speed": speed, "losses": agreement, "left_out": left_out}


def onnx(sizes: Sizes, smoke: bool) -> dict[str, Any]:
    """Compare the published ONNX file on the GPU and on the CPU."""
    import onnxruntime

    from musiczoo import audio, demo
    from musiczoo.card import EMBEDDING_NAME, INPUT_NAME, MODEL_FILE, TAGS_NAME, read_card
    from musiczoo.registry import find

    here, cuda = "CPUExecutionProvider", "CUDAExecutionProvider"
    if cuda not in onnxruntime.get_available_providers() and not smoke:
        return {"left_out": f"onnxruntime {onnxruntime.__version__} has no {cuda}: pip install onnxruntime-gpu"}
    folder = find(MODEL)
    recording = np.stack([excerpt for _, excerpt in audio.excerpts(demo.PATH, read_card(folder))])
    excerpts = recording[np.arange(max(sizes.batches)) % len(recording)]

    def session(provider: str, **options: Any) -> Any:
        return onnxruntime.InferenceSession(str(folder / MODEL_FILE), providers=[(provider, options)])

    device = here if smoke else cuda
    exact = session(device, **({} if smoke else {"use_tf32": "0"}))
    if exact.get_providers()[0] != device:
        return {"left_out": f"onnxruntime could not start {device}"}
    outputs = (EMBEDDING_NAME, TAGS_NAME)
    expected, got = (each.run(outputs, {INPUT_NAME: recording}) for each in (session(here), exact))
    differences = {name: float(np.abs(a - b).max()) for name, a, b in zip(outputs, expected, got, strict=True)}
    speed = {}
    for provider in dict.fromkeys((here, device)):
        running = session(provider)
        for batch in sizes.batches:
            runs, taken = max(1, sizes.excerpts // batch), []
            for _ in range(sizes.turns + 1):
                began = time.perf_counter()
                for _ in range(runs):
                    running.run(outputs, {INPUT_NAME: excerpts[:batch]})
                taken.append(time.perf_counter() - began)
                if taken[-1] > 10:  # a CPU: one turn is enough
                    break
            speed[f"{provider}, batch {batch}"] = runs * batch / median(taken[1:] or taken)
    return {"largest_difference": differences, "tolerance": ONNX_TOLERANCE, "excerpts_a_second": speed}


def _device() -> str:
    import tensorflow as tf

    return "/GPU:0" if tf.config.list_logical_devices("GPU") else "/CPU:0"


def machine() -> dict[str, Any]:
    """Return what computed: the GPU, cores, versions."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    return {
        "gpu": details.get("device_name", "none"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": version("keras"),
    }


def _part(name: str, options: argparse.Namespace, left: float, hide_gpu: bool = False) -> Path | None:
    """Run a part of this script as a process; return the file it wrote, or None."""
    if left <= 0:
        return None
    path = Path(tempfile.mkdtemp()) / f"{name}.json"
    command = [sys.executable, __file__, "--part", name, "--json", str(path), *(["--smoke"] if options.smoke else [])]
    hidden = {"CUDA_VISIBLE_DEVICES": "-1"} if hide_gpu else {}
    try:
        done = subprocess.run(command, env={**os.environ, **hidden}, timeout=left)
    except subprocess.TimeoutExpired:
        return None
    return path if done.returncode == 0 and path.exists() else None


def show(found: dict[str, Any], console: Console) -> list[str]:
    """Print the tables; return what differs too much."""
    console.print(json.dumps(found["machine"]), highlight=False)
    table = Table("training", "excerpts/s", "first turn s")
    for name, row in found["training"]["speed"].items():
        table.add_row(name, f"{row['excerpts_a_second']:.1f}", f"{row['first_turn_s']:.1f}")
    console.print(table)
    wrong = []
    table = Table("losses", "largest relative difference from the CPU", "tolerance")
    for name, row in found["training"]["losses"].items():
        table.add_row(name, f"{row['largest_relative_difference']:.2e}", f"{row['tolerance']:.0e}")
        if not row["largest_relative_difference"] <= row["tolerance"]:
            wrong.append(f"losses of {name}")
    console.print(table)
    parts: Sequence[str] = found["training"]["left_out"]
    if "excerpts_a_second" in found["onnx"]:
        table = Table("ONNX", "excerpts/s")
        for name, rate in found["onnx"]["excerpts_a_second"].items():
            table.add_row(name, f"{rate:.1f}")
        console.print(table)
        console.print(f"largest differences from the CPU: {found['onnx']['largest_difference']}", highlight=False)
        if not max(found["onnx"]["largest_difference"].values()) <= found["onnx"]["tolerance"]:
            wrong.append("outputs of the ONNX file")
    else:
        parts = [*parts, f"onnx: {found['onnx'].get('left_out', 'failed, or no time was left')}"]
    if not found["training"]["losses"]:
        parts = [*parts, "losses of the CPU: failed, or no time was left"]
    for part in parts:
        console.print(f"left out: {part}", style="yellow", highlight=False)
    return wrong


def main() -> None:
    """Measure, print tables, write what was asked for; exit code 1 if something differs too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="run tiny on the CPU, to check this script")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for everything")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--part", choices=("cpu", "onnx"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes, began = SMOKE if options.smoke else Sizes(), time.monotonic()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

    def left() -> float:
        return float(options.limit - (time.monotonic() - began))

    found: Any
    if options.part == "cpu":
        found = Trainer(Variant(), sizes.widths[0], sizes.batch).losses(noise(sizes.batch), sizes.losses)
    elif options.part == "onnx":
        found = onnx(sizes, options.smoke)
    else:
        found = {"machine": machine(), "smoke": options.smoke}
        if found["machine"]["gpu"] == "none" and not options.smoke:
            raise SystemExit(
                "TensorFlow finds no GPU. Install tensorflow[and-cuda], or check this script with --smoke."
            )
        cpu = _part("cpu", options, left(), hide_gpu=True)
        answer = _part("onnx", options, left())
        found["onnx"] = json.loads(answer.read_text(encoding="utf-8")) if answer else {}
        found["training"] = training(sizes, left, cpu)
        found["seconds"] = time.monotonic() - began
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if not options.part:
        wrong = show(found, Console(width=120))
        if wrong:
            raise SystemExit(f"Expected what the CPU computes, got more than the tolerance: {', '.join(wrong)}.")


if __name__ == "__main__":
    main()
