"""Write, with a current TensorFlow, what the older ones have to reproduce: ``reference.py FOLDER``.

FOLDER/saved_model is an export; FOLDER/reference.npz holds excerpts ``[3, 66150]`` and what Keras makes of them.
The network is the published architecture, narrow, with weights at random.
"""

import shutil
import sys
from pathlib import Path

import keras
import numpy as np
from tiny import TINY_CARD, excerpts

from musiczoo.export.onnx import fold_batch_normalization, round_weights
from musiczoo.export.parity import run_keras
from musiczoo.export.saved_model import export_saved_model
from musiczoo.models.architectures import MIN_WIDTH, build, build_waveform


def write(folder: Path) -> None:
    """All anew: what an earlier call wrote is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    keras.utils.set_random_seed(5)
    model = build_waveform(build("disentangled-classification", MIN_WIDTH))
    fold_batch_normalization(model)
    round_weights(model)
    export_saved_model(model, TINY_CARD, folder / "saved_model")
    waveform = excerpts()
    np.savez(folder / "reference.npz", waveform=waveform, **run_keras(model, waveform))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
