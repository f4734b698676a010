"""Synthetic songs, and workers that analyze them: what the tests of this folder share."""

import os
import signal
import time
from pathlib import Path

import fsspec
import numpy as np
import toy
from fsspec.implementations.local import LocalFileSystem

from musiczoo.library.records import Entry, Failure, LibraryConfig
from musiczoo.model import Model
from musiczoo.scale.shards import analyze_remote

CONFIG = LibraryConfig.from_card(toy.CARD)


class Bucket(LocalFileSystem):
    """An object store for fsspec, on the local disk: ``bucket:///folder/key``."""

    protocol = "bucket"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(os.fspath(path).removeprefix("bucket://"))

    def unstrip_protocol(self, name: str) -> str:
        return f"bucket://{self._strip_protocol(name)}"


fsspec.register_implementation("bucket", Bucket, clobber=True)


def write_songs(folder: Path, count: int, seconds: float = 3.2) -> list[Path]:
    """Short songs that all differ, in folders of two."""
    paths = [folder / f"album {i // 2}" / f"song {i}.wav" for i in range(count)]
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        toy.write_audio(path, toy.music(seconds, seed=i))
    return paths


def entry(path: str, seed: int = 0, **values: object) -> Entry:
    """A record that no model made."""
    random = np.random.default_rng(seed)
    slices = random.standard_normal((4, 64))
    slices /= 2 * np.linalg.norm(slices, axis=1, keepdims=True)
    fields = {
        "path": path, "size": 10 + seed, "mtime_ns": 1_700_000_000_123_456_789 + seed, "hash": f"{seed:032x}",
        "duration_s": 12.5, "excerpts": 4, "embedding": slices.reshape(-1).astype(np.float32),
        "tags": random.random(50, np.float32),
    }  # fmt: skip
    return Entry(**fields | values)


def same(a: Entry | Failure, b: Entry | Failure, tolerance: float = 0.0) -> bool:
    """Whether two records are equal, except for ids, revisions and times of failures."""
    if type(a) is not type(b):
        return False
    for name in a.__slots__:
        x, y = getattr(a, name), getattr(b, name)
        if name in ("embedding", "tags"):
            if not np.allclose(x, y, rtol=0, atol=tolerance):
                return False
        elif name not in ("id", "revision", "failed_at") and x != y:
            return False
    return True


def analyze_poison(model: Model, config: LibraryConfig, name: str) -> Entry | Failure:
    """Analyze a file, unless its name says how it crashes its decoder."""
    stem = Path(name).stem
    if stem == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if stem == "out of memory":
        os.kill(os.getpid(), signal.SIGKILL)  # as Linux does it
    if stem == "exit":
        os._exit(3)
    if stem == "hang":
        time.sleep(600)
    if stem == "talk":
        os.write(1, b"[mp3 @ 0x55] Header missing\n")
    if stem == "once" and not os.path.exists(f"{name}.died"):
        Path(f"{name}.died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return analyze_remote(model, config, name)


def analyze_slowly(model: Model, config: LibraryConfig, name: str) -> Entry | Failure:
    """Analyze a file slowly and leave a trace, so that a test can kill the process meanwhile."""
    with open(f"{name}.analyzed", "ab") as file:
        file.write(f"{os.getppid()}\n".encode())
    time.sleep(0.15)
    return analyze_remote(model, config, name)
