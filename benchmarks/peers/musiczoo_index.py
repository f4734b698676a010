"""Ours, for folders: each is indexed into a separate library. Arguments: model, workers."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from serve import serve

import musiczoo

name, workers = sys.argv[1:]


def index(folder: str) -> None:
    """Build a library, as `musiczoo index` does, and forget it."""
    with TemporaryDirectory() as place:
        musiczoo.Library.build(
            name, folder, path=Path(place, "library.db"), workers=int(workers), progress=False
        ).close()


if __name__ == "__main__":
    serve(index)
