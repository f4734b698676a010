"""The training stack, which most installations do not have."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import MissingDependencyError


@contextmanager
def training_stack(command: str) -> Iterator[None]:
    """Around the imports of a command that trains or exports.

    Args:
        command: What the user called, for the message.

    Raises:
        MissingDependencyError: If a package of the extra [train] is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only; has to be set before the import
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("musiczoo"):
            raise
        raise MissingDependencyError(
            f"{command} needs the package {error.name!r}, which is not installed. Install the extra with: "
            "pip install 'musiczoo[train]' (or 'musiczoo[train-cpu]' where there is no GPU)"
        ) from error
