"""What is fuzzed, one module each.

Conventions
-----------
- ``seeds() -> list[bytes]``: well-formed inputs, small, made on the spot.
- ``run(data: bytes) -> None``: give the input to musiczoo, in an empty current folder. It may return, or raise a
  `MusicZooError`; anything else is a finding.
- ``mutate(data: bytes, dice: random.Random) -> bytes``: one change of an input that knows its format.
"""

import importlib
import random
from collections.abc import Callable
from dataclasses import dataclass

NAMES = (
    *("audio", "file_tags", "card", "onnx_model", "library", "tables", "pickles", "arrays", "parts", "archives"),
    *("checkpoints", "command_line", "requests"),
)


@dataclass(frozen=True)
class Target:
    """One module of this folder: see above."""

    name: str
    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], None]
    mutate: Callable[[bytes, random.Random], bytes]


def load(name: str) -> Target:
    """The target of a name, one of `NAMES`."""
    module = importlib.import_module(f"{__name__}.{name}")
    return Target(name, module.seeds, module.run, module.mutate)
