"""Keras models, and what they are made of, for training of your own.

- `from_preset` makes a published model with its weights, `build` a new one, and `finetune` trains your own tags on a
  published one.
- `musiczoo.models.losses`, `musiczoo.models.miners`, `musiczoo.models.heads` and `musiczoo.models.frontend` hold layers
  and losses for any Keras model.

Names are imported on first use, because TensorFlow takes seconds to import.

Example:
    >>> import musiczoo.models
    >>> model = musiczoo.models.build("disentangled-proxy", width=16)
    >>> {name: tensor.shape for name, tensor in model.output.items()}
    {'embedding': (None, 256), 'tags': (None, 50)}
"""

from typing import TYPE_CHECKING

from musiczoo._lazy import attribute

if TYPE_CHECKING:
    from musiczoo.models import frontend, heads, losses, miners
    from musiczoo.models.architectures import build
    from musiczoo.models.finetuning import finetune
    from musiczoo.models.presets import from_preset, list_presets

__all__ = ["build", "finetune", "from_preset", "frontend", "heads", "list_presets", "losses", "miners"]

_HOMES = {
    "build": "architectures",
    "finetune": "finetuning",
    "from_preset": "presets",
    "list_presets": "presets",
}


__getattr__ = attribute(__name__, _HOMES, modules=("frontend", "heads", "losses", "miners"))


def __dir__() -> list[str]:
    return sorted(__all__)
