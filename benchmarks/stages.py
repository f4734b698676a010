"""Where the time of a song goes, stage by stage, on one core.

    python benchmarks/stages.py --json build/bench/stages.json

Conventions
-----------
- Each stage is run by itself over a whole song, and again and again; its time is the least of several, in milliseconds
  for an excerpt of 3 s. `rest` is what `Model.analyze` takes beyond the sum of them: cutting, checks, the mean, Python.
- The stages take turns song by song, so their ratios are of one run.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import soundfile
import soxr
from onnx.utils import Extractor
from rich.console import Console
from rich.table import Table
from songs import FORMATS, prepare
from speed import MODEL, ROOT

import musiczoo
from musiczoo import audio
from musiczoo.audio import io
from musiczoo.card import EMBEDDING_NAME, INPUT_NAME, MODEL_FILE, TAGS_NAME
from musiczoo.registry import find

TURNS = 5


def stages(song: Path) -> dict[str, float]:
    """Stage -> milliseconds an excerpt."""
    model = musiczoo.load(MODEL, threads=1)
    rate = soundfile.info(song).samplerate
    sound = io.open_sound(song)
    mono = list(sound.decode(0))
    excerpts = [excerpt[np.newaxis] for _, excerpt in audio.excerpts(song, model.card)]
    front_end, network = _part([INPUT_NAME], ["log_mel"]), _part(["log_mel"], [EMBEDDING_NAME, TAGS_NAME])
    log_mels = [front_end.run(None, {INPUT_NAME: excerpt})[0] for excerpt in excerpts]

    def resample() -> None:
        resampler = soxr.ResampleStream(rate, model.card.sample_rate, 1, dtype="float32", quality="HQ")
        for block in mono:
            resampler.resample_chunk(block)

    work: dict[str, Callable[[], Any]] = {
        "open": lambda: io.open_sound(song),
        "decode, average the channels": lambda: [len(block) for block in sound.decode(0)],
        "resample": resample,
        "log-mel": lambda: [front_end.run(None, {INPUT_NAME: excerpt}) for excerpt in excerpts],
        "encoder and head": lambda: [network.run(None, {"log_mel": log_mel}) for log_mel in log_mels],
        "all": lambda: model.analyze(song),
    }
    taken = {name: float("inf") for name in work}
    for _ in range(TURNS):
        for name, run in work.items():
            began = time.perf_counter()
            run()
            taken[name] = min(taken[name], time.perf_counter() - began)
    whole = taken.pop("all")
    taken |= {"rest": whole - sum(taken.values()), "all": whole}
    return {name: 1e3 * seconds / len(excerpts) for name, seconds in taken.items()}


def _part(inputs: list[str], outputs: list[str]) -> Any:
    """A part of the graph, in one thread."""
    import onnxruntime  # after musiczoo, which turns its telemetry off

    whole = onnx.shape_inference.infer_shapes(onnx.load(find(MODEL) / MODEL_FILE))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    part = Extractor(whole).extract_model(inputs, outputs).SerializeToString()
    return onnxruntime.InferenceSession(part, options, providers=["CPUExecutionProvider"])


def main() -> None:
    """Measure a song of each format, print a table, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--music", type=Path, default=ROOT / "data/open_music/audio", help="of open_music")
    parser.add_argument("--work", type=Path, default=ROOT / "build/bench", help="for the songs")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    songs = prepare(options.music, options.work)["songs"][: len(FORMATS)]
    found = {song.suffix: stages(song) for song in songs}
    table = Table("ms an excerpt", *found, title="one core")
    for name in found[songs[0].suffix]:
        table.add_row(name, *(f"{column[name]:.2f}" for column in found.values()))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
