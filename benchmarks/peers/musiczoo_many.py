"""Ours, all songs at once. Arguments: model, threads. A line holds the songs, with tabs between them."""

import sys

from serve import serve

import musiczoo

name, threads = sys.argv[1:]
model = musiczoo.load(name, threads=int(threads))


def tag(paths: str) -> None:
    """Ask `Model.analyze_many` for the tags of each, and forget them."""
    for track in model.analyze_many(paths.split("\t")):
        if isinstance(track, musiczoo.MusicZooError):
            raise track


if __name__ == "__main__":
    serve(tag)
