"""Export a published model as a web page: a static folder for any file server, run by onnxruntime-web, offline.

Layout: index.html with its scripts and style; web/, the modules that all pages share (`musiczoo.web`); musiczoo.js, the
module for your own pages, with worker.js; model/, a model folder; onnxruntime/.
"""

import dataclasses
import os
import shutil
from pathlib import Path

from musiczoo import web
from musiczoo._files import atomic_folder
from musiczoo.card import CARD_FILE, MODEL_FILE, README_FILE, read_card, verify_files
from musiczoo.errors import InputError, ModelFileError
from musiczoo.export.web.runtime import copy_runtime
from musiczoo.registry import find

PAGE = Path(__file__).with_name("page")
"""The files that are the same for all models."""

MODEL_FOLDER = "model"
RUNTIME_FOLDER = "onnxruntime"
MODULE_FILE = "musiczoo.js"


def export_web(name_or_folder: str | os.PathLike[str], out: Path, runtime: Path | None = None) -> None:
    """Write the web page of a model to the folder `out`, atomically. Needs no TensorFlow.

    Args:
        name_or_folder: Name or folder of a published model.
        out: Folder to write. An empty folder or an earlier web page there is replaced.
        runtime: The npm package onnxruntime-web, as a .tgz file or a folder; by default npm downloads it.

    Raises:
        UnknownNameError: If there is no such model.
        ModelFileError: If one of its files is missing or altered, or `runtime` is another package.
        WriteError: If `out` cannot be written.
        CardError: If its card is invalid.
        InputError: If `out` is another folder.
        MissingDependencyError: If npm is needed, and is missing or fails.

    Example:
        Empty files in place of the npm package, so that nothing is downloaded:

        >>> from musiczoo.export.web import runtime
        >>> Path("npm/dist").mkdir(parents=True)
        >>> for name in runtime.FILES:
        ...     Path("npm/dist", name).touch()
        >>> export_web("disentangled-classification", Path("page"), runtime=Path("npm"))
        >>> Path("page/index.html").is_file(), sorted(path.name for path in Path("page/model").iterdir())
        (True, ['README.md', 'card.json', 'model.onnx'])
    """
    folder = find(name_or_folder)
    card = read_card(folder)
    verify_files(card, folder)
    if MODEL_FILE not in card.files:
        raise ModelFileError(f"The model {card.name!r} has no {MODEL_FILE}. Publish it again.")
    if os.path.exists(out) and not _replaceable(out):
        raise InputError(f"Cannot write {str(out)!r}: it is not an earlier web export. Choose a new folder.")
    with atomic_folder(out) as new:
        shutil.copytree(PAGE, new, dirs_exist_ok=True)
        web.copy(new)
        (new / RUNTIME_FOLDER).mkdir()
        copy_runtime(new / RUNTIME_FOLDER, runtime)
        (new / MODEL_FOLDER).mkdir()
        files = {name: card.files[name] for name in (MODEL_FILE, README_FILE) if name in card.files}
        for name in files:
            shutil.copyfile(folder / name, new / MODEL_FOLDER / name)
        text = dataclasses.replace(card, files=files).to_json()
        (new / MODEL_FOLDER / CARD_FILE).write_text(text, encoding="utf-8")


def _replaceable(out: Path) -> bool:
    return out.is_dir() and ((out / MODULE_FILE).is_file() or not any(out.iterdir()))
