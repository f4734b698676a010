"""Make `data/`: files as the musiczoo of today writes them, for tests of the musiczoo of later.

    python tests/compatibility/make_old_files.py

It was run once, on Linux, at the commit that brought it (see README.md); tests never run it. Its folder is /music, so
that no path of anybody's machine stands in the files.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import soundfile

import musiczoo
from musiczoo.demo import PATH as PIECE

DATA = Path(__file__).parent / "data"
HOME = Path("/music")
ROOT = Path(musiczoo.__file__).parents[1]
RATE, SECONDS = 22050, 3
SONGS = (
    # file, artist, album, title, year, genre, split
    ("Anna/First/1.ogg", "Anna", "First", "One", "1966", "Rock", "train"),
    ("Anna/First/2.ogg", "Anna", "First", "Two", "1966", "Rock", "train"),
    ("Bohm/Second/3.ogg", "Böhm", "Second", "Three", "1981", "Jazz", "train"),
    ("Bohm/Second/4.ogg", "Böhm", "Second", "Four", "1981", "Jazz", "train"),
    ("Capek/Third/5.flac", "Čapek", "Third", "Five", "1999", "", "validation"),
    ("Capek/Third/6.ogg", "Čapek", "Third", "Six", "1999", "", "validation"),
)
BROKEN = "broken.mp3"
MODEL = "disentangled-classification"
TINY = {"model": MODEL, "width": 16, "teachers": ["annotations"], "batch": 2, "epochs": 3, "seed": 5}
STEPS = 2
QUERIES = {
    "song": ["/music/songs/Anna/First/1.ogg"],
    "weights": ["/music/songs/Anna/First/1.ogg", "--weights", "genre=1,mood=2"],
    "dimensions": ["--of", "genre=/music/songs/Anna/First/1.ogg", "--of", "mood=/music/songs/Capek/Third/6.ogg"],
    "tags": ["--tags", "jazz,sad"],
    "unlike": ["/music/songs/Anna/First/1.ogg", "--unlike", "/music/songs/Bohm/Second/3.ogg"],
    "each": ["/music/songs/Anna/First/1.ogg", "/music/songs/Capek/Third/6.ogg", "--each", "--unfolded"],
    "filters": ["--tags", "rock", "--year", "1980-1999", "--per-artist", "1"],
}


def run(*args: object, code: int = 0) -> str:
    """The standard output of a command."""
    done = subprocess.run([sys.executable, "-m", "musiczoo", *map(str, args)], cwd=HOME, capture_output=True, text=True)
    assert done.returncode == code, (args, done.stderr)
    return done.stdout


def keep(name: str, text: str) -> None:
    """Write what a command said: JSON, or a line of it an object."""
    lines = [json.loads(line.replace(str(ROOT), "")) for line in text.splitlines()]
    write(name, lines[0] if len(lines) == 1 else lines)


def write(name: str, content: object) -> None:
    path = DATA / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def songs() -> None:
    """Parts of the bundled recording, three seconds each, and a file that is not audio."""
    piece, rate = soundfile.read(PIECE, always_2d=True)
    mono = piece.mean(axis=1)
    step = rate // RATE
    for i, (name, artist, album, title, year, genre, _) in enumerate(SONGS):
        part = mono[i * 5 * rate : (i * 5 + SECONDS) * rate]
        part = part.reshape(-1, step).mean(axis=1) * (0.4 + 0.1 * i)
        path = HOME / "songs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            fields = {"title": title, "artist": artist, "album": album, "date": year, "genre": genre}
            for field, text in fields.items():
                if text:
                    setattr(file, field, text)
            file.write(part)
    (HOME / "songs" / BROKEN).write_text("not music")
    os.utime(HOME / "songs" / BROKEN, (10**9, 10**9))


def table() -> None:
    """Annotations of the songs with all fifty tags: written beside them, for a folder data set."""
    card = musiczoo.load(MODEL).card
    of = {tag: dimension for dimension, tags in card.dimensions.items() for tag in tags}
    names = [f"{of[tag]}:{tag}" for tag in card.tags]
    positive = np.random.default_rng(1).random((len(SONGS), len(names))) < 0.4
    rows = [",".join(["path", "split", *names])]
    for (name, *_, split), row in zip(SONGS, positive, strict=True):
        rows.append(",".join([name, split, *map(str, row.astype(int))]))
    (HOME / "songs" / "tags.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def command_line() -> None:
    """A library, its parts, and what the commands say."""
    keep("cli/index.json", run("index", "songs", "--library", "library.db", "--json"))
    keep("cli/index-dask.json", run("index", "songs", "--engine", "dask", "--parts", "/music/parts", "--json"))
    keep("cli/import.json", run("library", "import", "parts", "--library", "imported.db", "--json"))
    for name, args in QUERIES.items():
        keep(f"cli/search-{name}.json", run("search", "library.db", *args, "--json"))
    for command in ("stats", "failures", "verify", "evaluate"):
        keep(f"cli/library-{command}.json", run("library", command, "library.db", "--json"))
    files = [f"songs/{name}" for name, *_ in SONGS]
    keep("cli/tag.json", run("tag", *files, "--json"))
    keep("cli/tag-failed.json", run("tag", f"songs/{BROKEN}", "--json", code=1))
    keep("cli/models.json", run("models", "--json"))
    keep("cli/data-list.json", run("data", "list", "--json"))
    keep("cli/data-check.json", run("data", "check", "folder", "--root", "songs", "--json", code=1))
    keep("cli/evaluate.json", run("evaluate", "--data", "prepared", "--split", "train", "--json"))


def prepared() -> None:
    run("data", "prepare", "folder", "--root", "songs", "--out", "prepared")
    run("data", "label", "prepared", "--teacher", MODEL)


def runs() -> None:
    """The same run twice: killed after its second epoch, and at its end. A shallow encoder keeps them small."""
    train = [sys.executable, ROOT / "tests" / "models" / "tiny_run.py", json.dumps(TINY), "prepared"]
    killed = subprocess.run([*train, "interrupted", str(2 * STEPS + 1), "shallow"], cwd=HOME, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (HOME / "interrupted" / "result.json").exists()
    subprocess.run([*train, "finished", "0", "shallow"], cwd=HOME, check=True, capture_output=True)
    export = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests' / 'models')!r})\n"
        "import tiny_run; from musiczoo.models import variants; variants.encode = tiny_run.shallow\n"
        "from musiczoo.cli import main; main()"
    )
    command = [sys.executable, "-c", export, "export", "finished", "--out", "exported", "--name", "tiny"]
    subprocess.run(command, cwd=HOME, check=True, capture_output=True)
    run("publish", "exported", "--zoo", "zoo")
    keep("cli/tag-tiny.json", run("tag", "songs/Anna/First/1.ogg", "--model", "zoo/tiny", "--json"))


def graphs() -> None:
    """Inputs, outputs and metadata of the published models' graphs."""
    import onnxruntime

    for name in musiczoo.list_models():
        for path in sorted((Path(musiczoo.__file__).parent / "zoo" / name).glob("*.onnx")):
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            found = {
                way: {node.name: [node.type, node.shape] for node in nodes}
                for way, nodes in (("inputs", session.get_inputs()), ("outputs", session.get_outputs()))
            }
            metadata = session.get_modelmeta().custom_metadata_map
            found["metadata"] = {key: json.loads(metadata[key]) for key in sorted(metadata)}
            write(f"onnx/{name}-{path.stem}.json", found)


def vectors() -> None:
    """Embeddings and tags of the default and of the tiny model for the songs, and of the library's tracks."""
    for name, model in (("default", MODEL), ("tiny", HOME / "zoo" / "tiny")):
        loaded = musiczoo.load(model)
        tracks = [loaded.analyze(HOME / "songs" / path) for path, *_ in SONGS]
        arrays = {
            "embedding": np.stack([track.embedding for track in tracks]),
            "tags": np.array([track.tags.probabilities for track in tracks], np.float32),
        }
        np.savez(DATA / f"vectors-{name}.npz", **arrays)


def archive(name: str) -> None:
    """A folder of the home as an archive in the data: graphs are mostly zeros."""
    with zipfile.ZipFile(DATA / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path in sorted((HOME / name).rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(HOME / name))


def copy() -> None:
    """What is kept: no pictures, no second copy of the audio, and what is large and mostly zeros in archives."""
    for name in ("songs", "parts"):
        shutil.copytree(HOME / name, DATA / name)
    shutil.copytree(HOME / "prepared", DATA / "prepared", ignore=shutil.ignore_patterns("audio"))
    for name, dropped in (("interrupted", "*.png"), ("finished", "c*")):  # curves.png, checkpoint.npz
        shutil.copytree(HOME / name, DATA / name, ignore=shutil.ignore_patterns(dropped))
    shutil.copy(HOME / "library.db", DATA / "library.db")
    archive("exported")
    archive("zoo")


def main() -> None:
    if HOME.exists() or DATA.exists():
        sys.exit(f"Expected neither {HOME} nor {DATA}. Delete them first.")
    HOME.mkdir()
    os.environ["MUSICZOO_HOME"] = str(HOME / "no-such-home")
    songs()
    table()
    prepared()
    command_line()
    runs()
    vectors()
    graphs()
    copy()


if __name__ == "__main__":
    main()
