"""Parts: Parquet files with rows that another machine has made."""

import io
import json
import random
from pathlib import Path

import havoc
import numpy as np
import pyarrow as pa
from pyarrow import parquet as pq

from musiczoo.library.database import Database
from musiczoo.library.records import Entry, Failure, LibraryConfig
from musiczoo.scale import parquet

from . import card

CONFIG = LibraryConfig.from_card(card.CARD, excerpts=2)
PART = f"part{parquet.SUFFIX}"


def seeds() -> list[bytes]:
    """A part of three songs and a failure, and one of none."""
    unit, tags = np.array([1, 0, 0, 1], np.float32) / np.float32(2**0.5), np.array([0.9, 0.1], np.float32)
    said = 60.0, 2, unit, tags, "T", "A; C", "B", "rock", 1990, "V", ("A", "C"), ("It is short.",), bytes(180)
    songs = [Entry(f"/m/{i}.mp3", 10, 20, f"{i:032x}", *said) for i in range(3)]
    failure = Failure("/m/bad.mp3", 1, 2, "AudioError", "It is text.", "2024-01-02T03:04:05+00:00")
    return [parquet.encode([*songs, failure], CONFIG, "0" * 16), parquet.encode([], CONFIG, "0" * 16)]


def run(data: bytes) -> None:
    """Read it, and bring it into a library."""
    Path(PART).write_bytes(data)
    parquet.inspect(PART)
    parquet.import_parts("l.db", [PART])
    with Database.open("l.db") as database:
        for entry in database.entries():
            assert entry.embedding.shape == (CONFIG.embedding_size,)
            assert np.isfinite(entry.embedding).all()


def mutate(data: bytes, dice: random.Random) -> bytes:
    """What it says of itself, a column or a row changed; or bytes."""
    if dice.random() < 0.5:
        return havoc.mutate(data, dice)
    try:
        table = pq.read_table(io.BytesIO(data))
        kind = dice.randrange(4)
        if kind == 0:
            about = json.loads(table.schema.metadata[b"musiczoo"])
            text = card.mutate(json.dumps(about.get("facts")).encode(), dice)
            said = b'{"format":%d,"shard":"0","failed":0,"facts":' % dice.choice((1, 2)) + text + b"}"
            table = table.replace_schema_metadata({b"musiczoo": said})
        elif kind == 1:
            table = table.drop([dice.choice(table.column_names)])
        elif kind == 2:
            at = dice.randrange(table.num_columns)
            value = dice.choice((None, "x", 1, -1.5, float("nan"), b"\xff", [1.0], [float("nan")] * 4, 2**62))
            table = table.set_column(at, table.column_names[at], pa.array([value] * table.num_rows))
        else:
            table = table.append_column(dice.choice(card.WORDS[:5]), pa.array([1] * table.num_rows))
        file = io.BytesIO()
        pq.write_table(table, file, compression=dice.choice(("snappy", "gzip", "zstd", "none")))
        return file.getvalue()
    except Exception:  # noqa: BLE001  pyarrow raises many things at damaged files
        return havoc.mutate(data, dice)
