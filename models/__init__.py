"""Train models: `build` makes a new one, `finetune` trains your own tags on a published one.

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
    from musiczoo.models.architectures import build
    from musiczoo.models.finetuning import finetune

__all__ = ["build", "finetune"]

_HOMES = {"build": "architectures", "finetune": "finetuning"}


__getattr__ = attribute(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
