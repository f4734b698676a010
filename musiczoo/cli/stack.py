"""Packages that most installations do not have, and the extras that bring them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .._paths import has_home
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
    if not has_home():
        os.environ.setdefault("KERAS_HOME", os.devnull)  # else Keras makes a folder named ~ where we are
    with extra(command, "train", " (or 'musiczoo[train-cpu]' where there is no GPU)"):
        yield


@contextmanager
def extra(command: str, name: str, hint: str = "") -> Iterator[None]:
    """Around the imports of a command that needs an extra.

    Args:
        command: What the user called, for the message.
        name: Of the extra.
        hint: What to add to the message.

    Raises:
        MissingDependencyError: If a package of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("musiczoo"):
            raise
        raise MissingDependencyError(
            f"{command} needs the package {error.name!r}, which is not installed. Install the extra with: "
            f"pip install 'musiczoo[{name}]'{hint}"
        ) from error
