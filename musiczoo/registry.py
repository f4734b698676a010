"""Names -> model folders.

Conventions
-----------
- A model is a folder with a card.json; its name is the folder's.
- Those in the package's own zoo come first, then those in the user's, ``$MUSICZOO_HOME/zoo`` or
  ``~/.musiczoo/zoo``. One there that bears a packaged model's name is not found by that name, so that a name
  always means the published weights: load it by its path.
"""

import os
from contextlib import suppress
from pathlib import Path

from ._paths import expanded, has_home
from .card import CARD_FILE
from .errors import InputError, UnknownNameError

HOME_VARIABLE = "MUSICZOO_HOME"
"""Environment variable that moves `_DEFAULT_HOME`."""

_DEFAULT_HOME = "~/.musiczoo"


def packaged_zoo() -> Path:
    """The folder of the models that come with musiczoo."""
    return Path(__file__).parent / "zoo"


def user_zoo() -> Path:
    """The folder of the models that a user imported or published; it need not exist.

    Raises:
        InputError: If the user has no home, as in some containers, or `HOME_VARIABLE` names that of nobody.
    """
    try:
        return expanded(os.environ.get(HOME_VARIABLE) or _DEFAULT_HOME) / "zoo"
    except InputError as error:
        raise InputError(f"{error} It is the folder of your models: set {HOME_VARIABLE} to another.") from error


def list_models() -> list[str]:
    """Names of the models that `musiczoo.load` finds, sorted."""
    return sorted(_folders())


def find(name_or_folder: str | os.PathLike[str]) -> Path:
    """The folder of a model.

    Args:
        name_or_folder: One of `list_models`; or a folder's path. A name is looked up first, so a folder that
            bears a model's name is written ``./name``.

    Raises:
        UnknownNameError: If there is neither such a model nor such a folder, with the nearest name.
    """
    text = os.fspath(name_or_folder)
    folders = _folders() if isinstance(name_or_folder, str) else {}
    if text in folders:
        return folders[text]
    if text and os.path.isdir(text):
        return Path(text)
    raise UnknownNameError.of("model", text, list_models())


def named(name: str) -> Path:
    """The folder of one of `list_models`, for names that files hold: no path is followed.

    Raises:
        UnknownNameError: If there is no such model, with the nearest name.
    """
    folders = _folders()
    if name not in folders:
        raise UnknownNameError.of("model", name, list_models())
    return folders[name]


def _folders() -> dict[str, Path]:
    """Name -> folder; the package's come last and so win."""
    found: dict[str, Path] = {}
    with suppress(OSError):  # the home of whoever started us may be closed to who we are now, or be no path at all
        if os.environ.get(HOME_VARIABLE) or has_home():
            found |= _in(user_zoo())
    return found | _in(packaged_zoo())


def _in(zoo: Path) -> dict[str, Path]:
    return {card.parent.name: card.parent for card in zoo.glob(f"*/{CARD_FILE}")}
