"""The import of the musicnn wheel: on wheels of our own, held against TensorFlow, and on the real one."""

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pytest
from bundles import write_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from musicnn_wheels import MTT_TAGS, configuration, members, random_weights, write_wheel
from numpy.typing import NDArray
from toy import music

import musiczoo
from musiczoo.errors import ModelFileError
from musiczoo.export import musicnn_wheel
from musiczoo.export.musicnn import import_musicnn
from musiczoo.export.musicnn_wheel import NETWORKS, Network, open_wheel, read_checkpoint, read_tags
from musiczoo.taxonomy import TAGS

WHEEL_VARIABLE = "MUSICZOO_MUSICNN_WHEEL"
NAMES = [network.name for network in NETWORKS]

Weights = dict[str, dict[str, NDArray[np.float32]]]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return {network.name: random_weights(network, seed) for seed, network in enumerate(NETWORKS)}


@pytest.fixture(scope="module")
def files(weights: Weights) -> dict[str, bytes]:
    return members(weights)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, bytes]], Path]:
    """A function that writes a wheel and takes its sum for the real one's."""

    def write(files: dict[str, bytes]) -> Path:
        path = write_wheel(tmp_path / "musicnn.whl", files)
        monkeypatch.setattr(musicnn_wheel, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
        return path

    return write


def features(audio: NDArray[np.float32]) -> NDArray[np.float64]:
    """musicnn's log-mel by librosa, as its extractor.py states it: ``[N, 187, 96]``."""
    power = librosa.feature.melspectrogram(
        y=audio.astype(np.float64), sr=16000, n_fft=512, hop_length=256, n_mels=96, pad_mode="constant"
    )
    return np.log10(1 + 10000 * power[:, :, :187]).transpose(0, 2, 1)


def excerpts() -> NDArray[np.float32]:
    return np.stack([music(3, 16000, seed=seed) for seed in range(3)])


def by_tensorflow(network: Network, w: dict[str, NDArray[np.float32]], log_mel: NDArray[np.float64]) -> list[NDArray]:
    """Hidden layer and tags in TensorFlow's operations and layout, in float64."""
    tf = pytest.importorskip("tensorflow")

    def norm(x: object, i: int) -> object:
        layer = f"batch_normalization_{i}" if i else "batch_normalization"
        values = [
            w[f"{layer}/{name}"].astype(np.float64) for name in ("moving_mean", "moving_variance", "beta", "gamma")
        ]
        return tf.nn.batch_normalization(x, *values, 1e-3)

    def conv(x: object, name: str, i: int, padding: str) -> object:
        kernel, bias = (w[f"{name}/{part}"].astype(np.float64) for part in ("kernel", "bias"))
        return norm(tf.nn.relu(tf.nn.conv2d(x, kernel, 1, padding) + bias), i)

    def dense(x: object, name: str) -> object:
        return x @ w[f"{name}/kernel"].astype(np.float64) + w[f"{name}/bias"].astype(np.float64)

    def pad(x: object) -> object:
        return tf.pad(x, [[0, 0], [3, 3], [0, 0], [0, 0]])

    x = norm(tf.constant(log_mel)[..., None], 0)
    if network.pools:
        # Per network, as its graph in the wheel has it.
        first, second = {
            "vgg-msd": (([4, 1], [4, 1]), ([1, 4], [1, 4])),
            "vgg-mtt": (([4, 1], [2, 2]), ([2, 2], [2, 2])),
        }[network.name]
        for i, (size, stride) in enumerate((first, second, (2, 2), (2, 2), (4, 4)), 1):
            x = tf.nn.max_pool2d(conv(x, f"{i}CNN", i, "SAME"), size, stride, "VALID")
        hidden = tf.reshape(x, [len(log_mel), -1])
        return [hidden.numpy(), tf.sigmoid(dense(hidden, "dense")).numpy()]
    parts = [conv(pad(x), name, i, "VALID") for i, name in enumerate(("conv2d", "conv2d_1"), 1)]
    parts += [conv(x, f"conv2d_{i}", i + 1, "SAME") for i in (2, 3, 4)]
    stack = [tf.concat([tf.reduce_max(part, axis=2) for part in parts], 2)[..., None]]
    for i in (5, 6, 7):
        y = tf.transpose(conv(pad(stack[-1]), f"conv2d_{i}", i + 1, "VALID"), [0, 1, 3, 2])
        stack.append(y if i == 5 else y + stack[-1])
    everything = tf.concat(stack, 2)
    pooled = tf.concat([tf.reduce_max(everything, axis=1), tf.reduce_mean(everything, axis=1)], 2)
    flat = norm(tf.reshape(pooled, [len(log_mel), -1]), 9)
    hidden = norm(tf.nn.relu(dense(flat, "dense")), 10)
    return [hidden.numpy(), tf.sigmoid(dense(hidden, "dense_1")).numpy()]


@pytest.mark.train
def test_networks_are_tensorflows(
    weights: Weights, files: dict[str, bytes], wheel: Callable[..., Path], tmp_path: Path
) -> None:
    """All four, from librosa's features; tags and unit embeddings."""
    folders = import_musicnn(wheel(files), tmp_path / "zoo")
    audio = excerpts()
    for network, folder in zip(NETWORKS, folders[: len(NETWORKS)], strict=True):
        hidden, tags = by_tensorflow(network, weights[network.name], features(audio))
        model = musiczoo.load(folder)
        unit = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
        np.testing.assert_allclose(model.embed(audio), unit, atol=2e-5)
        np.testing.assert_allclose(model.tag(audio), tags, atol=1e-4)
        assert np.ptp(tags) > 0.1  # the tags differ


def test_cards(files: dict[str, bytes], wheel: Callable[..., Path], tmp_path: Path) -> None:
    folders = import_musicnn(wheel(files), tmp_path / "zoo")
    cards = {folder.name: musiczoo.load(folder).card for folder in folders[: len(NETWORKS)]}
    assert [folder.name for folder in folders[len(NETWORKS) :]] == ["musicnn-disentangled", "vgg-disentangled"]
    assert list(cards) == NAMES == ["musicnn-msd", "vgg-msd", "musicnn-mtt", "vgg-mtt"]
    assert len({card.space_id for card in cards.values()}) == 4
    assert {card.licence for card in cards.values()} == {"ISC"}
    assert cards["musicnn-msd"].tags == cards["vgg-msd"].tags == TAGS
    assert cards["musicnn-mtt"].tags == MTT_TAGS  # in the wheel's order
    assert set(cards["vgg-mtt"].dimensions) == {"genre", "mood", "instrument", "voice"}
    assert [cards[name].embedding_size for name in NAMES] == [200, 256, 200, 256]
    # Counted by hand: kernels, biases, gammas and betas.
    assert [cards[name].parameters for name in NAMES] == [787159, 605748] * 2


def test_nothing_of_the_training_stack_is_imported(files: dict[str, bytes], tmp_path: Path) -> None:
    path = write_wheel(tmp_path / "musicnn.whl", files)
    code = f"""
import hashlib, sys
from pathlib import Path
for name in ("tensorflow", "keras", "librosa", "tf2onnx", "scipy"):
    sys.modules[name] = None
from musiczoo.export import musicnn, musicnn_wheel
path = Path({str(path)!r})
musicnn_wheel.SHA256 = hashlib.sha256(path.read_bytes()).hexdigest()
print(len(musicnn.import_musicnn(path, Path({str(tmp_path / "zoo")!r}))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr


def test_silence_has_an_embedding_of_finite_numbers(
    files: dict[str, bytes], wheel: Callable[..., Path], tmp_path: Path
) -> None:
    for folder in import_musicnn(wheel(files), tmp_path / "zoo"):
        model = musiczoo.load(folder)
        assert np.isfinite(model.embed(np.zeros((1, 48000), np.float32))).all()


CHANGES: dict[str, dict[str, bytes | None]] = {
    "no configuration": {"musicnn/configuration.py": None},
    "other tags": {"musicnn/configuration.py": configuration(TAGS[1:])},
    "other tags of MagnaTagATune": {"musicnn/configuration.py": configuration(TAGS, TAGS)},
    "no tags": {"musicnn/configuration.py": b"SR = 16000\n"},
    "code for tags": {"musicnn/configuration.py": b"MSD_LABELS = open('/etc/passwd')\n"},
    "no code": {"musicnn/configuration.py": b"this is not Python"},
    "number for tags": {"musicnn/configuration.py": b"MSD_LABELS = 5\n"},
    "nested too deeply": {"musicnn/configuration.py": b"MSD_LABELS = " + b"(" * 5000},
    "more than a configuration": {"musicnn/configuration.py": configuration() + b"#" * 100_000},
    "no text": {"musicnn/configuration.py": b"\xff\xfe\x00"},
    "no index": {"musicnn/MSD_vgg/.index": None},
    "damaged index": {"musicnn/MSD_vgg/.index": b"not an index"},
    "no weights": {"musicnn/MSD_vgg/.data-00000-of-00001": b""},
    "more than weights": {"musicnn/MSD_vgg/.data-00000-of-00001": bytes(17 * 2**20)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_wheel_is_refused(
    files: dict[str, bytes], wheel: Callable[..., Path], tmp_path: Path, change: str
) -> None:
    changed = {name: content for name, content in {**files, **CHANGES[change]}.items() if content is not None}
    with pytest.raises(ModelFileError, match=r"pip download --no-deps musicnn==0\.1\.0"):
        import_musicnn(wheel(changed), tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("2CNN/kernel", np.zeros((3, 3, 128, 127), np.float32)),
        ("2CNN/kernel", np.zeros((3, 3, 128, 128), np.int64)),
        ("dense/bias", np.full(50, np.nan, np.float32)),
        ("batch_normalization_3/gamma", None),
    ],
    ids=["shape", "type", "nan", "missing"],
)
def test_another_network_is_refused(
    weights: Weights,
    files: dict[str, bytes],
    wheel: Callable[..., Path],
    tmp_path: Path,
    name: str,
    value: NDArray[np.generic] | None,
) -> None:
    changed = {key: array for key, array in {**weights["vgg-mtt"], name: value}.items() if array is not None}
    index, data = write_bundle(changed)
    changed_files = {"musicnn/MTT_vgg/.index": index, "musicnn/MTT_vgg/.data-00000-of-00001": data}
    with pytest.raises(ModelFileError, match=f"musicnn/MTT_vgg: Expected {name}"):
        import_musicnn(wheel(files | changed_files), tmp_path / "zoo")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_wheel_is_read_or_refused(data: st.DataObject) -> None:
    """No damage to a zip file leads to another error than the one that says how to fetch it."""
    with tempfile.TemporaryDirectory() as folder:
        entries = {
            f"{network.folder}/{end}": b"x" * 99 for network in NETWORKS for end in (".index", ".data-00000-of-00001")
        }
        path = write_wheel(Path(folder, "damaged.whl"), {"musicnn/configuration.py": configuration(), **entries})
        content = bytearray(path.read_bytes())
        if data.draw(st.booleans()):
            del content[data.draw(st.integers(0, len(content) - 1)) :]
        else:
            edge = st.integers(0, 2000)  # the headers are at the two ends
            for at in data.draw(st.lists(edge.map(lambda i: i if i % 2 else len(content) - 1 - i), max_size=8)):
                content[at % len(content)] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(musicnn_wheel, "SHA256", hashlib.sha256(content).hexdigest())
            with contextlib.suppress(ModelFileError), open_wheel(path) as archive:
                assert len(read_tags(archive, NETWORKS[0])) == 50
                read_checkpoint(archive, NETWORKS[1])


def test_another_file_is_refused(files: dict[str, bytes], tmp_path: Path) -> None:
    """A wheel of another sum, too: it is somebody else's."""
    path = tmp_path / "song.mp3"
    path.write_text("not a zip")
    for wrong in (path, write_wheel(tmp_path / "other.whl", files), tmp_path / "missing.whl", tmp_path):
        with pytest.raises(ModelFileError, match=r"pip download --no-deps musicnn==0\.1\.0"):
            import_musicnn(wrong, tmp_path / "zoo")


def test_a_download_that_fails_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip without an index: as on a machine without a network, without waiting for one."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ModelFileError, match=r"Cannot download musicnn==0\.1\.0: .*--wheel FILE"):
        import_musicnn(None, tmp_path / "zoo")


def by_the_graph_of(wheel: Path, network: Network, log_mel: NDArray[np.float64], folder: Path) -> NDArray[np.float32]:
    """Tags of the TensorFlow 1 graph and checkpoint in the wheel itself."""
    tf = pytest.importorskip("tensorflow")
    with zipfile.ZipFile(wheel) as archive:
        for end in (".meta", ".index", ".data-00000-of-00001"):
            (folder / f"model{end}").write_bytes(archive.read(f"{network.folder}/{end}"))
    v1 = tf.compat.v1
    meta = v1.MetaGraphDef()
    meta.ParseFromString((folder / "model.meta").read_bytes())
    for node in meta.graph_def.node:
        node.attr.pop("_output_shapes", None)  # of another TensorFlow, which this one rejects
    with tf.Graph().as_default(), v1.Session() as session:
        saver = v1.train.import_meta_graph(meta, clear_devices=True)
        saver.restore(session, str(folder / "model"))
        feed = {"model/Placeholder:0": log_mel, "model/Placeholder_2:0": False}
        tags: NDArray[np.float32] = session.run("model/Sigmoid:0", feed)
    return tags


@pytest.mark.train
@pytest.mark.skipif(WHEEL_VARIABLE not in os.environ, reason=f"set {WHEEL_VARIABLE} to the wheel of musicnn 0.1.0")
def test_the_real_wheel_gives_tensorflows_tags(tmp_path: Path) -> None:
    """On the bundled recording, the networks of the wheel run by TensorFlow from librosa's features."""
    wheel = Path(os.environ[WHEEL_VARIABLE])
    folders = import_musicnn(wheel, tmp_path / "zoo")
    from musiczoo import audio, demo

    for network, folder in zip(NETWORKS, folders[: len(NETWORKS)], strict=True):
        model = musiczoo.load(folder)
        real = np.stack([samples for _, samples in audio.excerpts(demo.PATH, model.card)])
        expected = by_the_graph_of(wheel, network, features(real), tmp_path)
        np.testing.assert_allclose(model.tag(real), expected, atol=1e-5)
        assert model.card.parameters == {"musicnn": 787159, "vgg": 605748}[network.name.split("-")[0]]
