"""Read TensorFlow checkpoints (format V2, "tensor bundle") as numpy arrays, without TensorFlow.

A checkpoint is an index and data files. The index is a LevelDB table: blocks of sorted keys, each with a protobuf
message with type, shape and offset of one tensor. The data file holds the bytes of the tensors. Both have CRC-32C
checksums, which are verified. Supported is what TensorFlow's writer produces for plain variables: one data file,
uncompressed blocks, little-endian numbers, no partitioned variables.

Layout: TensorFlow's core/util/tensor_bundle/tensor_bundle.cc, core/protobuf/tensor_bundle.proto and
core/lib/io/format.cc (LevelDB's table format); Protocol Buffers' encoding; CRC-32C is Castagnoli's polynomial.

Conventions
-----------
- The files are untrusted: every length and offset is checked against the size of the file before it is used, and any
  mismatch is a `BundleError`. Memory stays within a small multiple of the sizes of the files.
"""

import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

MAGIC = bytes.fromhex("57fb808b247547db")
"""The last bytes of an index."""

_FOOTER = 48
_TRAILER = 5
"""Bytes after a block: its compression and its checksum."""

_DTYPES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 17: "<u2", 19: "<f2", 22: "<u4",
    23: "<u8",
}  # fmt: skip
"""Number in TensorFlow's enum DataType -> numpy's name, for the types that numpy has."""

_MAX_DIMENSIONS = 32
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of Protocol Buffers."""

Array = NDArray[np.generic]


class BundleError(ValueError):
    """Bytes that are not a checkpoint, or a damaged one."""


@dataclass(frozen=True)
class Entry:
    """Position of one tensor in the data file.

    Attributes:
        dtype: Number of its type in TensorFlow's enum DataType.
        shape: Its dimensions; empty for a scalar.
        offset: First byte in the data file.
        size: Number of bytes.
        checksum: Masked CRC-32C of these bytes.
    """

    dtype: int
    shape: tuple[int, ...]
    offset: int
    size: int
    checksum: int


def read_index(index: bytes) -> dict[str, Entry]:
    """Return the tensors that a checkpoint's ``.index`` file lists, by name.

    Raises:
        BundleError: If the bytes are not an index of one uncompressed, little-endian data file.
    """
    if len(index) < _FOOTER or not index.endswith(MAGIC):
        raise BundleError(f"Expected an index that ends with {MAGIC.hex(' ')}, got {len(index)} bytes that do not.")
    footer = _Reader(index[-_FOOTER : -len(MAGIC)])
    _block(index, footer.varint(), footer.varint())  # the block of metadata, which is empty
    entries: dict[str, Entry] = {}
    header: bytes | None = None
    for _, handle in _items(_block(index, footer.varint(), footer.varint())):
        place = _Reader(handle)
        for key, value in _items(_block(index, place.varint(), place.varint())):
            if header is None:  # the header's key is empty and sorts first
                header = _check_header(key, value)
            elif key in entries or not key:
                raise BundleError(f"Expected each tensor once, got {key!r} again.")
            else:
                entries[key] = _entry(key, value)
    if header is None:
        raise BundleError("Expected an index with a header, got an empty one.")
    return entries


def read_tensors(index: bytes, data: bytes, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, Array]:
    """Read tensors of a checkpoint with one data file.

    Args:
        index: Contents of ``<prefix>.index``.
        data: Contents of ``<prefix>.data-00000-of-00001``.
        wanted: Whether to read the tensor of this name.

    Returns:
        Name -> array, in the order of the index.

    Raises:
        BundleError: If a file is damaged, or a wanted tensor has a type that numpy lacks.

    Example:
        >>> read_tensors(b"", b"")
        Traceback (most recent call last):
        ...
        musiczoo.export.tensor_bundle.BundleError: Expected an index that ends with 57 fb 80 8b 24 75 47 db, got 0 \
bytes that do not.
    """
    return {name: _tensor(name, entry, data) for name, entry in read_index(index).items() if wanted(name)}


def _tensor(name: str, entry: Entry, data: bytes) -> Array:
    dtype = np.dtype(_DTYPES[entry.dtype]) if entry.dtype in _DTYPES else None
    if dtype is None:
        raise BundleError(f"Expected numbers in {name!r}, got TensorFlow's type {entry.dtype}.")
    size = math.prod(entry.shape) * dtype.itemsize
    if entry.size != size or entry.offset + size > len(data):
        raise BundleError(
            f"Expected {size} bytes of {name!r} at {entry.offset}, got {entry.size} in a file of {len(data)}."
        )
    content = data[entry.offset : entry.offset + size]
    _verify(content, entry.checksum, repr(name))
    return np.frombuffer(content, dtype).reshape(entry.shape)


def _block(index: bytes, offset: int, size: int) -> bytes:
    """Return the verified content of a block."""
    if offset + size + _TRAILER > len(index) - _FOOTER:
        raise BundleError(f"Expected a block of {size} bytes at {offset}, got an index of {len(index)}.")
    compression, checksum = struct.unpack_from("<BI", index, offset + size)
    if compression:
        raise BundleError(f"Expected an uncompressed block at {offset}, got compression {compression}.")
    _verify(index[offset : offset + size + 1], checksum, f"the block at {offset}")
    return index[offset : offset + size]


def _items(block: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield keys and values of a block, in order. A key is stored as its difference from the one before."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if len(block) < 4 or end < 0:
        raise BundleError(f"Expected a block with its {restarts} restart points, got {len(block)} bytes.")
    reader, key = _Reader(block[:end]), b""
    while not reader.at_end:
        shared, unshared, length = reader.varint(), reader.varint(), reader.varint()
        if shared > len(key):
            raise BundleError(f"Expected a key that shares up to {len(key)} bytes, got {shared}.")
        key = key[:shared] + reader.take(unshared)
        try:
            yield key.decode(), reader.take(length)
        except UnicodeDecodeError as error:
            raise BundleError(f"Expected names in UTF-8, got {key!r}. Partitioned variables are not read.") from error


def _check_header(key: str, value: bytes) -> bytes:
    """Check that a BundleHeaderProto describes one little-endian data file, and return it."""
    fields = _fields(value)
    shards, endianness = _number(fields, 1), _number(fields, 2)
    if key or shards != 1 or endianness:
        raise BundleError(f"Expected one little-endian data file, got {shards} of endianness {endianness}.")
    return value


def _entry(name: str, value: bytes) -> Entry:
    """Parse a BundleEntryProto."""
    fields = _fields(value)
    if 7 in fields or _number(fields, 3):
        raise BundleError(f"Expected {name!r} whole in the first data file, got a part of it or another file.")
    (shape,) = fields.get(2, [b""])[-1:]
    shape_fields = _fields(_as_bytes(shape))
    dimensions = [_fields(_as_bytes(dimension)) for dimension in shape_fields.get(2, [])]
    sizes = tuple(_number(dimension, 1) for dimension in dimensions)
    if 3 in shape_fields or len(sizes) > _MAX_DIMENSIONS or any(size >= 1 << 31 for size in sizes):
        raise BundleError(f"Expected a known shape of {name!r}, got {sizes}.")
    return Entry(_number(fields, 1), sizes, _number(fields, 4), _number(fields, 5), _number(fields, 6))


def _fields(message: bytes) -> dict[int, list[int | bytes]]:
    """Parse a message of Protocol Buffers: field number -> values in order."""
    reader = _Reader(message)
    fields: dict[int, list[int | bytes]] = {}
    while not reader.at_end:
        tag = reader.varint()
        kind = tag & 7
        value: int | bytes
        if kind == _VARINT:
            value = reader.varint()
        elif kind == _BYTES:
            value = reader.take(reader.varint())
        elif kind in (_FIXED32, _FIXED64):
            value = int.from_bytes(reader.take(4 if kind == _FIXED32 else 8), "little")
        else:
            raise BundleError(f"Expected a message of Protocol Buffers, got wire type {kind}.")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _number(fields: Mapping[int, list[int | bytes]], field: int) -> int:
    """Return a field's last value; 0 if it is absent, as zeros are not stored."""
    value = fields.get(field, [0])[-1]
    if isinstance(value, bytes):
        raise BundleError(f"Expected a number in field {field}, got bytes.")
    return value


def _as_bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise BundleError(f"Expected a message, got the number {value}.")
    return value


class _Reader:
    """A cursor over bytes."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._content)

    def take(self, count: int) -> bytes:
        if count > len(self._content) - self._at:
            raise BundleError(f"Expected {count} bytes more, got {len(self._content) - self._at}.")
        self._at += count
        return self._content[self._at - count : self._at]

    def varint(self) -> int:
        """Read a number of up to 64 bits: seven in each byte, lowest first; the high bit marks that more follow."""
        value = 0
        for shift in range(0, 70, 7):
            (byte,) = self.take(1)
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise BundleError("Expected a number of up to 64 bits, got a longer one.")


def _verify(content: bytes, checksum: int, what: str) -> None:
    if mask(crc32c(content)) != checksum:
        raise BundleError(f"Expected {what} to match its checksum: the file is damaged.")


def mask(crc: int) -> int:
    """Return a checksum as the files store it: rotated and offset, as the data hold checksums themselves."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(content: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of bytes.

    numpy advances equal columns of the bytes together, one byte of each at a time; then the checksums of the columns
    are combined. A plain loop would take a second for 10 MB.

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    rows = len(content) // _COLUMNS
    crc = 0xFFFFFFFF
    if rows:
        grid = np.frombuffer(content, np.uint8, rows * _COLUMNS).reshape(_COLUMNS, rows)
        table, columns = np.array(_table(), np.uint32), np.zeros(_COLUMNS, np.uint32)
        columns[0] = crc
        for row in range(rows):
            columns = table[(columns ^ grid[:, row]) & 255] ^ columns >> 8
        crc = 0
        skip = _zeros_operator(rows)
        for column in columns.tolist():
            crc = _apply(skip, crc) ^ column
    table_of_ints = _table()
    for byte in content[rows * _COLUMNS :]:
        crc = table_of_ints[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


_COLUMNS = 1024


@cache
def _table() -> tuple[int, ...]:
    """Return the checksums of single bytes."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


def _zeros_operator(count: int) -> tuple[int, ...]:
    """Return the effect of `count` zero bytes on a checksum: a linear map over bits, as the images of the 32 bits."""
    step = tuple(_table()[bit & 255] ^ bit >> 8 for bit in (1 << i for i in range(32)))
    result = tuple(1 << i for i in range(32))
    while count:
        if count & 1:
            result = tuple(_apply(step, bit) for bit in result)
        step = tuple(_apply(step, bit) for bit in step)
        count >>= 1
    return result


def _apply(operator: tuple[int, ...], crc: int) -> int:
    result = 0
    for i in range(32):
        if crc >> i & 1:
            result ^= operator[i]
    return result
