"""The loaders by name, for the command line and for those who choose one at run time."""

from importlib import import_module
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import InputError, UnknownNameError
from .check import Report
from .dataset import Dataset

TAGGED = ("folder", "fma", "gtzan", "jamendo", "magnatagatune", "msd", "tagging_lists")
"""Data sets of tracks with tags by people. open_music has none: models tag it (`musiczoo.datasets.label`)."""

CHECKED = (*TAGGED, "dim_sim", "open_music")
"""Data sets that a person may have a copy of."""


def load(name: str, root: Path | str, **options: Any) -> Dataset:
    """Read a data set with its loader.

    Args:
        name: One of `TAGGED`.
        root: Its folder.
        options: What the loader's `load` takes; None stands for its default.

    Raises:
        UnknownNameError: If there is no such data set.
        InputError: If it has no such option, or not such a value.
        DatasetError: If it cannot be read.
    """
    dataset: Dataset = _call(_loader(name, TAGGED), "load", root, options)
    return dataset


def check(name: str, root: Path | str, **options: Any) -> Report:
    """Tell what is missing or damaged in a copy of a data set.

    Args:
        name: One of `CHECKED`.
        root: Its folder.
        options: What the loader's `check` takes; None stands for its default.

    Raises:
        UnknownNameError: If there is no such data set.
        InputError: If it has no such option, or not such a value.
    """
    report: Report = _call(_loader(name, CHECKED), "check", root, options)
    return report


def _loader(name: str, available: tuple[str, ...]) -> ModuleType:
    if name not in available:
        raise UnknownNameError.of("data set", name, available)
    return import_module(f".{name}", __package__)


def _call(loader: ModuleType, verb: str, root: Path | str, options: dict[str, Any]) -> Any:
    function = getattr(loader, verb)
    given = {option: value for option, value in options.items() if value is not None}
    accepted = [option for option in signature(function).parameters if option not in ("root", "console")]
    odd = [option for option in given if option not in accepted]
    if odd:
        raise InputError(
            f"{loader.NAME} does not take {', '.join(odd)}. It takes {', '.join(accepted) or 'no options'}."
        )
    return function(root, **given)
