"""Models to train: `build` makes one, `finetune` puts a user's own tags on a published one.

Names are imported when they are first used: TensorFlow takes seconds.
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
