"""The command line: any words, in a folder with a song, a model, a library and files that are none of these."""

import dataclasses
import hashlib
import io
import random
import sys
import warnings
from pathlib import Path

import av  # noqa: F401  (here and below: so that their memory is not the first input's)
import havoc
import matplotlib.pyplot  # noqa: F401
import numpy as np
import soundfile
import typer

import musiczoo.cli
import musiczoo.cli.search
import musiczoo.file_tags
import musiczoo.library.map
import musiczoo.model
from musiczoo.card import CARD_FILE, MODEL_FILE

from . import library, onnx_model
from .card import CARD

COMMANDS = [
    "tag", "demo", "index", "search", "map", "models", "export", "publish", "quantize", "train", "evaluate",
    "library", "import", "data", "check", "prepare", "label", "stats", "failures", "vacuum", "verify", "musicnn",
    "folder", "msd", "dim_sim", "jamendo", "list", "cite", "fma", "gtzan", "tagging_lists",
]  # fmt: skip
HEAVY = {"train", "quantize", "export", "evaluate", "prepare", "label", "musicnn", "demo", "dask", "umap", "tsne"}
"""Words that lead to TensorFlow, or to minutes of work."""
FILES = [
    "song.wav", "m", "l.db", "bad.db", "bad.mp3", "tags.csv", "nothing", ".", "..", "out.html", "out.m3u",
    "out.png", "m/card.json",
]  # fmt: skip
WORDS = (
    *("", "\udcff", "a\nb", "x" * 5000, "http://localhost:1/a", "s3://a/b"),
    *["-", "--", "0", "1", "-1", "2", "1e400", "nan", "inf", "99999999999999999999", "é", "\x1b[31m", "[red]"],
    *["x", "y", "a", "a=1,b=2", "a=-1", "a=nan", "=", ",", "x=0.5", "x=2"],
    *["1990-2000", "2000-", "1:00-2:00", "*", "[", "x,y", "json", "pca", "genre"],
    *["disentangled-classification", "small", "../m"],
)


def _options() -> list[str]:
    found: set[str] = set()
    pending = [typer.main.get_command(musiczoo.cli.app)]
    while pending:
        command = pending.pop()
        pending += getattr(command, "commands", {}).values()
        found.update(name for parameter in command.params for name in parameter.opts if name.startswith("-"))
    return sorted(found)


def _files() -> dict[str, bytes]:
    model, sound = onnx_model.small().SerializeToString(), io.BytesIO()
    soundfile.write(sound, 0.1 * np.sin(np.arange(32000) / 5), 16000, format="WAV")
    card = dataclasses.replace(CARD, files={MODEL_FILE: hashlib.sha256(model).hexdigest()})
    database = library.seeds()[0]
    return {
        "song.wav": sound.getvalue(),
        f"m/{MODEL_FILE}": model,
        f"m/{CARD_FILE}": card.to_json().encode(),
        "l.db": database,
        "bad.db": database[:3000] + bytes(500) + database[3500:],
        "bad.mp3": b"ID3" + bytes(500),
        "tags.csv": b"path,tags\nsong.wav,a\n",
    }


LINES = """
--help
--version
models
models --json
tag song.wav --model m
tag song.wav bad.mp3 --model m --json --excerpts 2
tag song.wav --model m --plot out.png
tag song.wav --model m --write
tag song.wav --model m --write --fields mood,genre
tag --model m --print-map
index . --library new.db --model m
library stats l.db
library verify l.db --json
library failures l.db
library vacuum l.db
library import . --library l.db
search l.db /m/1.mp3
search l.db --tags x
search l.db song.wav --weights a=1,b=2 --k 3
search bad.db /m/1.mp3
search l.db /m/0.mp3 --m3u out.m3u
search l.db --having x=0.5 --like /m/1.mp3
map l.db --out out.html
data check folder --root . --quick
publish m --zoo zoo
"""
OPTIONS = _options()
CONTENTS = _files()


def seeds() -> list[bytes]:
    """Commands that work, and some that do not."""
    return ["\0".join(line.split()).encode() for line in ("", *LINES.strip().splitlines())]


def run(data: bytes) -> None:
    """Call it as a shell would."""
    words = [word.decode("utf-8", "surrogateescape") for word in data.split(b"\0")] if data else []
    if HEAVY.intersection(words) and "--help" not in words:
        return
    for name, content in CONTENTS.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content)
    try:
        sys.argv = ["musiczoo", *words]
        musiczoo.cli.main()
        code: object = 0
    except SystemExit as end:
        code = end.code
    assert code in (None, 0, 1, 2), code


def mutate(data: bytes, dice: random.Random) -> bytes:
    """A word replaced, added, dropped or changed."""
    words = data.split(b"\0")
    at = dice.randrange(len(words))
    kind = dice.randrange(6)
    pool = dice.choice((COMMANDS, OPTIONS, OPTIONS, FILES, WORDS))
    word = dice.choice(pool).encode("utf-8", "surrogateescape")
    if kind == 0:
        words[at] = word
    elif kind < 4:
        words.insert(at + 1, word)
    elif kind == 4 and len(words) > 1:
        del words[at]
    else:
        words[at] = havoc.mutate(words[at], dice).replace(b"\0", b"")
    return b"\0".join(words)


warnings.filterwarnings("ignore")
