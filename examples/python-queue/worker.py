"""Tag the files of a queue folder: python worker.py QUEUE [MODEL] [--once]

Move songs into QUEUE/new in one step: write them elsewhere on the same disk, then rename. Each ends in QUEUE/done, with
its tags in NAME.json beside it, or in QUEUE/failed, with the error. A worker that was killed starts again with the song
that it was working on. Several workers may share a queue: give each a --name of its own.
"""

import argparse
import json
import os
import time
from pathlib import Path

import musiczoo


def write_json(path: Path, value: dict[str, object]) -> None:
    """Write a file that others see whole or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(json.dumps(value), encoding="utf-8")
    os.replace(unfinished, path)


def tag(model: musiczoo.Model, song: Path, queue: Path) -> None:
    """Move a song to done or failed, after its JSON file: who sees the song finds the answer."""
    try:
        track = model.analyze(song)
        tags = {name: round(probability, 4) for name, probability in track.tags.items()}
        answer = {"tags": tags, "predicted": [tag.name for tag in track.tags.above_threshold()]}
        answer |= {"space_id": track.space_id, "embedding": track.embedding.tolist(), "warnings": list(track.warnings)}
        folder = queue / "done"
    except musiczoo.MusicZooError as error:
        answer, folder = {"error": str(error)}, queue / "failed"
    write_json(folder / f"{song.name}.json", answer)
    os.replace(song, folder / song.name)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("queue", type=Path)
parser.add_argument("model", nargs="?", default="disentangled-classification")
parser.add_argument("--name", default="worker", help="of this worker: its folder in QUEUE/working")
parser.add_argument("--once", action="store_true", help="end when the queue is empty, instead of waiting for more")
arguments = parser.parse_args()
working = arguments.queue / "working" / arguments.name
for folder in (working, *(arguments.queue / name for name in ("new", "done", "failed"))):
    folder.mkdir(parents=True, exist_ok=True)
model = musiczoo.load(arguments.model)
while True:
    for song in sorted((arguments.queue / "new").iterdir()):
        try:
            os.replace(song, working / song.name)  # of several workers, one gets it
        except FileNotFoundError:
            continue
        break
    songs = sorted(working.iterdir())
    for song in songs:
        tag(model, song, arguments.queue)
    if not songs and arguments.once:
        break
    time.sleep(0 if songs else 1)
