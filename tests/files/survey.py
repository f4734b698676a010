"""What musiczoo reads of each file that `make` makes, as a table: run it before and after a change.

    python tests/files/survey.py FOLDER [--without-av] [NAME ...]

Columns: seconds of the tunes that were read, of all; how late they are in ms; how late excerpts that are sought are, in
ms; the first digits of a hash of the samples; warnings or the error; bytes that a decoder wrote to standard error.
"""

import hashlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import make
import numpy as np

from musiczoo import audio
from musiczoo.errors import MusicZooError


@dataclass(frozen=True)
class Framing:
    """Excerpts of 1 s at the rate of the tunes."""

    sample_rate: int = make.KNOWN_RATE
    excerpt_samples: int = make.KNOWN_RATE


LONG = 2**31
"""Bytes above which a file is not read as a whole."""


def main(folder: Path, names: list[str]) -> None:
    """Print the table."""
    for name in names or make.FILES:
        path = folder / name
        if path.exists():
            with standard_error() as written, warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                cells = [name, whole(path), *sought(path)]
            notes = " / ".join(dict.fromkeys(str(w.message).replace(f"{folder}/", "") for w in caught))
            print(" | ".join([*cells, notes, f"{written[0]} B" if written[0] else ""]), flush=True)


def whole(path: Path) -> str:
    """Seconds read, how late, and a hash."""
    if path.stat().st_size > LONG:
        return f"{audio.probe(path).duration_s:.2f} s"
    try:
        samples = audio.read(path, make.KNOWN_RATE)
        declared = audio.probe(path).duration_s
    except MusicZooError as error:
        return f"{type(error).__name__}: {str(error).replace(f'{path.parent}/', '')}"
    late = make.offsets(samples, make.FILES[path.name])
    there = [1000 * value for value in late if value is not None]
    digest = hashlib.sha256(samples.tobytes()).hexdigest()[:6]
    found = f"{len(there)} of {len(late)} s, {median(there):.0f} ms late" if there else "nothing"
    if there and max(there) - min(there) > 2:
        found += f" ({min(there):.0f} to {max(there):.0f})"
    return f"{found}, {len(samples) / make.KNOWN_RATE:.2f} s read, {declared:.2f} s declared, {digest}"


def sought(path: Path) -> tuple[str, ...]:
    """How late sought excerpts are, against the sound read in order."""
    try:
        if path.stat().st_size > LONG:
            pairs = list(audio.excerpts(path, Framing(), count=2))
            return ("; ".join(f"{start:.2f} s {np.abs(samples).max():.2f}" for start, samples in pairs),)
        stream = audio.read(path, make.KNOWN_RATE)
        pairs = list(audio.excerpts(path, Framing(), count=7))
    except MusicZooError as error:
        return (f"{type(error).__name__}: {str(error).replace(f'{path.parent}/', '')}",)
    late = [make.offset_of(samples, stream, round(start * make.KNOWN_RATE), 6000) for start, samples in pairs]
    shown = ["-" if value is None else f"{1000 * value:.0f}" for value in late]
    digest = hashlib.sha256(b"".join(samples.tobytes() for _, samples in pairs)).hexdigest()[:6]
    exact = max(
        float(np.abs(stream[round(start * 8000) : round(start * 8000) + 8000] - samples).max()) if value == 0 else 9
        for (start, samples), value in zip(pairs, late, strict=True)
    )
    return (f"{' '.join(shown) if len(set(shown)) > 1 else shown[0]} ms, {exact:.1g}, {digest}",)


@contextmanager
def standard_error() -> Iterator[list[int]]:
    """Count what the process writes to standard error, C libraries included."""
    written = [0]
    with tempfile.TemporaryFile() as aside:
        kept = os.dup(2)
        os.dup2(aside.fileno(), 2)
        try:
            yield written
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            written[0] = os.fstat(aside.fileno()).st_size


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--without-av"]
    if "--without-av" in sys.argv:
        sys.modules["av"] = None  # type: ignore[assignment]  # as if it were not installed
    if not arguments:
        raise SystemExit(__doc__)
    main(Path(arguments[0]), arguments[1:])
