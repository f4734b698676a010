"""What int8 gives and costs: time an excerpt beside float32 in the same run, with the metrics of the card beside it.

    python benchmarks/int8.py [NAME ...]      # default: all models with an int8 version

Conventions
-----------
- Time is the median over turns in which float32 and int8 alternate, on the same excerpts.
- Quality is what `musiczoo quantize` measured on the validation split, as the card has it: the worse of int8 queries
  and an int8 index for R@K.
"""

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

import musiczoo
from musiczoo import audio, demo
from musiczoo.model import PRECISIONS, Model

TURNS, WARM_UP = 40, 3
FLOAT, INT8 = PRECISIONS


def milliseconds(models: Sequence[Model], turns: int) -> list[float]:
    """Median milliseconds an excerpt, of each model; they take turns."""
    card = models[0].card
    batch = np.stack([x for _, x in audio.excerpts(demo.PATH, card, hop_s=0.8)])
    taken: list[list[float]] = [[] for _ in models]
    for turn in range(WARM_UP + turns):
        for model, times in zip(models, taken, strict=True):
            began = time.perf_counter()
            model.tag(batch)
            if turn >= WARM_UP:
                times.append(time.perf_counter() - began)
    return [1e3 * statistics.median(times) / len(batch) for times in taken]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--turns", type=int, default=TURNS)
    options = parser.parse_args()
    with_int8 = [name for name in musiczoo.list_models() if PRECISIONS[INT8] in musiczoo.load(name).card.files]
    table = Table("model", "threads", "float32 ms", "int8 ms", "times as fast", "AUC", "cosine", "R@1", "R@8")
    for name in options.names or with_int8:
        for threads in (1, 2):
            pair = [musiczoo.load(name, threads=threads, precision=precision) for precision in (FLOAT, INT8)]
            slow, fast = milliseconds(pair, options.turns)
            metrics = pair[0].card.metrics[INT8]
            auc = metrics["roc_auc"]
            recall = [
                f"{100 * at[FLOAT]:.1f} → {100 * min(at['int8_queries'], at['int8_index']):.1f}"
                for at in (metrics["recall"]["1"], metrics["recall"]["8"])
            ]
            table.add_row(
                name,
                str(threads),
                f"{slow:.2f}",
                f"{fast:.2f}",
                f"{slow / fast:.2f}",
                f"{auc[FLOAT]:.4f} → {auc[INT8]:.4f}",
                f"{metrics['cosine']:.5f}",
                *recall,
            )
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
