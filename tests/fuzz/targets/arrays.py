"""numpy's files: the tags' points of a model, triplet lists, log-mels and labels of a prepared data set."""

import dataclasses
import hashlib
import io
import random
import struct
import zipfile
from pathlib import Path

import havoc
import numpy as np

import musiczoo
from musiczoo.card import POINTS_FILE
from musiczoo.datasets.prepared import Store, TrackEntry
from musiczoo.evaluation.ground_truth import TripletLists
from musiczoo.evaluation.metrics.triplets import Triplets

from .card import CARD
from .onnx_model import small

KINDS = ("points", "triplets", "logmel", "labels")
"""The first byte of an input says which of these it is."""

TYPES = ("'<f4'", "'<f2'", "'|O'", "[('a', '<f4')]", "'<m8'", "'<U1'", "'|S0'")
SHAPES = ("(2, 4)", "(%d, %d)", "(-1, 4)", "()")


def npy(array: np.ndarray) -> bytes:
    """An array as numpy writes it."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of arrays."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def lists() -> dict[str, bytes]:
    """The members of triplet lists of three tracks."""
    file = io.BytesIO()
    rows = Triplets.of(np.array([[0, 1, 2], [1, 0, 2]])).rows()
    arrays = {"tracks": np.array(["a", "b", "c"]), "excerpts": np.array([1, 1, 1])}
    np.savez(file, **arrays, **{"triplets/genre": rows, "track_triplets": rows})
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def bomb(header: str, zeros: int) -> bytes:
    """An array of zeros as a .npy file."""
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(zeros)


def seeds() -> list[bytes]:
    """One of each, and an archive that unpacks to a thousand times its size."""
    large = bomb("{'descr': '<i8', 'fortran_order': False, 'shape': (2000000, 3), }", 48_000_000)
    return [
        b"\0" + npy(np.eye(2, 4, dtype=np.float16)),
        b"\1" + npz(lists(), zipfile.ZIP_STORED),
        b"\1" + npz(lists()),
        b"\1" + npz({**lists(), "triplets/genre.npy": large}),
        b"\2" + npy(np.zeros((2, 128), np.float16)),
        b"\3" + npy(np.full((1, 50), 0.5, np.float32)),
    ]


def run(data: bytes) -> None:
    """Read it as what it claims to be."""
    kind, content = (data[0] % len(KINDS), data[1:]) if data else (0, b"")
    if kind == 0:
        _points(content)
    elif kind == 1:
        Path("lists.npz").write_bytes(content)
        found = TripletLists.read(Path("lists.npz"))
        found.among(("a", "b", "c"), (1, 1, 1))
    else:
        track = TrackEntry("a", "train", "a.wav", 3.0, 2, "", "", "", "", "")
        store = Store(Path.cwd(), "folder", {"sample_rate": 22050, "n_mels": 128}, (track,))
        place = Path("logmel" if kind == 2 else "labels/x", "a.npy")
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
        np.asarray(store.logmel("a") if kind == 2 else store.labels("a", ["x"])).sum()


def _points(content: bytes) -> None:
    whole = small().SerializeToString()
    files = {"model.onnx": whole, POINTS_FILE: content}
    for name, file in files.items():
        Path(name).write_bytes(file)
    card = dataclasses.replace(CARD, files={name: hashlib.sha256(file).hexdigest() for name, file in files.items()})
    Path("card.json").write_text(card.to_json())
    points = musiczoo.load(Path.cwd(), threads=1).tag_points()
    assert points is not None
    assert points.shape == (2, 4)
    assert np.isfinite(points).all()


def mutate(data: bytes, dice: random.Random) -> bytes:
    """A header that says something else, in or out of an archive; or bytes changed."""
    kind, content = data[:1], data[1:]
    if dice.random() < 0.5:
        return kind + havoc.mutate(content, dice)
    shape = dice.choice(SHAPES)
    if "%d" in shape:
        shape %= dice.choice(havoc.NUMBERS), dice.choice(havoc.NUMBERS)
    order = dice.random() < 0.3
    header = f"{{'descr': {dice.choice(TYPES)}, 'fortran_order': {order}, 'shape': {shape}, }}"
    made = bomb(header if dice.random() < 0.95 else "(" * 300, dice.choice((0, 16, 32, 512)))
    if kind != b"\1":
        return kind + made
    members = lists()
    members[dice.choice([*members, "x.npy"])] = made if dice.random() < 0.7 else dice.randbytes(50)
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    return kind + npz(members, dice.choice(kinds))
