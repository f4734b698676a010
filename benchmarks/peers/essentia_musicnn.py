"""Essentia's own way to run musicnn: its loader, its front end in C++, TensorFlow's C library.

Argument: the frozen graph (see `freeze`).
"""

import sys

from essentia.standard import MonoLoader, TensorflowPredictMusiCNN
from serve import serve

predict = TensorflowPredictMusiCNN(graphFilename=sys.argv[1], patchHopSize=187)


def tag(path: str) -> list[float]:
    """Mean over patches of 187 frames, 3 s, back to back."""
    scores: list[float] = predict(MonoLoader(filename=path, sampleRate=16000)()).mean(axis=0).tolist()
    return scores


if __name__ == "__main__":
    serve(tag)
