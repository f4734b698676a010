"""One step of `fit` on an exported model of few blocks under a strategy: ``preset_step.py FOLDER STRATEGY OUT``.

The file has the loss, and every trained weight after the step.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from tiny_run import BLOCKS

from musiczoo.card import read_card
from musiczoo.models import distributed, encoder, from_preset


def main(folder: Path, chosen: str, out: Path) -> None:
    strategy = distributed.choose(chosen)
    random = np.random.default_rng(0)
    waveforms = random.normal(0, 0.1, (4, 66_150)).astype(np.float32)
    encoder.BLOCKS = BLOCKS
    with strategy.scope():
        model = from_preset(folder)
        model.compile(keras.optimizers.SGD(0.1), loss={"tags": "binary_crossentropy"})
    tags = (random.random((4, len(read_card(folder).tags))) < 0.2).astype(np.float32)
    history = model.fit(waveforms, {"tags": tags}, batch_size=4, epochs=1, shuffle=False, verbose=0)
    weights = {weight.path: np.asarray(weight) for weight in model.trainable_variables}
    np.savez(out, loss=history.history["loss"][0], replicas=strategy.num_replicas_in_sync, **weights)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
