"""Find models by name, by folder or by their address on the Hugging Face Hub.

Conventions
-----------
- A model is a folder with a card.json. Its name is the folder's name.
- ``hf://user/model`` is a model of the Hub, in the cache of its client: see `musiczoo.hub`.
- The models of the package come first, then the user's in ``$MUSICZOO_HOME/zoo`` or ``~/.musiczoo/zoo``. A user's model
  with the name of a packaged one is only found by its path, so that a name always means the published weights.
"""

import json
import os
import shutil
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from . import hub
from ._paths import expanded, has_home
from .card import CARD_FILE, read_card
from .errors import HubError, InputError, MissingDependencyError, ModelFileError, MusicZooError, UnknownNameError

HOME_VARIABLE = "MUSICZOO_HOME"
"""Environment variable that replaces `_DEFAULT_HOME`."""

_DEFAULT_HOME = "~/.musiczoo"


def packaged_zoo() -> Path:
    """Return the folder of the models that come with musiczoo."""
    return Path(__file__).parent / "zoo"


def user_zoo() -> Path:
    """Return the folder of the models that the user imported or published. It need not exist.

    Raises:
        InputError: If the user has no home folder, as in some containers, or `HOME_VARIABLE` names an unknown user's.
    """
    return _home() / "zoo"


def user_encoders() -> Path:
    """The folder of the encoders that a user imported, which have no tags; it need not exist.

    Raises:
        InputError: See `user_zoo`.
    """
    return _home() / "encoders"


def _home() -> Path:
    try:
        return expanded(os.environ.get(HOME_VARIABLE) or _DEFAULT_HOME)
    except InputError as error:
        raise InputError(f"{error} Your models are stored there: set {HOME_VARIABLE} to another folder.") from error


def list_models(pattern: str = "*") -> list[str]:
    """Return the names of the models that `musiczoo.load` finds, sorted.

    Args:
        pattern: Shell-style pattern: ``*`` matches anything, ``?`` one character, ``[abc]`` one of some characters.

    Returns:
        The matching names; an empty list if none matches.

    Example:
        >>> import musiczoo
        >>> "disentangled-classification" in musiczoo.list_models()
        True
        >>> musiczoo.list_models("disentangled-t*")
        ['disentangled-triplet', 'disentangled-triplet-track']
        >>> musiczoo.list_models("nothing-like-this*")
        []
    """
    return sorted(name for name in _folders() if fnmatchcase(name, pattern))


def find(name_or_folder: str | os.PathLike[str]) -> Path:
    """Return the folder of a model.

    Args:
        name_or_folder: A name from `list_models`, or a folder. A name is looked up first: write ``./name`` for a
            folder with the name of a model. Or ``hf://user/model@revision``: see `musiczoo.hub.fetch`.

    Raises:
        UnknownNameError: If there is neither such a model nor such a folder; it suggests a similar name.
        MusicZooError: If a model of the Hub cannot be fetched: see `musiczoo.hub.fetch`.
    """
    text = os.fspath(name_or_folder)
    if hub.is_address(name_or_folder):
        return hub.fetch(text)
    folders = _folders() if isinstance(name_or_folder, str) else {}
    if text in folders:
        return folders[text]
    if text and os.path.isdir(text):
        return Path(text)
    if isinstance(name_or_folder, os.PathLike) or os.path.basename(text) != text:
        raise UnknownNameError(f"No such folder: {text!r}. Available models: {', '.join(list_models()) or 'none'}.")
    raise UnknownNameError.of("model", text, list_models())


def located(model: Any) -> Any:
    """Return the folder of an address on the Hub, so that a revision is looked up once; anything else as it is."""
    return find(model) if hub.is_address(model) else model


def card_name(name_or_folder: str) -> str:
    """Return the name on a model's card; the given name if the card cannot be read."""
    try:
        return read_card(find(name_or_folder)).name
    except MusicZooError:
        return name_or_folder  # whoever loads the model reports the error


def named(name: str, source: str | None = None) -> Path:
    """Return the folder of a model, given a name from a file: paths are refused, and no connection is opened.

    Args:
        name: Name of the model.
        source: Its pinned address on the Hub, if it came from there: that revision is used if it is in the cache.

    Raises:
        UnknownNameError: If there is no such model; it suggests a similar name, or how to get it from the Hub.
    """
    if source is not None:
        with suppress(HubError, MissingDependencyError, ModelFileError):
            return hub.fetch(source, cached=True)
    folders = _folders()
    if name not in folders and source is not None:
        raise UnknownNameError(f"The model {name!r} is not on this computer. Get it: musiczoo models --pull {source}")
    if name not in folders:
        raise UnknownNameError.of("model", name, list_models())
    return folders[name]


def pull(address: str, zoo: Path | None = None) -> Path:
    """Copy a model of the Hub to ``zoo/<name>/``, so that it loads by name, without a network and without the client.

    Args:
        address: ``hf://user/model`` or ``hf://user/model@revision``.
        zoo: Folder of models; the user's zoo by default.

    Returns:
        The model's folder. Its `musiczoo.hub.SOURCE_FILE` has the pinned address. An older revision is replaced.

    Raises:
        InputError: If the name on the card is not a folder name, or another model has it.
        WriteError: If the zoo cannot be written.
        MusicZooError: If the model cannot be fetched: see `musiczoo.hub.fetch`.
    """
    from ._files import atomic_folder  # here, so that the command line starts without numpy

    folder = hub.fetch(address)
    card, source = read_card(folder), str(hub.source_of(folder))
    name = card.name
    if not name or Path(name).name != name or name.startswith("."):
        raise InputError(f"The name of a model must be a folder name, got {name!r}. Use its address: {source}")
    target = (user_zoo() if zoo is None else zoo) / name
    old = hub.source_of(target)
    mine = old is not None and hub.Address.parse(old).repo == hub.Address.parse(source).repo
    if name in _in(packaged_zoo()) or (os.path.lexists(target) and not mine):
        where = "musiczoo" if name in _in(packaged_zoo()) else target.parent
        raise InputError(f"{where} has another model named {name!r}. Use the address in place of a name: {source}")
    with atomic_folder(target) as new:
        for file in (CARD_FILE, *card.files):
            shutil.copyfile(folder / file, new / file)
        (new / hub.SOURCE_FILE).write_text(json.dumps({"source": source}) + "\n", encoding="utf-8")
    return target


def _folders() -> dict[str, Path]:
    """Return name -> folder. The package's models are added last and override the user's."""
    found: dict[str, Path] = {}
    with suppress(OSError):  # the home folder may be unreadable (su, sudo) or not a path
        if os.environ.get(HOME_VARIABLE) or has_home():
            found |= _in(user_zoo())
    return found | _in(packaged_zoo())


def _in(zoo: Path) -> dict[str, Path]:
    return {card.parent.name: card.parent for card in zoo.glob(f"*/{CARD_FILE}")}
