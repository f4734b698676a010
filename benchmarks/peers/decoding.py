"""The lower bound: only decoding and resampling, with soundfile and soxr, on one thread."""

import numpy as np
import soundfile
import soxr
from serve import serve

BLOCK, RATE = 1 << 14, 22_050


def tag(path: str) -> None:
    """Decode, average the channels, convert to `RATE`, and forget."""
    with soundfile.SoundFile(path) as file:
        weights = np.full(file.channels, 1 / file.channels, np.float32)
        resampler = soxr.ResampleStream(file.samplerate, RATE, 1, dtype="float32", quality="HQ")
        while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
            resampler.resample_chunk(block @ weights)


if __name__ == "__main__":
    serve(tag)
