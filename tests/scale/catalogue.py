"""Songs on the spot, and children that listen to them: what the tests of this folder share."""

import os
import signal
import time
from pathlib import Path

import fsspec
import numpy as np
import toy
from fsspec.implementations.local import LocalFileSystem

from musiczoo.library.records import Entry, Facts, Failure
from musiczoo.model import Model
from musiczoo.scale.hearing import hear

FACTS = Facts.of(toy.CARD)


class Bucket(LocalFileSystem):
    """An object store as far as fsspec and we can tell: ``bucket:///folder/key``."""

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
    """A row that no model made."""
    random = np.random.default_rng(seed)
    slices = random.standard_normal((4, 64))
    slices /= 2 * np.linalg.norm(slices, axis=1, keepdims=True)
    fields = {
        "path": path, "size": 10 + seed, "mtime_ns": 1_700_000_000_123_456_789 + seed, "hash": f"{seed:032x}",
        "duration_s": 12.5, "heard": 4, "embedding": slices.reshape(-1).astype(np.float32),
        "tags": random.random(50, np.float32),
    }  # fmt: skip
    return Entry(**fields | values)


def same(a: Entry | Failure, b: Entry | Failure, tolerance: float = 0.0) -> bool:
    """Whether two rows say the same, ids, revisions and times of failing aside."""
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


def hear_poison(model: Model, facts: Facts, name: str) -> Entry | Failure:
    """Listens, unless the file's name says what it does to its decoder."""
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
    return hear(model, facts, name)


def hear_slowly(model: Model, facts: Facts, name: str) -> Entry | Failure:
    """Listens, leaves a trace of it, and takes its time: there is something in the middle to be killed in."""
    with open(f"{name}.heard", "ab") as file:
        file.write(f"{os.getppid()}\n".encode())
    time.sleep(0.15)
    return hear(model, facts, name)
