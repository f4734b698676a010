"""Wheels like musicnn's: networks of the true shapes with random weights."""

import zipfile
from pathlib import Path

import numpy as np
from bundles import write_bundle
from numpy.typing import NDArray

from musiczoo.datasets.magnatagatune import DIMENSIONS as MTT_DIMENSIONS
from musiczoo.export.musicnn_wheel import NETWORKS, Network
from musiczoo.taxonomy import TAGS

MTT_TAGS = tuple(tag for names in MTT_DIMENSIONS.values() for tag in names)[::-1]

MUSICNN = {
    "conv2d": (7, 38, 1, 204), "conv2d_1": (7, 67, 1, 204), "conv2d_2": (128, 1, 1, 51), "conv2d_3": (64, 1, 1, 51),
    "conv2d_4": (32, 1, 1, 51), "conv2d_5": (7, 561, 1, 64), "conv2d_6": (7, 64, 1, 64), "conv2d_7": (7, 64, 1, 64),
    "dense": (1506, 200), "dense_1": (200, 50),
}  # fmt: skip
MUSICNN_NORMS = (1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200)
VGG = {"1CNN": (3, 3, 1, 128), **{f"{i}CNN": (3, 3, 128, 128) for i in range(2, 6)}, "dense": (256, 50)}
VGG_NORMS = (1, *(128,) * 5)


def random_weights(network: Network, seed: int) -> dict[str, NDArray[np.float32]]:
    """Variables by the checkpoint's names, of sizes that keep activations near 1; and an optimizer's, which are not."""
    random = np.random.default_rng(seed)
    kernels, norms = (VGG, VGG_NORMS) if network.pools else (MUSICNN, MUSICNN_NORMS)
    weights = {}
    for name, shape in kernels.items():
        weights[f"{name}/kernel"] = random.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))
        weights[f"{name}/bias"] = 0.1 * random.normal(size=shape[-1])
        weights[f"{name}/bias/Adam"] = np.full(shape[-1], np.nan)
    for i, size in enumerate(norms):
        layer = f"batch_normalization_{i}" if i else "batch_normalization"
        weights[f"{layer}/gamma"] = random.uniform(0.5, 1.5, size) * random.choice(
            [-1, 1], size, p=[0.2, 0.8]
        )  # as in the real ones
        weights[f"{layer}/beta"] = 0.1 * random.normal(size=size)
        weights[f"{layer}/moving_mean"] = 0.1 * random.normal(size=size)
        weights[f"{layer}/moving_variance"] = random.uniform(0.5, 1.5, size)
    return {name: np.asarray(value, np.float32) for name, value in weights.items()}


def configuration(msd: tuple[str, ...] = TAGS, mtt: tuple[str, ...] = MTT_TAGS) -> bytes:
    return f"SR = 16000\nMTT_LABELS = {list(mtt)!r}\nMSD_LABELS = {list(msd)!r}\n".encode()


def members(weights: dict[str, dict[str, NDArray[np.float32]]]) -> dict[str, bytes]:
    """Names and contents of the files of a wheel, for the networks' weights by network."""
    files = {"musicnn/configuration.py": configuration()}
    for network in NETWORKS:
        index, data = write_bundle(weights[network.name])
        files |= {f"{network.folder}/.index": index, f"{network.folder}/.data-00000-of-00001": data}
    return files


def write_wheel(path: Path, files: dict[str, bytes]) -> Path:
    """A wheel of these files, compressed but for the weights: random ones do not get smaller."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content, zipfile.ZIP_STORED if ".data" in name else zipfile.ZIP_DEFLATED)
    return path
