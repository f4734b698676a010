"""Ours. Arguments: model, threads, precision, excerpts (0 is the whole song)."""

import sys

from serve import serve

import musiczoo

name, threads, precision, excerpts = sys.argv[1:]
model = musiczoo.load(name, threads=int(threads), precision=precision)


def tag(path: str) -> dict[str, float]:
    """The tags of `Model.analyze`."""
    return dict(model.analyze(path, excerpts=int(excerpts) or None).tags)


if __name__ == "__main__":
    serve(tag)
