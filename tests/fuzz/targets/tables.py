"""Label tables: those of all data sets that are no pickles, and the index of a prepared data set."""

import json
import os
import random
from pathlib import Path

import havoc

from musiczoo.datasets import dim_sim, fma, folder, gtzan, jamendo, magnatagatune, tagging_lists
from musiczoo.datasets.open_music.definition import DEFINITION, read_definition
from musiczoo.datasets.prepared import Store

LAYOUTS = (
    *("folder", "jamendo", "magnatagatune", "dim_sim.csv", "dim_sim.json", "store", "definition"),
    *("fma", "gtzan", "tagging_lists"),
)
"""The first byte of an input says which of these it is."""

_ROW = ["0", "TRA", "0.0", "0", "TRB", "1.5", "24000", "TRC", "3", "48000", "16000", "3.0", "48000", "1", "0"]
_INDEX = {
    "format": 1, "dataset": "folder", "front_end": {"sample_rate": 22050, "n_mels": 128}, "failures": [],
    "tracks": [{
        "id": "a", "split": "train", "audio": "a.wav", "duration_s": 3.0, "frames": 2,
        "title": "", "artist": "", "genre": "", "licence": "", "package": "",
    }],
}  # fmt: skip
_FMA = (
    ",artist,set,set,track,track,track,track,track\n,name,split,subset,genre_top,genres,genres_all,license,title\n"
    'track_id,,,,,,,,\n2,A,training,small,Rock,[1],"[1, 2]",CC0,One\n3,"B\nC",test,large,,[],[2],CC0,Two\n'
)
WORDS = (
    *["..", "../../etc/passwd", "/etc/passwd", '"', ",", ";", "|", ":", "0", "1", "-1", "nan", "1e400", "é"],
    *["path", "tags", "split", "train", "genre---rock", "=1+1", "version https://git-lfs.github.com/spec/v1", "<html>"],
    *("a\0b", "\n", "\r", "\t", "\ud800", "\ufeff", "C:\\a", "a/../../b", "x" * 140_000),
)


def seeds() -> list[bytes]:
    """One or two of each layout."""
    needed = [number for number, name in enumerate(dim_sim.COLUMNS) if name in dim_sim.REQUIRED]
    short = ",".join(dim_sim.COLUMNS[i] for i in needed) + "\r\n" + ",".join(_ROW[i] for i in needed) + "\r\n"
    csv = ",".join(dim_sim.COLUMNS) + "\n" + ",".join(_ROW) + "\n"
    definition = DEFINITION.read_text()[:1200].rsplit("\n", 1)[0] + "\n"
    tables = [
        (0, "path,tags,artist\none.mp3,mood:happy; instrument:piano,A\ntwo/two.flac,mood:sad | mood:slow,B\n"),
        (0, "path\tmood:happy\tsplit\none.mp3\t1\ttrain\ntwo.mp3\t0\ttest\n"),
        (1, "\t".join(jamendo.COLUMNS) + "\nt1\ta1\tb1\t14/214.mp3\t12.5\tgenre---rock\tmood/theme---happy\n"),
        (2, '"clip_id"\t"rock"\t"slow"\t"mp3_path"\n"1"\t"1"\t"0"\t"a/one.mp3"\n"2"\t"0"\t"1"\t"c/two.mp3"\n'),
        (3, csv),
        (3, short),
        (4, json.dumps([dict(zip(dim_sim.COLUMNS, _ROW, strict=True))])),
        (4, json.dumps({name: [cell, cell] for name, cell in zip(dim_sim.COLUMNS[1:], _ROW[1:], strict=True)})),
        (4, json.dumps({name: {"0": cell} for name, cell in zip(dim_sim.COLUMNS, _ROW, strict=True)})),
        (5, json.dumps(_INDEX)),
        (6, definition),
        (0, "id,tags,split\none,x|y,training\ntwo,y,val\n"),
        (7, _FMA),
        (8, "blues/blues.00000.wav\nrock/rock.00001.au\n"),
        (9, "7\t[1.0, 0.0]\n8\t[0.0, 1.0]\n"),
    ]
    marked = [bytes([number]) + text.encode("utf-16") for number, text in tables[:4]]
    return [bytes([number]) + text.encode() for number, text in tables] + marked


def run(data: bytes) -> None:
    """Read it: no path may lead out of the folder."""
    kind, content = (data[0] % len(LAYOUTS), data[1:]) if data else (0, b"")
    root = Path.cwd()
    if kind == 0:
        Path(folder.TABLE).write_bytes(content)
        dataset = folder.load(root)
        folder.check(root, quick=True)
    elif kind == 1:
        for table in jamendo._tables(root, "top50tags", 0).values():
            table.parent.mkdir(parents=True, exist_ok=True)
            table.write_bytes(content if "train" in table.name else "\t".join(jamendo.COLUMNS).encode())
        dataset = jamendo.load(root)
    elif kind == 2:
        Path(magnatagatune.ANNOTATIONS_FILE).write_bytes(content)
        if len(content) % 2:  # it may be missing
            Path(magnatagatune.CLIPS_FILE).write_bytes(b"clip_id\ttitle\tartist\n1\tOne\tA\n")
        dataset = magnatagatune.load(root)
    elif kind in (3, 4):
        Path("clean-dim-sim" + (".csv" if kind == 3 else ".json")).write_bytes(content)
        dim_sim.triplets(dim_sim.load(root), lambda track: root / track)
        return
    elif kind == 5:
        Path("index.json").write_bytes(content)
        _use(Store.open(root), root)
        return
    elif kind == 7:
        Path(fma.TRACKS_FILE).write_bytes(content)
        Path(fma.GENRES_FILE).write_bytes(b"genre_id,title\n1,Rock\n2,Pop\n")
        fma.load(root)
        dataset = fma.load(root, subset="large", tags="genres_all")
    elif kind == 8:
        for name in gtzan.LISTS.values():
            Path(name).write_bytes(content if "train" in name else f"pop/pop.{len(name):05d}.wav".encode())
        dataset = gtzan.load(root)
    elif kind == 9:
        index = b"6\ta.mp3\n7\ta/b.mp3\n8\tb.mp3\n9\tc.mp3\n"
        for name, table in (("train", content), ("val", b"9\t[1, 1]\n"), ("test", b"6\t[0, 0]\n")):
            Path(f"{name}_gt_mtt.tsv").write_bytes(table)
        Path("index_mtt.tsv").write_bytes(index)
        Path("output_labels_mtt.txt").write_bytes(b"LABELS = ['a', 'b']")
        dataset = tagging_lists.load(root)
    else:
        Path("definition.csv").write_bytes(content)
        for recording in read_definition(Path("definition.csv")):
            assert recording.id == Path(recording.id).name
            assert recording.audio == Path(recording.audio).name
        return
    for item in dataset.items:
        assert os.path.normpath(item.audio).startswith(f"{root}{os.sep}"), item.audio
        assert item.id == Path(item.id).name, item.id
        assert item.id not in (".", ".."), item.id
        assert dataset.row(item).shape == (len(dataset.tags),)


def _use(store: Store, root: Path) -> None:
    for track in store.tracks:
        assert os.path.normpath(store.audio(track.id)).startswith(f"{root}{os.sep}"), track
        assert os.path.normpath(root / "labels" / "x" / f"{track.id}.npy").startswith(f"{root}{os.sep}"), track
        assert track.excerpts > 0
    for split in ("train", "validation", "test"):
        store.split(split)
    _ = store.vocabulary
    again = root / "again"
    again.mkdir()
    store.save()
    for track in store.tracks:
        store.logmel(track.id)


def mutate(data: bytes, dice: random.Random) -> bytes:
    """A cell replaced; or bytes changed."""
    if dice.random() < 0.4 or len(data) < 3:
        return data[:1] + havoc.mutate(data[1:], dice)
    text, word = data[1:], dice.choice(WORDS).encode("utf-8", "surrogatepass")
    breaks = [0, *(i + 1 for i, byte in enumerate(text) if byte in b',\t\n":[]{}; |')]
    at = dice.choice(breaks)
    after = next((i - 1 for i in breaks if i > at), len(text))
    if dice.random() < 0.2:
        word = str(dice.choice(havoc.NUMBERS)).encode()
    return data[:1] + text[:at] + word + text[after:]
