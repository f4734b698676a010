"""The import of the musicnn wheel, on a wheel of our own with two tiny networks, and on the real one."""

import contextlib
import os
import tempfile
import zipfile
from pathlib import Path

import librosa
import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tensorflow.core.protobuf import meta_graph_pb2
from toy import music

import musiczoo
from musiczoo.errors import ModelFileError
from musiczoo.export.musicnn import NETWORKS, import_musicnn, unpack
from musiczoo.taxonomy import TAGS

pytestmark = pytest.mark.train

WHEEL_VARIABLE = "MUSICZOO_MUSICNN_WHEEL"
HIDDEN = 7


def write_checkpoint(folder: Path, seed: int) -> NDArray[np.float64]:
    """Save a TensorFlow 1 network of musicnn's shape: log-mel -> mean over time -> dense 7 -> dense 50.

    Returns:
        Its weights as one matrix [96, 57]: first the hidden layer's, then a product of both layers'.
    """
    random = np.random.default_rng(seed)
    first, second = random.normal(size=(96, HIDDEN)) / 96, random.normal(size=(HIDDEN, len(TAGS)))
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        with v1.name_scope("model"):
            log_mel = v1.placeholder(tf.float32, [None, 187, 96], name="Placeholder")
            v1.placeholder(tf.float32, [None, 50], name="Placeholder_1")
            training = v1.placeholder(tf.bool, name="Placeholder_2")
        kernels = [
            v1.get_variable(name, dtype=tf.float32, initializer=value.astype(np.float32), use_resource=False)
            for name, value in (("dense/kernel", first), ("dense_1/kernel", second))
        ]
        bias = v1.get_variable("dense_1/bias", initializer=tf.zeros(len(TAGS)), use_resource=False)
        with v1.name_scope("model/"):
            hidden = tf.matmul(tf.reduce_mean(log_mel, axis=1), kernels[0])
            kept, dropped = tf.raw_ops.Switch(data=hidden, pred=training)  # the control flow of TensorFlow 1
            either = tf.raw_ops.Merge(inputs=[kept, dropped * 0]).output
            tf.sigmoid(tf.nn.bias_add(tf.matmul(either, kernels[1]), bias), name="Sigmoid")
        session.run(v1.global_variables_initializer())
        folder.mkdir(parents=True)
        v1.train.Saver().save(session, f"{folder}/", write_state=False)
    return np.concatenate([first, first @ second], axis=1)


def configuration(labels: tuple[str, ...] = TAGS) -> str:
    return f"SR = 16000\nMTT_LABELS = ['guitar']\nMSD_LABELS = {list(labels)!r}\n"


@pytest.fixture(scope="module")
def weights_and_wheel(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[NDArray[np.float64]], Path]:
    """A wheel like musicnn's, and its networks' weights."""
    folder = tmp_path_factory.mktemp("wheel")
    weights = [write_checkpoint(folder / network.folder, seed) for seed, network in enumerate(NETWORKS)]
    (folder / "musicnn" / "configuration.py").write_text(configuration())
    wheel = folder / "musicnn-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in sorted((folder / "musicnn").rglob("*")):
            archive.write(path, path.relative_to(folder))
    return weights, wheel


def changed(wheel: Path, target: Path, changes: dict[str, bytes | None]) -> Path:
    """A copy of a wheel with members replaced, added, or (None) left out."""
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w") as archive:
        members = {name: source.read(name) for name in source.namelist()}
        for name, content in {**members, **changes}.items():
            if content is not None:
                archive.writestr(name, content)
    return target


def test_networks_become_models(weights_and_wheel: tuple[list[NDArray[np.float64]], Path], tmp_path: Path) -> None:
    """A linear network's embedding and tags, from librosa's features in float64."""
    weights, wheel = weights_and_wheel
    folders = import_musicnn(wheel, tmp_path / "zoo")
    assert [folder.name for folder in folders] == ["musicnn-msd", "vgg-msd"]
    audio = np.stack([music(3, 16000, seed=seed) for seed in range(2)])
    power = librosa.feature.melspectrogram(
        y=audio.astype(np.float64), sr=16000, n_fft=512, hop_length=256, n_mels=96, pad_mode="constant"
    )
    features = np.log10(1 + 10000 * power[:, :, :187]).mean(axis=2)
    for matrix, folder in zip(weights, folders, strict=True):
        model = musiczoo.load(folder)
        hidden, logits = np.split(features @ matrix, [HIDDEN], axis=1)
        unit = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
        np.testing.assert_allclose(model.embed(audio), unit, atol=1e-4)
        np.testing.assert_allclose(model.tag(audio), 1 / (1 + np.exp(-logits)), atol=1e-4)
        assert model.card.licence == "ISC"
        assert model.card.tags == TAGS
        assert dict(model.card.spaces) == {"all": (0, HIDDEN)}
        assert model.card.parameters == 96 * HIDDEN + HIDDEN * 50 + 50


CHANGES: dict[str, dict[str, bytes | None]] = {
    "no configuration": {"musicnn/configuration.py": None},
    "other tags": {"musicnn/configuration.py": configuration(TAGS[::-1]).encode()},
    "no tags": {"musicnn/configuration.py": b"SR = 16000\n"},
    "code for tags": {"musicnn/configuration.py": b"MSD_LABELS = open('/etc/passwd')\n"},
    "no code": {"musicnn/configuration.py": b"this is not Python"},
    "number for tags": {"musicnn/configuration.py": b"MSD_LABELS = 5\n"},
    "nested too deeply": {"musicnn/configuration.py": b"MSD_LABELS = " + b"(" * 5000},
    "more than a configuration": {"musicnn/configuration.py": configuration().encode() + b"#" * 100_000},
    "no text": {"musicnn/configuration.py": b"\xff\xfe\x00"},
    "no graph": {"musicnn/MSD_vgg/.meta": None},
    "damaged graph": {"musicnn/MSD_vgg/.meta": b"not a graph"},
    "empty graph": {"musicnn/MSD_vgg/.meta": b""},
    "damaged index": {"musicnn/MSD_vgg/.index": b"not an index"},
    "no weights": {"musicnn/MSD_vgg/.data-00000-of-00001": b""},
    "path outside": {"../evil.py": b"evil"},
    "path outside, other slashes": {"musicnn\\..\\..\\evil.py": b"evil"},
    "absolute path": {"/tmp/evil.py": b"evil"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_wheel_is_refused(
    weights_and_wheel: tuple[list[NDArray[np.float64]], Path], tmp_path: Path, change: str
) -> None:
    wheel = changed(weights_and_wheel[1], tmp_path / "wrong.whl", CHANGES[change])
    with pytest.raises(ModelFileError, match=r"pip download --no-deps musicnn==0\.1\.0"):
        import_musicnn(wheel, tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()
    assert not (tmp_path / "evil.py").exists()


def test_a_graph_with_other_operations_is_refused(
    weights_and_wheel: tuple[list[NDArray[np.float64]], Path], tmp_path: Path
) -> None:
    """What a graph computes may be the content of a file, and it may write one."""
    _, wheel = weights_and_wheel
    member, target = f"{NETWORKS[0].folder}/.meta", tmp_path / "evil"
    meta = meta_graph_pb2.MetaGraphDef()
    meta.ParseFromString(zipfile.ZipFile(wheel).read(member))
    nodes = {node.name: node for node in meta.graph_def.node}
    for name, value in (("place", str(target)), ("text", "evil")):
        node = meta.graph_def.node.add(name=name, op="Const")
        node.attr["dtype"].type = tf.string.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    meta.graph_def.node.add(name="write", op="WriteFile", input=["place", "text"])
    nodes["model/Sigmoid"].input.append("^write")
    with pytest.raises(ModelFileError, match="operations that the networks do not have: WriteFile"):
        import_musicnn(changed(wheel, tmp_path / "evil.whl", {member: meta.SerializeToString()}), tmp_path / "zoo")
    assert not target.exists()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_wheel_is_unpacked_or_refused(
    weights_and_wheel: tuple[list[NDArray[np.float64]], Path], data: st.DataObject
) -> None:
    """No damage to a zip file leads to another error than the one that says how to fetch it."""
    content = bytearray(weights_and_wheel[1].read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        edge = st.integers(0, 2000)  # the headers are at the two ends
        for at in data.draw(st.lists(edge.map(lambda i: i if i % 2 else len(content) - 1 - i), max_size=8)):
            content[at] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder, "damaged.whl")
        wheel.write_bytes(content)
        with contextlib.suppress(ModelFileError):
            prefix = unpack(wheel, NETWORKS[1], Path(folder, "checkpoint"))
            assert Path(f"{prefix}.meta").is_file()


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_text("not a zip")
    for wrong in (path, tmp_path / "missing.whl", tmp_path):
        with pytest.raises(ModelFileError, match=r"pip download --no-deps musicnn==0\.1\.0"):
            import_musicnn(wrong, tmp_path / "zoo")


@pytest.mark.skipif(WHEEL_VARIABLE not in os.environ, reason=f"set {WHEEL_VARIABLE} to the wheel of musicnn 0.1.0")
def test_real_wheel(tmp_path: Path) -> None:
    folders = import_musicnn(Path(os.environ[WHEEL_VARIABLE]), tmp_path / "zoo")
    models = [musiczoo.load(folder) for folder in folders]
    assert [model.card.embedding_size for model in models] == [200, 256]
    assert [model.card.parameters for model in models] == [787159, 605748]
    tags = [model.tag(music(3, 16000)[None]) for model in models]
    assert all(np.isfinite(each).all() and 0 <= each.min() <= each.max() <= 1 for each in tags)
