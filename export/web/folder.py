"""A published model -> a static folder that any file server can show, offline.

Layout: index.html with its scripts and style; web/, what our pages share (`musiczoo.web`); musiczoo.js, the module for
pages of one's own, with worker.js; model/, a model folder like any other; onnxruntime/.
"""

import dataclasses
import os
import shutil
from pathlib import Path

from musiczoo import web
from musiczoo.card import CARD_FILE, MODEL_FILE, README_FILE, read_card, verify_files
from musiczoo.errors import InputError, ModelFileError
from musiczoo.export.replacing import replaced
from musiczoo.export.web.runtime import copy_runtime
from musiczoo.registry import find

PAGE = Path(__file__).with_name("page")
"""What is the same for all models."""

MODEL_FOLDER = "model"
RUNTIME_FOLDER = "onnxruntime"
MODULE_FILE = "musiczoo.js"


def export_web(name_or_folder: str | os.PathLike[str], out: Path, runtime: Path | None = None) -> None:
    """Write ``out/``, all or nothing. Needs no TensorFlow.

    Args:
        name_or_folder: A published model, or its folder.
        out: Folder to make; one that is there is replaced if it is empty or an earlier export of this kind.
        runtime: The npm package of onnxruntime-web, a .tgz or a folder; by default npm fetches it.

    Raises:
        UnknownNameError: If there is no such model.
        ModelFileError: If one of its files is missing or altered, `runtime` is something else, or `out` cannot be
            written.
        CardError: If its card cannot be used.
        InputError: If `out` is something else.
        MissingDependencyError: If npm is needed, and is missing or fails.
    """
    folder = find(name_or_folder)
    card = read_card(folder)
    verify_files(card, folder)
    if MODEL_FILE not in card.files:
        raise ModelFileError(f"Expected {MODEL_FILE} in the model {card.name!r}, received none. Publish it again.")
    if os.path.exists(out) and not _replaceable(out):
        raise InputError(f"Expected a new folder or an earlier web export at {out}, received something else.")
    with replaced(out) as new:
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
