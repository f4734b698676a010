"""What a song costs on one core: the rates of docs/guides/scale.md, measured one by one and then all at once.

    python benchmarks/scale_rates.py data/open_music/audio --songs 48

Needs musiczoo[parquet]. Prints JSON; pin it to one core for a core's rates (``taskset -c 0``).
"""

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import musiczoo
from musiczoo import audio
from musiczoo.library.records import Entry, LibraryConfig
from musiczoo.library.worker import Job, Worker, content_hash
from musiczoo.model import Model
from musiczoo.scale import parquet
from musiczoo.scale.shards import SHARD_SIZE, Shard, find_audio, write_part

EXCERPTS = 10
"""TrackFeatures of each song, as `musiczoo index` does unless told otherwise."""


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def decoding(model: Model, songs: list[str]) -> dict[str, float]:
    """Whole songs, in seconds of music a second; and seconds an excerpt found by seeking."""
    total_s = sum(audio.probe(song).duration_s for song in songs)
    whole = seconds(lambda: [exhaust(audio.blocks(song, model.card.sample_rate)) for song in songs])
    cut = [audio.excerpts(song, model.card, count=EXCERPTS) for song in songs]
    count = 0
    began = time.perf_counter()
    for excerpts in cut:
        count += exhaust(excerpts)
    return {
        "mean_length_s": total_s / len(songs),
        "decode_realtime": total_s / whole,
        "seek_decode_s": (time.perf_counter() - began) / count,
    }


def exhaust(items: Iterable[Any]) -> int:
    """How many there are."""
    return sum(1 for _ in items)


def inference(model: Model, songs: list[str]) -> dict[str, float]:
    """Seconds an excerpt, in batches as they are used."""
    batch = np.stack([samples for _, samples in audio.excerpts(songs[0], model.card, count=EXCERPTS)])
    model.embed(batch)
    runs = 20
    return {"inference_s": seconds(lambda: [model.embed(batch) for _ in range(runs)]) / (runs * len(batch))}


def hashing(songs: list[str]) -> dict[str, float]:
    """Bytes a song, and bytes hashed a second (from the page cache: disks are slower)."""
    size = sum(os.path.getsize(song) for song in songs)
    return {
        "file_mb": size / len(songs) / 1e6,
        "hash_mb_s": size / 1e6 / seconds(lambda: [content_hash(s) for s in songs]),
    }


def together(job: Job, songs: list[str], out: Path) -> tuple[dict[str, float], list[Entry]]:
    """A shard from its paths to its part; and its rows."""
    start = seconds(lambda: Worker(job).__exit__())
    took = seconds(lambda: write_part(Shard(0, tuple(songs)), out, job))
    (part,) = out.iterdir()
    rows = [row for row in parquet.read(part) if isinstance(row, Entry)]
    results = {
        "child_start_s": start,
        "song_s": (took - start) / len(songs),
        "child_resident_mb": resident(job, songs),
        "failed": len(songs) - len(rows),
    }
    return results, rows


def resident(job: Job, songs: list[str]) -> float:
    """The largest memory that a worker process ever had, in MB. Linux only."""
    with Worker(job) as worker:
        for song in songs:
            worker.analyze(song)
        status = Path(f"/proc/{worker._process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3


def importing(rows: list[Entry], config: LibraryConfig, parts: Path, songs: int) -> dict[str, float]:
    """Bytes of parts and of the library, and songs imported a second: the rows again and again, under other names."""
    parts.mkdir()
    for number, some in enumerate(shards(rows, songs)):
        (parts / f"part-{number:06d}.parquet").write_bytes(parquet.encode(some, config, f"{number:016x}"))
    library = parts.with_suffix(".db")
    took = seconds(lambda: parquet.import_parts(library, [parts]))
    return {
        "imported": songs,
        "import_songs_s": songs / took,
        "part_bytes_a_song": sum(part.stat().st_size for part in parts.iterdir()) / songs,
        "library_bytes_a_song": library.stat().st_size / songs,
    }


def shards(rows: list[Entry], songs: int) -> Iterator[list[Entry]]:
    """Songs in shards, each with its own path, hash and noise on the vectors."""
    random = np.random.default_rng(0)
    for first in range(0, songs, SHARD_SIZE):
        yield [
            dataclasses.replace(
                row,
                path=f"/music/{i:07d}/{Path(row.path).name}",
                hash=f"{i:032x}",
                embedding=row.embedding + random.normal(0, 1e-3, row.embedding.shape).astype(np.float32),
                tags=np.clip(row.tags + random.normal(0, 1e-3, row.tags.shape), 0, 1).astype(np.float32),
            )
            for i in range(first, min(first + SHARD_SIZE, songs))
            for row in [rows[i % len(rows)]]
        ]


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="of songs")
    parser.add_argument("--songs", type=int, default=48, help="how many of them, evenly")
    parser.add_argument("--imported", type=int, default=20_000, help="songs of the imported parts")
    parser.add_argument("--model", default="disentangled-classification")
    options = parser.parse_args()
    there = find_audio([options.folder])
    songs = [there[i] for i in np.unique(np.linspace(0, len(there) - 1, options.songs).astype(int))]
    model = musiczoo.load(options.model, threads=1)
    config = LibraryConfig.from_card(model.card, EXCERPTS)
    job = Job.of(options.model, config, model.card.version)
    assert job is not None  # a name was given
    results = {"songs": len(songs)} | hashing(songs) | decoding(model, songs) | inference(model, songs)
    with TemporaryDirectory() as folder:
        shard, rows = together(job, songs, Path(folder) / "shard")
        results |= shard | importing(rows, config, Path(folder) / "parts", options.imported)
    print(json.dumps({name: round(value, 6) for name, value in results.items()}, indent=2))


if __name__ == "__main__":
    main()
