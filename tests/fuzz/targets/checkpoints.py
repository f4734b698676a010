"""TensorFlow's checkpoints: the index of tensors, and their bytes."""

import random
import struct
from contextlib import suppress

import havoc
import numpy as np
from bundles import HEADER, entry, table, write_bundle

from musiczoo.export.tensor_bundle import BundleError, read_tensors

TENSORS = {f"layer_{i}/kernel": np.arange(i % 5 + 1, dtype=np.float32) for i in range(40)}


def seeds() -> list[bytes]:
    """One checkpoint of several blocks, and one of a single tensor: the index's length, the index, the data."""
    found = [write_bundle(TENSORS, each=15), write_bundle({"x": np.float64(1)})]
    return [struct.pack("<H", len(index)) + index + data for index, data in found]


def run(data: bytes) -> None:
    """Read it; what is returned lies within the file."""
    size = int.from_bytes(data[:2], "little")
    index, content = data[2 : 2 + size], data[2 + size :]
    with suppress(BundleError):
        tensors = read_tensors(index, content)
        assert all(tensor.nbytes <= len(content) for tensor in tensors.values())


def mutate(data: bytes, dice: random.Random) -> bytes:
    """A message about a tensor changed inside an index that is otherwise right; or bytes."""
    if dice.random() < 0.5:
        return havoc.mutate(data, dice)
    array = np.arange(4, dtype=np.float32)
    messages = [HEADER, entry(array, 0), entry(array, 16)]
    for _ in range(dice.choice((1, 1, 2))):
        i = dice.randrange(3)
        messages[i] = havoc.mutate(messages[i], dice)
    index = table(list(zip((b"", b"x", b"y"), messages, strict=True)), each=dice.choice((1, 2, 9)))
    return struct.pack("<H", len(index)) + index + 2 * array.tobytes()
