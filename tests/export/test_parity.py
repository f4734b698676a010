"""The parity gate opens for equal models and for nothing else."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from tiny import TINY_CARD, Exported, excerpts

from musiczoo.card import EMBEDDING_NAME, TAGS_NAME
from musiczoo.errors import InputError, ParityError
from musiczoo.export.parity import check_front_end, check_parity, compare, reference_log_mel

pytestmark = pytest.mark.train

Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def altered(exported: Exported, folder: Path, shape: tuple[int, ...], change: Change) -> Path:
    """A copy of the ONNX file in which the one initialiser of a shape is changed."""
    proto = onnx.load_model(exported.onnx)
    (initializer,) = (value for value in proto.graph.initializer if tuple(value.dims) == shape)
    array = numpy_helper.to_array(initializer)
    initializer.CopyFrom(numpy_helper.from_array(change(array).astype(array.dtype), initializer.name))
    onnx.save_model(proto, str(folder / "altered.onnx"))
    return folder / "altered.onnx"


def test_equal_models_pass(exported: Exported) -> None:
    report = check_parity(exported.model, exported.onnx, exported.saved_model, excerpts())
    assert set(report) == {"keras-saved_model", "keras-onnx", "saved_model-onnx"}
    assert all(0 <= error < 1e-5 for pair in report.values() for error in pair.values())


def test_altered_tags_are_named(exported: Exported, tmp_path: Path) -> None:
    path = altered(exported, tmp_path, (256, 50), lambda weights: weights * 1.01)
    with pytest.raises(ParityError, match=r"tags from keras and onnx within 0\.0001, .* difference of 0\.00\d+"):
        check_parity(exported.model, path, exported.saved_model, excerpts())


def test_altered_embedding_is_named(exported: Exported, tmp_path: Path) -> None:
    path = altered(exported, tmp_path, (8, 256), lambda weights: weights[:, ::-1])
    with pytest.raises(ParityError, match="equal embedding from keras and onnx"):
        check_parity(exported.model, path, exported.saved_model, excerpts())


def test_no_number_does_not_pass(exported: Exported, tmp_path: Path) -> None:
    path = altered(exported, tmp_path, (256, 50), lambda weights: weights * np.nan)
    with pytest.raises(ParityError, match="difference of nan"):
        check_parity(exported.model, path, exported.saved_model, excerpts())


def test_the_gate_needs_excerpts(exported: Exported) -> None:
    with pytest.raises(InputError, match=re.escape("(0, 66150)")):
        check_parity(exported.model, exported.onnx, exported.saved_model, np.zeros((0, 66150), np.float32))


def test_another_shape_does_not_pass() -> None:
    first = {EMBEDDING_NAME: np.zeros((2, 4)), TAGS_NAME: np.zeros((2, 3))}
    with pytest.raises(ParityError, match="difference of inf"):
        compare({"keras": first, "onnx": {**first, TAGS_NAME: np.zeros((2, 1))}}, 1.0)


def test_tolerance_is_inclusive_and_errors_are_the_largest() -> None:
    first = {EMBEDDING_NAME: np.zeros((2, 2)), TAGS_NAME: np.zeros((2, 2))}
    second = {EMBEDDING_NAME: np.array([[0, 0.25], [-0.5, 0]]), TAGS_NAME: np.zeros((2, 2))}
    assert compare({"a": first, "b": second}, 0.5) == {"a-b": {EMBEDDING_NAME: 0.5, TAGS_NAME: 0.0}}


def test_front_end_equals_librosa(exported: Exported) -> None:
    assert 0 < check_front_end(exported.onnx, TINY_CARD, excerpts()) < 1e-5


def test_altered_front_end_does_not_pass(exported: Exported, tmp_path: Path) -> None:
    path = altered(exported, tmp_path, (544, 128), lambda mel: mel * 1.001)
    with pytest.raises(ParityError, match="log-mel of librosa within 1e-05"):
        check_front_end(path, TINY_CARD, excerpts())
    shutil.copyfile(exported.onnx, path)
    check_front_end(path, TINY_CARD, excerpts())


def test_reference_of_silence() -> None:
    """log10(1 + 10 * 0) = 0, so each value is (0 - 0.2) / 0.25 = -0.8."""
    silence = reference_log_mel(TINY_CARD, np.zeros((1, TINY_CARD.excerpt_samples), np.float32))
    assert silence.shape == (1, 129, 128)
    np.testing.assert_allclose(silence, -0.8)
