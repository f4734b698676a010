"""The LiteRT file of a tiny model: names, any batch, the same numbers."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from musiczoo import audio, demo, registry
from musiczoo.card import EMBEDDING_NAME, MODEL_FILE, TAGS_NAME, read_card
from musiczoo.errors import InputError, ModelFileError, ParityError

if TYPE_CHECKING:
    from tiny import Exported

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def converted(exported: "Exported", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .tflite file."""
    from musiczoo.export.litert import convert

    path = tmp_path_factory.mktemp("litert") / "model.tflite"
    convert(exported.saved_model, path)
    return path


def test_litert_says_what_onnx_says(converted: Path, exported: "Exported") -> None:
    from tiny import excerpts

    from musiczoo.export.litert import check_litert, run_litert

    errors = check_litert(converted, exported.onnx, excerpts())
    assert set(errors) == {"onnx-litert"}
    assert max(errors["onnx-litert"].values()) < 1e-5
    outputs = run_litert(converted, excerpts())
    assert {name: value.shape for name, value in outputs.items()} == {EMBEDDING_NAME: (3, 256), TAGS_NAME: (3, 50)}


def test_published_model_says_the_same_in_litert(tmp_path: Path) -> None:
    """Of a real recording, as its published ONNX file does."""
    from musiczoo.export.litert import check_litert, convert
    from musiczoo.export.saved_model import export_saved_model
    from musiczoo.models.presets import from_preset

    folder = registry.find("disentangled-classification")
    card = read_card(folder)
    export_saved_model(from_preset(folder), card, tmp_path / "saved_model")
    convert(tmp_path / "saved_model", tmp_path / "model.tflite")
    real = np.stack([excerpt for _, excerpt in audio.excerpts(demo.PATH, card)])
    errors = check_litert(tmp_path / "model.tflite", folder / MODEL_FILE, real)
    assert max(errors["onnx-litert"].values()) < 1e-4


def test_gate_refuses_another_model(converted: Path, exported: "Exported", monkeypatch: pytest.MonkeyPatch) -> None:
    from musiczoo.export import litert

    wrong = {EMBEDDING_NAME: np.zeros((1, 256)), TAGS_NAME: np.full((1, 50), 0.5)}
    monkeypatch.setattr(litert, "run_litert", lambda *_: wrong)
    from tiny import excerpts

    with pytest.raises(ParityError, match="onnx and litert"):
        litert.check_litert(converted, exported.onnx, excerpts(2)[:1])


def test_operations_that_litert_lacks(tmp_path: Path) -> None:
    import tensorflow as tf

    from musiczoo.export.litert import convert

    class Module(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([8, 8])])  # type: ignore[untyped-decorator]
        def run(self, waveform: tf.Tensor) -> dict[str, tf.Tensor]:
            return {TAGS_NAME: tf.linalg.inv(waveform)}

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": module.run})
    with pytest.raises(ModelFileError, match="LiteRT"):
        convert(tmp_path / "saved", tmp_path / "model.tflite")


def test_out_of_something_else(tmp_path: Path) -> None:
    from musiczoo.export.litert import export_litert

    with pytest.raises(InputError, match="not an earlier export"):
        export_litert(tmp_path / "run", tmp_path)
