"""Index, be killed, index again: does that leave what an undisturbed run leaves?

    python tests/library/kills.py --kills 50 [--music FOLDER] [--model NAME] [--workers N] [--seed N]

Each round makes a library of its own, kills the process (SIGKILL) a random moment after a random number of tracks is
written, runs it again to its end, and compares the content. Without --music and --model, sixty short pieces and a toy
model are made.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from musiczoo.library.database import Database

BROKEN = ("empty.mp3", "text.ogg", "cut.flac")


def content(path: Path) -> dict[str, Any]:
    """All that a library says, but ids, revisions and times of failing."""
    with Database.open(path) as database:
        return {
            "facts": database.facts,
            "tracks": sorted(
                (e.path, e.size, e.mtime_ns, e.hash, e.duration_s, e.heard, e.embedding.tobytes(), e.tags.tobytes(),
                 e.title, e.artist, e.album, e.genre, e.year)
                for e in database.entries()
            ),
            "failures": [(f.path, f.size, f.mtime_ns, f.kind, f.reason) for f in database.failures()],
            "underway": database.rows("SELECT * FROM underway"),
            "damage": database.rows("PRAGMA integrity_check"),
        }  # fmt: skip


def write_music(folder: Path, count: int = 24) -> Path:
    """So many pieces of some seconds and a copy of the first; and three files that are broken."""
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
    """The process that is killed."""
    return [sys.executable, "-c", _INDEX, str(music), str(library), model, str(workers)]


def run(music: Path, library: Path, model: str, workers: int) -> float:
    """An undisturbed run, or the end of a disturbed one; its seconds."""
    started = time.monotonic()
    subprocess.run(command(music, library, model, workers), check=True, capture_output=True)
    return time.monotonic() - started


def killed(music: Path, library: Path, model: str, workers: int, tracks: int, after: float = 0.0) -> int:
    """A run that is killed some seconds after so many tracks are there; how many it left (0 if no library)."""
    with subprocess.Popen(
        command(music, library, model, workers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and _tracks(library) < tracks:
            time.sleep(0.002)
        time.sleep(after)
        process.kill()
    return _tracks(library)


def _tracks(library: Path) -> int:
    if not library.exists():
        return 0
    with Database.open(library) as database:
        return len(database)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--music", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, model = Path(name), options.model
        music = options.music or write_music(folder / "music", 60)
        if model is None:
            from toy import write_model

            model = str(write_model(folder / "toy"))
        # Twice: the first run reads from the disk, the others from memory.
        seconds = [run(music, folder / f"undisturbed{i}.db", model, options.workers) for i in range(2)][1]
        expected = content(folder / "undisturbed0.db")
        assert content(folder / "undisturbed1.db") == expected
        print(f"undisturbed: {len(expected['tracks'])} tracks, {len(expected['failures'])} failures, {seconds:.1f} s")
        moments, different, total = random.Random(options.seed), 0, len(expected["tracks"])
        for i in range(options.kills):
            library, after = folder / f"{i}.db", moments.uniform(0, 2 * seconds / total)
            left = killed(music, library, model, options.workers, moments.randrange(total), after)
            run(music, library, model, options.workers)
            same = content(library) == expected
            different += not same
            verdict = "equal" if same else "DIFFERENT"
            print(f"{i + 1:3d}: killed with {left:3d} of {total} tracks; then {verdict}", flush=True)
            for leftover in folder.glob(f"{i}.db*"):
                leftover.unlink()
    print(f"{options.kills - different} of {options.kills} equal")
    return 1 if different else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(main())
