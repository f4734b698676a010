"""What training costs beyond the encoder's forward and backward pass, and what the levers on its speed give.

    musiczoo data prepare open_music --out data/open_music
    musiczoo data label data/open_music --teacher musicnn-msd --teacher vgg-msd --train-every 8
    python benchmarks/training.py --data data/open_music --json build/training.json --plot training.png

Any data set of some dozens of tracks does that is prepared and has the labels of the recipes' teachers; `musiczoo
import musicnn` makes those two.

Conventions
-----------
- Models have the width, batch and objective of their recipes, and the trainer's own input pipeline and step. Their
  weights are random, and nothing is frozen.
- Of each model three things take turns: the step on batches of the pipeline, which is training; the same step on one
  batch in memory; and forward and backward of the encoder alone, with the sum of the embedding in place of a loss.
- The pipeline's share is what training takes longer than the step in memory. A turn ends with the pipeline's buffer as
  full as it began, so each step pays for one batch. Beside it stands how fast the pipeline is when nothing else runs.
- Each lever is a separate process, with the step that the lever gives; they take turns too.
- Parts can be measured one after the other: `--levers` or `--recipes` without a name leaves one out, and a file of
  --json that is there keeps what else it holds.
- A result is the median over turns; the first, in which graphs are built, does not count. Ratios are of such medians.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from musiczoo.card import EMBEDDING_NAME
from musiczoo.datasets.prepared import Store
from musiczoo.models import data as batches
from musiczoo.models import distributed, recipe
from musiczoo.models.architectures import ARCHITECTURES, build
from musiczoo.models.encoder import freeze
from musiczoo.models.loop import Loop, distribute
from musiczoo.models.timing import Step, in_turns
from musiczoo.models.trainer import be_repeatable, compile_model, objective, training_loss

ROOT = Path(__file__).resolve().parents[1]
MODEL = "disentangled-classification"
"""On which the levers are tried."""

STEPS = 2
"""Steps in a turn."""

TOGETHER = 4
"""Steps in one call of TensorFlow, where that is the lever."""

WITHOUT_END = 1 << 40
BUFFERED, DRAWN = 8, 40
"""Batches that the pipeline may hold ready, and those of which its own speed is the mean."""

TRAINING, IN_MEMORY, ENCODER = "training", "batch in memory", "encoder alone"


@dataclass(frozen=True)
class Lever:
    """One thing done otherwise.

    Attributes:
        environment: Variables that TensorFlow reads when it starts.
        settings: Of the recipe.
        together: Steps in one call of TensorFlow.
        xla: Whether XLA compiles the step.
        rewriting: Whether TensorFlow may rewrite graphs, which costs the repeatability of the last bits.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    together: int = 1
    xla: bool = False
    rewriting: bool = False


AS_IT_IS = "as the trainer does it"
LEVERS = {
    AS_IT_IS: Lever(),
    "one thread": Lever(environment={"TF_NUM_INTRAOP_THREADS": "1"}),
    "bfloat16": Lever(settings={"precision": "bfloat16"}),
    f"{TOGETHER} steps in a call": Lever(together=TOGETHER),
    "XLA": Lever(xla=True),
    "graphs rewritten": Lever(rewriting=True),
}


class Trainer:
    """A new model with all that its training needs.

    Args:
        settings: What to train.
        data: A prepared and labelled data set.
    """

    def __init__(self, settings: recipe.Recipe, data: Path) -> None:
        be_repeatable(settings.seed)
        keras.mixed_precision.set_global_policy(recipe.POLICIES[settings.precision])
        store, self.strategy = Store.open(data), distributed.choose()
        excerpts = batches.Excerpts.of(store, "train", settings.teachers)
        self.source = batches.Batches(excerpts, settings.batch, settings.seed, objective(settings))
        self.augmentation = settings.augmentation
        self.model = build(settings.model, settings.width, store.vocabulary)
        freeze(self.model, settings.frozen_blocks)
        compile_model(self.model, settings, self.source.steps)
        self.loop = Loop(self.model, self.strategy, training_loss(settings, store.vocabulary))
        self.batches = self.pipeline()

    def pipeline(self) -> Iterator[Any]:
        """Batches from the first step on."""
        return distribute(batches.training(self.source, self.augmentation, 0, WITHOUT_END), self.strategy)

    def turns(self) -> dict[str, Step]:
        """What takes turns."""
        batch = next(self.batches)
        alone = encoder(self.model)
        return {
            TRAINING: lambda: self.loop.train(self.batches, STEPS),
            IN_MEMORY: lambda: self.loop.train(repeat(batch), STEPS),
            ENCODER: lambda: [alone(batch[0]) for _ in range(STEPS)][-1][-1].numpy(),
        }

    def turn(self, lever: Lever) -> Step:
        """Steps with a lever, on batches of the pipeline; as many as a turn has, or as one call."""
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not lever.rewriting})
        if lever.xla:
            compiled = tf.function(self.loop._train, jit_compile=True, autograph=False)
            return lambda: [compiled(next(self.batches)) for _ in range(STEPS)][-1].numpy()
        if lever.together > 1:
            return lambda: _together(self.loop, self.batches, lever.together).numpy()
        return lambda: self.loop.train(self.batches, STEPS)


def encoder(model: keras.Model) -> Callable[[Any], Any]:
    """Log-mels -> the gradients of the sum of their embeddings."""
    embed = keras.Model(model.input, model.get_layer(EMBEDDING_NAME).output)

    @tf.function(autograph=False)
    def gradients(log_mels: Any) -> Any:
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(embed(log_mels, training=True))
        return tape.gradient(total, embed.trainable_variables)

    return gradients


@tf.function(autograph=False)
def _together(loop: Loop, batches: Iterator[Any], steps: int) -> Any:
    """Run several steps in one call; return the loss of the last."""

    def step(done: Any, _: Any) -> tuple[Any, Any]:
        return done + 1, loop._train(next(batches))

    return tf.while_loop(lambda done, _: done < steps, step, (0, 0.0))[1]


def settings(name: str) -> recipe.Recipe:
    """A published recipe, of which nothing is frozen and no earlier run is needed."""
    return replace(recipe.read(name), start="", frozen_blocks=0)


def of_models(names: Sequence[str], data: Path, rounds: int) -> dict[str, Any]:
    """What each model costs."""
    trainers = {name: Trainer(settings(name), data) for name in names}
    turns = {(name, what): step for name in names for what, step in trainers[name].turns().items()}
    seconds = {key: each / STEPS for key, each in in_turns(turns, rounds, steps=1).items()}
    found = {}
    for name, trainer in trainers.items():
        size = trainer.source.size
        training, in_memory, alone = (seconds[name, what] for what in (TRAINING, IN_MEMORY, ENCODER))
        found[name] = {
            "excerpts_a_second": {what: size / seconds[name, what] for what in (TRAINING, IN_MEMORY, ENCODER)},
            "beside_encoder": training / alone,
            "pipeline_share": 1 - in_memory / training,
            "pipeline_alone": size / _seconds_a_batch(trainer.pipeline()),
        }
    return found


def _seconds_a_batch(batches: Iterator[Any]) -> float:
    for _ in range(BUFFERED):
        next(batches)
    began = time.perf_counter()
    for _ in range(DRAWN):
        next(batches)
    return (time.perf_counter() - began) / DRAWN


def of_levers(names: Sequence[str], data: Path, rounds: int) -> dict[str, Any]:
    """What each lever gives."""
    with ExitStack() as stack:
        running = {name: stack.enter_context(_running(name, data)) for name in names}
        ready = {name: float(_answer(process)) for name, process in running.items()}
        turns = {name: lambda process=process: _ask(process) for name, process in running.items()}
        taken = in_turns(turns, rounds, steps=1)
    seconds = {name: each / _steps(LEVERS[name]) for name, each in taken.items()}
    return {
        name: {
            "excerpts_a_second": settings(MODEL).batch / each,
            "times_as_fast": seconds[AS_IT_IS] / each,
            "first_step_s": ready[name],
        }
        for name, each in seconds.items()
    }


def _steps(lever: Lever) -> int:
    return lever.together if lever.together > 1 else STEPS


@contextmanager
def _running(name: str, data: Path) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | LEVERS[name].environment
    command = [sys.executable, __file__, "--data", str(data), "--serve", name]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, text=True, env=environment, **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _answer(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise SystemExit(f"Expected an answer of {' '.join(map(str, process.args))}, got none.")
    return line


def _ask(process: subprocess.Popen[str]) -> str:
    print(file=process.stdin, flush=True)
    return _answer(process)


def serve(lever: Lever, data: Path) -> None:
    """One turn for each line of standard input; before that, the seconds of the first turn."""
    turn = Trainer(replace(settings(MODEL), **lever.settings), data).turn(lever)
    began = time.perf_counter()
    turn()
    print(time.perf_counter() - began, flush=True)
    for _ in sys.stdin:
        print(turn(), flush=True)


def show(found: dict[str, Any], console: Console) -> None:
    """The tables."""
    if found["models"]:
        columns = "excerpts/s", "from memory", "encoder alone", "x encoder's time", "pipeline's share", "pipeline alone"
        table = Table("", *columns, title=f"Training, {found['cores']} cores")
        for name, row in found["models"].items():
            rates = (f"{rate:.1f}" for rate in row["excerpts_a_second"].values())
            share = f"{100 * row['pipeline_share']:.1f} %"
            table.add_row(name, *rates, f"{row['beside_encoder']:.3f}", share, f"{row['pipeline_alone']:.0f}")
        console.print(table)
    if found["levers"]:
        table = Table("", "excerpts/s", "times as fast", "first turn s", title=f"Levers on {MODEL}")
        for name, row in found["levers"].items():
            table.add_row(name, *(f"{row[key]:.{digits}f}" for key, digits in zip(row, (1, 2, 1), strict=True)))
        console.print(table)


def plot(found: dict[str, Any], path: Path) -> None:
    """Bars of excerpts per second."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    colours = {ENCODER: "#c9ccd1", IN_MEMORY: "#8fb8de", TRAINING: "#2a78c2"}
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
    names = list(reversed(found["models"]))
    for i, (what, colour) in enumerate(colours.items()):
        values = [found["models"][name]["excerpts_a_second"][what] for name in names]
        left.barh([y + 0.27 * (1 - i) for y in range(len(names))], values, 0.25, color=colour, label=what)
    left.set_yticks(range(len(names)), names)
    left.set_title("the eight models")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=3, frameon=False)
    names = list(reversed(found["levers"]))
    rows = [found["levers"][name] for name in names]
    bars = right.barh(names, [row["excerpts_a_second"] for row in rows], 0.6, color=colours[TRAINING])
    right.bar_label(bars, [f"{row['times_as_fast']:.2f} x" for row in rows], padding=4)
    right.margins(x=0.12)
    right.set_title(f"levers on {MODEL}")
    for axes in (left, right):
        axes.set_xlabel("excerpts of 3 s per second")
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def main() -> None:
    """Measure, print tables, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT / "data/open_music", help="prepared and labelled")
    parser.add_argument(
        "--recipes", nargs="*", default=list(ARCHITECTURES), metavar="NAME", help="default: the eight models"
    )
    parser.add_argument("--levers", nargs="*", default=list(LEVERS), choices=LEVERS, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=4, help="turns that count")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--plot", type=Path, help="draw them here")
    parser.add_argument("--serve", choices=LEVERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(LEVERS[options.serve], options.data)
        return
    levers = list(dict.fromkeys([AS_IT_IS, *options.levers])) if options.levers else []
    found = {"cores": os.cpu_count(), "models": {}, "levers": {}}
    if options.json and options.json.exists():
        found |= json.loads(options.json.read_text(encoding="utf-8"))
    if levers:
        found["levers"] |= of_levers(levers, options.data, options.rounds)
    if options.recipes:
        found["models"] |= of_models(options.recipes, options.data, options.rounds)
    show(found, Console(width=150))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
