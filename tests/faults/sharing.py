"""One model for many threads; one library for many processes."""

import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import kills

from musiczoo.errors import AudioNotFoundError, LibraryError
from musiczoo.library.library import Library
from musiczoo.model import Model
from musiczoo.track import Track


def resident() -> int:
    """Bytes of memory that this process has; Linux only."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


# === Threads ===


@dataclass(frozen=True)
class Shared:
    """What came of sharing a model.

    Attributes:
        songs: Analyses in all.
        different: Those that were not what one thread alone had given, to the bit.
        errors: What was raised.
        seconds: How long it took.
        resident_mb: Memory, at the start of the sharing and at regular intervals.
    """

    songs: int
    different: int
    errors: list[str]
    seconds: float
    resident_mb: list[float]


def share(
    model: Model,
    paths: Sequence[Path],
    threads: int,
    seconds: float,
    most: int | None = None,
    every_s: float = 1.0,
    told: Callable[[float], None] = lambda resident_mb: None,
) -> dict[str, Any]:
    """Let threads analyse songs with one model, mixed: whole and in part, from files and from samples.

    Args:
        model: What they share.
        paths: Songs.
        threads: How many threads.
        seconds: How long.
        most: Analyses at most.
        every_s: Seconds between looks at the memory.
        told: Gets each look.

    Returns:
        The fields of `Shared`.
    """
    work: list[Callable[[], Track]] = []
    for path in paths:
        work += [lambda p=path: model.analyze(p, excerpts=3), lambda p=path: model.analyze(p)]
    expected = [_bits(one()) for one in work]
    begun, stop, counts = time.monotonic(), threading.Event(), {"songs": 0, "different": 0}
    turn, errors = threading.Lock(), list[str]()

    def run(seed: int) -> None:
        chance = random.Random(seed)
        while not stop.is_set():
            number = chance.randrange(len(work))
            try:
                same = _bits(work[number]()) == expected[number]
            except Exception as error:  # noqa: BLE001 - every error is reported
                errors.append(repr(error))
                return
            with turn:
                counts["songs"] += 1
                counts["different"] += not same
                if most and counts["songs"] >= most:
                    stop.set()

    running = [threading.Thread(target=run, args=(seed,)) for seed in range(threads)]
    for thread in running:
        thread.start()
    looks: list[float] = []
    while time.monotonic() - begun < seconds and not stop.wait(every_s):
        looks.append(round(resident() / 2**20, 1))
        told(looks[-1])
    stop.set()
    for thread in running:
        thread.join()
    return asdict(Shared(**counts, errors=errors, seconds=round(time.monotonic() - begun, 1), resident_mb=looks))


def _bits(track: Track) -> tuple[bytes, ...]:
    return track.embedding.tobytes(), track.tags.probabilities.tobytes(), track.times.tobytes()


# === Processes ===


def crowd(model: str, music: Path, folder: Path, builders: int, searchers: int, rounds: int) -> dict[str, Any]:
    """Let processes build one library while others search it and songs move about; compare it with one made alone.

    Args:
        model: Folder of the model.
        music: Songs.
        folder: Where the libraries are made.
        builders: Processes that index all songs; the first also renames some between its rounds.
        searchers: Processes that search all the time.
        rounds: How often each builder indexes.

    Returns:
        ``{"builds": int, "refused": for another writer, "searches": int, "hits": int, "errors": [str],
        "tracks": in the end, "equal": to the one made alone}``.
    """
    shared, alone = folder / "shared.db", folder / "alone.db"
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(builders + searchers, spawn) as pool:
        done = manager.Event()
        building = [pool.submit(_build, model, music, shared, number, rounds) for number in range(builders)]
        searching = [pool.submit(_search, model, shared, seed, done) for seed in range(searchers)]
        try:
            refused = sum(future.result() for future in building)
        finally:
            done.set()  # or a builder's error is never told: the pool waits for the searchers
        found = [future.result() for future in searching]
    for path in (shared, alone):
        _index(model, music, path, wait=False)
    content = kills.content(shared)
    return {
        "builds": builders * rounds,
        "refused": refused,
        "searches": sum(one["searches"] for one in found),
        "hits": sum(one["hits"] for one in found),
        "errors": [error for one in found for error in one["errors"]],
        "tracks": len(content["tracks"]),
        "equal": content == kills.content(alone),
    }


def _index(model: str, music: Path, library: Path, wait: bool) -> None:
    Library.build(model, music, path=library, workers=1, excerpts=3, progress=False, wait=wait).close()


def _build(model: str, music: Path, library: Path, number: int, rounds: int) -> int:
    """How often it was refused for another writer, where it did not wait."""
    refused, chance = 0, random.Random(number)
    for i in range(rounds):
        if number == 0:
            for path in chance.sample(sorted(music.iterdir()), 3):
                path.rename(path.with_name(f"moved{i} {path.name.split()[-1]}"))
        try:
            _index(model, music, library, wait=chance.random() < 0.5)
        except LibraryError as error:
            if "is writing to it" not in str(error):
                raise
            refused += 1
            time.sleep(0.05)
    return refused


def _search(model: str, library: Path, seed: int, done: Any) -> dict[str, Any]:
    """Search for songs that are there: no song finds itself, and the nearest come first."""
    searches, hits, errors, chance = 0, 0, list[str](), random.Random(seed)
    while not library.exists():
        time.sleep(0.01)
    with Library.open(library, model) as opened:
        while not done.is_set():
            paths = [entry.path for entry in opened.database.entries()]
            if not paths:
                continue
            path = chance.choice(paths)
            try:
                found = opened.search(path, k=5, fold_duplicates=False)
            except AudioNotFoundError:  # it was renamed, and the library knows
                continue
            searches, hits = searches + 1, hits + len(found)
            scores = [hit.score for hit in found]
            if path in [hit.path for hit in found] or scores != sorted(scores, reverse=True):
                errors.append(f"{path}: {[(hit.path, hit.score) for hit in found]}")
    return {"searches": searches, "hits": hits, "errors": errors}
