"""The lists of the Million Song Dataset and of tagging benchmarks: pickles that somebody else made."""

import io
import os
import pickle
import random
from pathlib import Path

import havoc
import numpy as np

from musiczoo.datasets import msd
from musiczoo.datasets.pickles import read_npy, read_pickle
from musiczoo.taxonomy import TAGS

TRACKS = ["TRAAAAA128F0000000", "TRBBBBB128F0000001", "TRCCCCC128F0000002"]
FILES = (msd.TRAIN_LIST, msd.TEST_LIST, msd.TAG_VECTORS, msd.IDS, msd.PATHS)
"""The first byte of an input says which of these it is, or, above, that it is a pickle or an array by itself."""

CALLS = (
    *("os system", "builtins eval", "builtins exec", "builtins getattr", "posix system", "subprocess Popen"),
    *("numpy fromfile", "numpy dtype", "numpy ndarray", "numpy.core.numeric _frombuffer", "_codecs encode"),
    *("numpy.core.multiarray fromfile", "numpy.core.multiarray _reconstruct", "numpy.core.multiarray scalar"),
    *("builtins set", "builtins bytes"),
)
OPERATIONS = tuple(bytes([code]) for code in (*b"(.012FIJKLMNPQRSTUVXabcdeghijlopqrstu", *range(0x80, 0x99)))


def _contents() -> list[object]:
    vectors = {track: np.eye(len(TAGS), dtype=np.float64)[i] for i, track in enumerate(TRACKS)}
    ids = {track: str(i) for i, track in enumerate(TRACKS)}
    paths = {str(i): f"{i}/{i}/{i}.clip.mp3" for i in range(len(TRACKS))}
    return [TRACKS[:2], TRACKS[2:], vectors, ids, paths]


def _python_2() -> list[bytes]:
    """The lists and the vectors as Python 2 writes them, whose entries are read in one step."""
    ids = b"(lp1\n" + b"".join(b"S'%s'\np%d\na" % (track.encode(), i + 2) for i, track in enumerate(TRACKS[:2])) + b"."
    zeros = b"\\x00" * 8 * len(TAGS)
    vectors = (
        b"(dp1\nS'%s'\np2\ncnumpy.core.multiarray\n_reconstruct\np3\n(cnumpy\nndarray\np4\n(I0\ntp5\nS'b'\np6\ntp7\nRp8\n"
        b"(I1\n(I50\nI1\ntp9\ncnumpy\ndtype\np10\n(S'f8'\nI0\nI1\ntRp13\n(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'%s'\n"
        b"p16\ntp17\nbs" % (TRACKS[0].encode(), zeros)
    )
    for i, track in enumerate(TRACKS[1:]):
        p = 20 + 10 * i
        vectors += (
            b"S'%s'\np%d\ng3\n(g4\n(I0\ntp%d\ng6\ntp%d\nRp%d\n(I1\n(I50\nI1\ntp%d\ng13\nI00\nS'%s'\np%d\ntp%d\nbs"
            % (track.encode(), p, p + 1, p + 2, p + 3, p + 4, zeros, p + 5, p + 6)
        )
    return [b"\0" + ids, b"\2" + vectors + b"."]


def seeds() -> list[bytes]:
    """Each list in the protocols 0, 2 and 5, and with CR LF; and what else plain data may be."""
    found = _python_2()
    found += [seed[:1] + seed[1:].replace(b"\n", b"\r\n") for seed in found]
    for i, content in enumerate(_contents()):
        found += [bytes([i]) + pickle.dumps(content, protocol) for protocol in (0, 2, 5)]
    other = [np.arange(6, dtype="<i2").reshape(2, 3), np.float32(1), {1, 2}, frozenset("ab"), b"\0\xff"]
    other += [bytearray(b"a"), [1.5, None, True, 1 << 80]]
    found += [bytes([len(FILES)]) + pickle.dumps(other, protocol) for protocol in (0, 2, 4, 5)]
    for array in (np.array(["0\ta.mp3", "b"], object), np.array([["a", None]], object), np.array(["a", "b"])):
        file = io.BytesIO()
        np.save(file, array)
        found.append(bytes([len(FILES) + 1]) + file.getvalue())
    return found


def run(data: bytes) -> None:
    """Read it, by itself or as one of the data set's lists."""
    which, content = (data[0], data[1:]) if data else (0, b"")
    if which == len(FILES) + 1:
        Path("a.npy").write_bytes(content)
        read_npy(Path("a.npy")).ravel().tolist()
        return
    if which >= len(FILES):
        Path("a.pkl").write_bytes(content)
        read_pickle(Path("a.pkl"))
        return
    for name, value in zip(FILES, _contents(), strict=True):
        Path(name).write_bytes(content if name == FILES[which] else pickle.dumps(value, 2))
    Path(msd.TAG_LIST).write_text("\n".join(TAGS))
    root = Path.cwd()
    for item in msd.load(root).items:
        assert Path(os.path.normpath(item.audio)).is_relative_to(root), item.audio


def mutate(data: bytes, dice: random.Random) -> bytes:
    """An operation, or a name of a function, put somewhere; or bytes changed."""
    at = dice.randint(1, max(len(data) - 1, 1))
    kind = dice.randrange(5)
    if kind == 0:
        operation = dice.choice(OPERATIONS)
        return data[:at] + operation * dice.choice((1, 1, 1, 2, 3, 1000)) + data[at:]
    if kind == 1:
        module, name = dice.choice(CALLS).split()
        return data[:at] + f"c{module}\n{name}\n".encode() + dice.choice((b"", b"(tR", b"(K\x01tR", b"]b")) + data[at:]
    if kind == 2:
        size = dice.choice((b"\x8d", b"\x8e", b"\x96", b"\x95"))
        return data[:at] + size + havoc.number(8, False, dice) + data[at:]
    return havoc.mutate(data, dice)
