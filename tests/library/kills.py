"""Kill an index, index again, and compare; benchmarks/faults/sigkill.py does it hundreds of times."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from musiczoo.library.database import Database

BROKEN = ("empty.mp3", "text.ogg", "cut.flac")


def content(path: Path) -> dict[str, Any]:
    """Return the contents of a library, except ids, revisions and times of failures."""
    with Database.open(path) as database:
        return {
            "config": database.config,
            "tracks": sorted(
                (e.path, e.size, e.mtime_ns, e.hash, e.duration_s, e.excerpts, e.embedding.tobytes(), e.tags.tobytes(),
                 e.title, e.artist, e.album, e.genre, e.year, e.album_artist, e.artists, e.warnings, e.fingerprint,
                 e.track_number, e.recording_mbid, e.release_mbid, e.artist_mbids, e.album_artist_mbids, e.isrcs)
                for e in database.entries()
            ),
            "failures": [(f.path, f.size, f.mtime_ns, f.kind, f.reason) for f in database.failures()],
            "underway": database.rows("SELECT * FROM underway"),
            "damage": database.rows("PRAGMA integrity_check"),
        }  # fmt: skip


def write_music(folder: Path, count: int = 24) -> Path:
    """Write short tracks, a copy of the first, and three broken files."""
    from toy import music, write_audio

    folder.mkdir(parents=True)
    for i in range(count):
        write_audio(folder / f"{i:02d}.{('flac', 'wav', 'ogg')[i % 3]}", music(3 + i % 7, seed=i))
    (folder / "again.flac").write_bytes((folder / "00.flac").read_bytes())
    for name, data in zip(BROKEN, (b"", b"not music", (folder / "03.flac").read_bytes()[:60]), strict=True):
        (folder / name).write_bytes(data)
    return folder


_INDEX = """
import sys
from musiczoo.library import Library
music, library, model, workers = sys.argv[1:]
Library.build(model, music, path=library, workers=int(workers), excerpts=3).close()
"""


def command(music: Path, library: Path, model: str, workers: int) -> list[str]:
    """Return the command of the process that is killed."""
    return [sys.executable, "-c", _INDEX, str(music), str(library), model, str(workers)]


def run(music: Path, library: Path, model: str, workers: int) -> None:
    """Run an index to its end."""
    subprocess.run(command(music, library, model, workers), check=True, capture_output=True)


def killed(music: Path, library: Path, model: str, workers: int, tracks: int) -> int:
    """Kill an index when it has written a number of tracks; return the number left (0 without a library)."""
    with subprocess.Popen(
        command(music, library, model, workers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and _tracks(library) < tracks:
            time.sleep(0.002)
        process.kill()
    return _tracks(library)


def _tracks(library: Path) -> int:
    if not library.exists():
        return 0
    with Database.open(library) as database:
        return len(database)
