"""TensorFlow's checkpoints: against a writer made from the format, published checksums, and TensorFlow itself."""

from pathlib import Path

import numpy as np
import pytest
from bundles import HEADER, TYPES, block, crc32c, entry, field, masked, table, varint, write_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from musiczoo.export import tensor_bundle
from musiczoo.export.tensor_bundle import BundleError, read_index, read_tensors


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_checksums_of_rfc_3720(content: bytes, expected: int) -> None:
    """RFC 3720 (iSCSI), appendix B.4, and the usual check value of the polynomial."""
    assert tensor_bundle.crc32c(content) == expected


@settings(max_examples=30)
@given(st.sampled_from([0, 1, 1023, 1024, 1025, 2048, 5000]), st.randoms(use_true_random=False))
def test_checksums_of_any_length(size: int, random: object) -> None:
    content = random.randbytes(size)  # type: ignore[attr-defined]
    assert tensor_bundle.crc32c(content) == crc32c(content)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    dtype = np.dtype(draw(st.sampled_from(sorted(TYPES))))
    return draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)))


@settings(max_examples=60)
@given(st.dictionaries(st.text(min_size=1, max_size=30), arrays(), max_size=60), st.integers(1, 50))
def test_what_was_written_is_read(tensors: dict[str, np.ndarray], each: int) -> None:
    index, data = write_bundle(tensors, each)
    read = read_tensors(index, data)
    assert list(read) == sorted(tensors, key=str.encode)
    for name, array in tensors.items():
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
        assert read[name].tobytes() == array.tobytes()


def test_only_the_wanted_are_looked_at() -> None:
    index, data = write_bundle({"a": np.arange(3.0), "b": np.arange(2)})
    damaged = bytearray(data)
    damaged[0] ^= 1  # in a
    assert list(read_tensors(index, bytes(damaged), lambda name: name == "b")) == ["b"]
    with pytest.raises(BundleError, match="'a' to match its checksum"):
        read_tensors(index, bytes(damaged))


ONE = np.arange(4, dtype=np.float32)
DATA = ONE.tobytes()


def index_of(message: bytes, header: bytes = HEADER) -> bytes:
    return table([(b"", header), (b"x", message)])


BAD = {
    "empty": (b"", "ends with"),
    "no magic": (bytes(100), "ends with"),
    "no header": (table([]), "a header"),
    "compressed": (table([(b"", HEADER), (b"x", entry(ONE, 0))], compression=1), "uncompressed"),
    "two shards": (index_of(entry(ONE, 0), field(1, 2)), "one little-endian data file"),
    "big endian": (index_of(entry(ONE, 0), field(1, 1) + field(2, 1)), "one little-endian data file"),
    "another shard": (index_of(entry(ONE, 0) + field(3, 1)), "first data file"),
    "a slice": (index_of(entry(ONE, 0) + field(7, b"")), "whole"),
    "partitioned": (table([(b"", HEADER), (b"\0\xff\x01x", entry(ONE, 0))]), "Partitioned"),
    "twice": (table([(b"", HEADER), (b"x", entry(ONE, 0)), (b"x", entry(ONE, 0))]), "once"),
    "beyond the data": (index_of(entry(ONE, 1)), "in a file of 16"),
    "far beyond": (index_of(entry(ONE, 2**63)), "in a file of 16"),
    "another size": (index_of(field(1, 1) + field(2, field(2, field(1, 5))) + field(5, 16)), "20 bytes"),
    "a bomb": (index_of(field(1, 1) + field(2, field(2, field(1, 2**31 - 1)) * 30) + field(5, 16)), "bytes of 'x'"),
    "negative size": (index_of(field(1, 1) + field(2, field(2, field(1, 2**64 - 1)))), "known shape"),
    "unknown rank": (index_of(field(1, 1) + field(2, field(3, 1)) + field(5, 16)), "known shape"),
    "strings": (index_of(field(1, 7) + field(5, 16)), "type 7"),
    "no message": (index_of(b"\x0f"), "wire type"),
    "cut message": (index_of(b"\x0a\xff\x01"), "bytes more"),
    "number for a message": (index_of(field(1, 1) + field(2, 3)), "a message"),
    "message for a number": (index_of(field(1, b"x")), "a number"),
    "endless number": (index_of(b"\x08" + b"\x80" * 11), "64 bits"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_another_file_is_refused(name: str) -> None:
    index, said = BAD[name]
    with pytest.raises(BundleError, match=said):
        read_tensors(index, DATA)


def test_a_block_outside_is_refused() -> None:
    metadata, content = block([]), block([(b"", varint(1 << 40) + varint(5))], interval=1)
    places = varint(0) + varint(len(metadata) - 5) + varint(len(metadata)) + varint(len(content) - 5)
    index = metadata + content + places.ljust(40, b"\0") + tensor_bundle.MAGIC
    with pytest.raises(BundleError, match="Expected a block of 5 bytes"):
        read_index(index)


@settings(max_examples=300)
@given(st.data())
def test_damage_is_found_or_harmless(data: st.DataObject) -> None:
    """A changed or missing byte is an error, or lies where nothing is (the footer's padding)."""
    tensors = {f"layer_{i}/kernel": np.arange(i + 1.0) for i in range(50)}
    index, content = write_bundle(tensors)
    files = [bytearray(index), bytearray(content)]
    which = data.draw(st.integers(0, 1))
    at = data.draw(st.integers(0, len(files[which]) - 1))
    if data.draw(st.booleans()):
        del files[which][at:]
    else:
        files[which][at] ^= data.draw(st.integers(1, 255))
    try:
        read = read_tensors(bytes(files[0]), bytes(files[1]))
    except BundleError:
        return
    assert all(read[name].tobytes() == array.tobytes() for name, array in tensors.items())
    assert which == 0
    assert at >= len(index) - 48  # in the footer, whose numbers may be written in more than one way


def test_masks() -> None:
    """By hand: 0x12345678 rotated right by 15 bits is 0xACF02468."""
    assert tensor_bundle.mask(0x12345678) == (0xACF02468 + 0xA282EAD8) % 2**32 == masked(b"", 0x12345678)


@pytest.mark.train
def test_what_tensorflow_wrote_is_read(tmp_path: Path) -> None:
    """Many variables, so that the index has several blocks; every type; a scalar and an empty one."""
    tf = pytest.importorskip("tensorflow")
    random = np.random.default_rng(0)
    values = {f"v{i:03d}": random.normal(size=(i % 7, 3)).astype(np.float32) for i in range(400)}
    types = {"int64": np.arange(5), "float16": np.ones((2, 2), np.float16), "bool": np.array([True, False])}
    values |= {name: np.asarray(array) for name, array in types.items()} | {"scalar": np.array(2.5, np.float32)}
    checkpoint = tf.train.Checkpoint(**{name: tf.Variable(value) for name, value in values.items()})
    prefix = checkpoint.write(str(tmp_path / "model"))
    index, data = Path(f"{prefix}.index"), Path(f"{prefix}.data-00000-of-00001")
    read = read_tensors(index.read_bytes(), data.read_bytes(), lambda name: name.endswith("VARIABLE_VALUE"))
    assert len(read) == len(values)
    for name, value in values.items():
        np.testing.assert_array_equal(read[f"{name}/.ATTRIBUTES/VARIABLE_VALUE"], value)
    with pytest.raises(BundleError, match="type 7"):  # the graph of objects is a string
        read_tensors(index.read_bytes(), data.read_bytes())
