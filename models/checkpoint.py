"""Checkpoints: one file that holds all that a run needs to go on as if nothing had happened.

Conventions
-----------
- A checkpoint is an .npz with the weights, the optimiser's variables and one JSON text for the rest.
- It is replaced as a whole: whenever the process dies, the last complete one is there.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from musiczoo._files import UNREADABLE, open_npz
from musiczoo.datasets.prepared import atomic
from musiczoo.errors import TrainingError

_STATE = "state"


def save(path: Path, variables: Sequence[keras.Variable], state: dict[str, Any]) -> None:
    """Write variables and state."""
    arrays: dict[str, Any] = {f"{i:04d}": variable.numpy() for i, variable in enumerate(variables)}
    arrays[_STATE] = np.array(json.dumps(state))
    with atomic(path) as file:
        np.savez(file, **arrays)


def restore(path: Path, variables: Sequence[keras.Variable]) -> dict[str, Any]:
    """Assign the stored values to the variables, and return the state.

    Raises:
        TrainingError: If the file cannot be read or is of another model.
    """
    arrays, state = read(path)
    shapes, expected = [a.shape for a in arrays], [tuple(v.shape) for v in variables]
    if shapes != expected:
        raise TrainingError(
            f"{path}: expected {len(expected)} variables of this model and optimiser, received {len(shapes)} of other "
            "shapes. It is of another recipe: choose another folder."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return state


def read(path: Path) -> tuple[list[NDArray[Any]], dict[str, Any]]:
    """The stored arrays, in order, and the state.

    Raises:
        TrainingError: If the file cannot be read.
    """
    try:
        with open_npz(path) as stored:
            arrays = [stored[f"{i:04d}"] for i in range(len(stored.files) - 1)]
            state: dict[str, Any] = json.loads(str(stored[_STATE]))
    except UNREADABLE as error:
        raise TrainingError(f"Expected a checkpoint at {path}, received {error}. Delete it to start again.") from error
    return arrays, state
