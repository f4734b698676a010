"""The SavedModel: endpoints by name, weights once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from tiny import Exported, excerpts

from musiczoo.card import EMBEDDING_NAME, INPUT_NAME, TAGS_NAME
from musiczoo.export.saved_model import ENDPOINTS

pytestmark = pytest.mark.train


@pytest.mark.parametrize(
    ("endpoint", "names"),
    [("serve", {EMBEDDING_NAME, TAGS_NAME}), ("embed", {EMBEDDING_NAME}), ("tag", {TAGS_NAME})],
)
def test_endpoints_equal_keras(exported: Exported, endpoint: str, names: set[str]) -> None:
    audio = excerpts()
    loaded = tf.saved_model.load(str(exported.saved_model))
    outputs = getattr(loaded, endpoint)(audio)
    expected = exported.model(audio, training=False)
    assert set(outputs) == names
    for name in names:
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-5)
    signature = loaded.signatures[endpoint](**{INPUT_NAME: tf.constant(audio)})  # what TF Serving calls
    assert set(signature) == names


WITHOUT_US = """
import json, sys

sys.modules["musiczoo"] = None  # its import fails
import numpy as np
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
waveform = tf.constant(np.load(sys.argv[2]))
served = {name: {key: value.numpy() for key, value in run(waveform=waveform).items()}
          for name, run in model.signatures.items()}
np.savez(sys.argv[3], **{f"{name} {key}": value for name, found in served.items() for key, value in found.items()})
inputs = {name: str(run.structured_input_signature[1]["waveform"]) for name, run in model.signatures.items()}
print(json.dumps({"inputs": inputs, "ours": [name for name in sys.modules if name.startswith("musiczoo.")]}))
"""
"""What a server does: load by signatures, with no code of ours."""


def test_signatures_answer_in_a_process_without_musiczoo(exported: Exported, tmp_path: Path) -> None:
    """``-I`` leaves out the working folder, and the user's packages and variables."""
    np.save(tmp_path / "waveform.npy", excerpts())
    files = (exported.saved_model, tmp_path / "waveform.npy", tmp_path / "served.npz")
    command = [sys.executable, "-I", "-c", WITHOUT_US, *map(str, files)]
    environment = {"PATH": os.environ["PATH"], "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["ours"] == []
    assert set(said["inputs"]) == {"serving_default", *ENDPOINTS}
    assert all("shape=(None, 66150), dtype=tf.float32" in text for text in said["inputs"].values())
    expected = exported.model(excerpts(), training=False)
    with np.load(tmp_path / "served.npz") as served:
        names = {f"{endpoint} {name}" for endpoint, outputs in ENDPOINTS.items() for name in outputs}
        assert set(served) == names | {f"serving_default {name}" for name in ENDPOINTS["serve"]}
        for name in served:
            np.testing.assert_allclose(served[name], expected[name.split()[1]], atol=1e-5, err_msg=name)


def test_weights_are_stored_once(exported: Exported) -> None:
    variables = tf.train.load_checkpoint(str(exported.saved_model / "variables" / "variables"))
    shapes = variables.get_variable_to_shape_map()
    stored = sum(int(np.prod(shape)) for name, shape in shapes.items() if "VARIABLE_VALUE" in name)
    assert stored == exported.model.count_params()
