"""Load of `musiczoo serve`, and what HTTP adds to a search.

    python benchmarks/serve.py --json serve.json                          # 100,000 tracks, 50 clients, one minute
    python benchmarks/serve.py --seconds 3600                             # does memory grow in an hour?
    python benchmarks/serve.py --tracks 1000000 --clients 0               # only the latency of a single client

Conventions
-----------
- The library is made: vectors as in `search_million`, and words for titles, artists and albums; no audio.
- *Load*: each client sends its next request when it has the answer to the last one, in the proportions of `MIX`. A
  request fails if its status is not 200 or its answer is no JSON. Latency is from sending to the last byte, as the
  client sees it; clients run in a process of their own, on the same machine.
- *Alone*: the same searches one after the other, over HTTP and by `Library.search` in this process.
- Memory is the resident set of the server's process (Linux): after the first request, and at the end.
"""

import argparse
import http.client
import json
import multiprocessing
import platform
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from search_million import clustered

import musiczoo
from musiczoo.library import Library
from musiczoo.library.database import Database
from musiczoo.library.records import EXCERPTS, Entry, LibraryConfig

MODEL = "disentangled-classification"
MIX = {"search": 6, "similar": 2, "words": 1, "track": 1}
"""Kind of request -> its share."""

WORDS = ("love", "night", "river", "blue", "summer", "dance", "home", "fire", "road", "rain", "moon", "city")
K = 20
WARM_UP = 20
TRACKS_OF_ARTIST = 20

Request = tuple[str, str, Any]
"""Method, path, and content or None."""


def make_library(path: Path, count: int) -> None:
    """Write a library of made tracks."""
    config = LibraryConfig.from_card(musiczoo.load(MODEL).card, EXCERPTS)
    dice = np.random.default_rng(1)
    vectors = clustered(count)
    with Database.create(path, config) as database:
        for begin in range(0, count, 10_000):
            with database.transaction():
                for i in range(begin, min(begin + 10_000, count)):
                    artist = i // TRACKS_OF_ARTIST
                    title = " ".join(WORDS[int(word)] for word in dice.integers(len(WORDS), size=2))
                    tags = dice.random(len(config.tags), np.float32) ** 4
                    database.add(
                        Entry(
                            path=f"/music/{artist}/{i}.mp3",
                            size=5_000_000,
                            mtime_ns=10**18,
                            hash=f"{i:032x}",
                            duration_s=float(dice.uniform(120, 360)),
                            excerpts=EXCERPTS,
                            embedding=vectors[i],
                            tags=tags,
                            title=f"{title} {i}",
                            artist=f"Artist {artist}",
                            album=f"Album {artist}-{i % 2}",
                            year=1960 + i % 60,
                        )
                    )


@contextmanager
def served(library: Path) -> Iterator[tuple[int, int]]:
    """Serve a library in another process: its id and port."""
    command = [sys.executable, "-m", "musiczoo", "serve", str(library), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        found = re.search(r":(\d+)/$", process.stdout.readline().strip())
        assert found, "the server did not start"
        try:
            yield process.pid, int(found[1])
        finally:
            process.send_signal(signal.SIGTERM)


def resident_mb(process: int) -> float:
    """Memory of a process that is resident."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def asked(kind: str, count: int, dice: random.Random) -> Request:
    """A request of a kind, about random tracks."""
    number = dice.randint(1, count)
    if kind == "search":
        weights = {name: dice.choice((0.5, 1, 2)) for name in ("genre", "mood", "instrument", "era")}
        return "POST", "/api/v1/search", {"seeds": [number], "weights": weights, "k": K}
    if kind == "similar":
        return "GET", f"/api/v1/tracks/{number}/similar?k={K}&weights=mood=1", None
    if kind == "words":
        return "GET", f"/api/v1/tracks?q={dice.choice(WORDS)}+{number}&limit={K}", None
    return "GET", f"/api/v1/tracks/{number}", None


def send(connection: http.client.HTTPConnection, request: Request) -> tuple[float, bool]:
    """Milliseconds that a request took, and whether it was answered."""
    method, path, content = request
    body = None if content is None else json.dumps(content)
    began = time.perf_counter()
    try:
        connection.request(method, path, body, {"content-type": "application/json"} if body else {})
        response = connection.getresponse()
        answer = response.read()
        passed = time.perf_counter() - began
        json.loads(answer)
    except (OSError, ValueError, http.client.HTTPException):
        connection.close()
        return 1000 * (time.perf_counter() - began), False
    return 1000 * passed, response.status == 200


def clients(port: int, count: int, number: int, seconds: float, results: Any) -> None:
    """Run clients at the same time, each in a thread: kind of request -> milliseconds, and the number of failures."""
    found: dict[str, list[float]] = defaultdict(list)
    failures, turn, until = [0], threading.Lock(), time.monotonic() + seconds

    def client(seed: int) -> None:
        dice = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.monotonic() < until:
            (kind,) = dice.choices(list(MIX), list(MIX.values()))
            passed, answered = send(connection, asked(kind, count, dice))
            with turn:
                found[kind].append(passed)
                failures[0] += not answered

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((dict(found), failures[0]))


def under_load(process: int, port: int, count: int, number: int, seconds: float) -> dict[str, Any]:
    """Latency for each kind of request, failures, and memory."""
    before = resident_mb(process)
    results: Any = multiprocessing.Queue()
    child = multiprocessing.Process(target=clients, args=(port, count, number, seconds, results))
    child.start()
    found, failures = results.get()
    child.join()
    every = [passed for kind in found.values() for passed in kind]
    return {
        "clients": number,
        "seconds": seconds,
        "requests": len(every),
        "failures": failures,
        "requests_per_s": round(len(every) / seconds, 1),
        "latency_ms": {kind: _percentiles(passed) for kind, passed in [*sorted(found.items()), ("all", every)]},
        "resident_mb": [round(before, 1), round(resident_mb(process), 1)],
    }


def alone(port: int, library: Path, count: int, searches: int) -> dict[str, Any]:
    """Latency of the same searches over HTTP and without."""
    dice = random.Random(0)
    requests = [asked("search", count, dice) for _ in range(WARM_UP + searches)]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    over_http = [send(connection, request) for request in requests]
    assert all(answered for _, answered in over_http)
    with Library.open(library) as opened:
        paths = {entry.id: entry.path for entry in opened.entries([content["seeds"][0] for *_, content in requests])}

        def search(content: Mapping[str, Any]) -> float:
            began = time.perf_counter()
            opened.search(paths[content["seeds"][0]], content["k"], content["weights"])
            return 1000 * (time.perf_counter() - began)

        without = [search(content) for *_, content in requests]
        engine = opened.stats()["search"]["engine"]
    return {
        "searches": searches,
        "engine": engine,
        "http_ms": _percentiles([passed for passed, _ in over_http[WARM_UP:]]),
        "library_ms": _percentiles(without[WARM_UP:]),
    }


def _percentiles(milliseconds: list[float]) -> dict[str, float]:
    values = np.percentile(milliseconds, (50, 95, 99, 100)).round(2).tolist()
    return dict(zip(("median", "p95", "p99", "max"), values, strict=True)) | {"count": len(milliseconds)}


def table(report: Mapping[str, Any]) -> Table:
    """The report for people."""
    shown = Table(title=f"{report['tracks']:,} tracks, {report['machine']}")
    for name in ("", "median ms", "95 %", "99 %", "max", "requests"):
        shown.add_column(name, justify="right" if name else "left")
    rows = [
        ("one client, HTTP", report["alone"]["http_ms"]),
        (f"Library.search ({report['alone']['engine']})", report["alone"]["library_ms"]),
    ]
    if load := report.get("load"):
        rows += [(f"{load['clients']} clients: {kind}", row) for kind, row in load["latency_ms"].items()]
        first, last = load["resident_mb"]
        shown.caption = f"{load['failures']} failures; resident memory {first} MB, then {last} MB"
    for name, row in rows:
        numbers = [f"{row[key]:.1f}" for key in ("median", "p95", "p99", "max")]
        shown.add_row(name, *numbers, f"{row['count']:,}")
    return shown


def run(count: int, number: int, seconds: float, searches: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Make a library, serve it, measure: a report, ready for JSON."""
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        library = Path(folder, "music.db")
        say(f"making a library of {count:,} tracks")
        make_library(library, count)
        with served(library) as (process, port):
            say("searching with one client")
            report = {
                "tracks": count,
                "machine": platform.processor() or platform.machine(),
                "alone": alone(port, library, count, searches),
            }
            if number:
                say(f"{number} clients for {seconds:.0f} s")
                report["load"] = under_load(process, port, count, number, seconds)
    return report


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=50, help="at a time; 0 for none")
    parser.add_argument("--seconds", type=float, default=60, help="of load")
    parser.add_argument("--searches", type=int, default=200, help="with a single client")
    parser.add_argument("--json", type=Path, help="write the report here")
    options = parser.parse_args()
    console = Console(stderr=True)
    report = run(options.tracks, options.clients, options.seconds, options.searches, console.print)
    Console().print(table(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
