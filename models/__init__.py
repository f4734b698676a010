"""Models to train: `build` makes one, `finetune` puts a user's own tags on a published one.

Names are imported when they are first used: TensorFlow takes seconds.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from musiczoo.models.finetuning import finetune
    from musiczoo.models.variants import build

__all__ = ["build", "finetune"]

_HOMES = {"build": "variants", "finetune": "finetuning"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
