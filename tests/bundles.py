"""A writer of TensorFlow checkpoints, written from the format alone, to hold the reader against."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from musiczoo.export.tensor_bundle import MAGIC

TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19, "bool": 10}


def crc32c(content: bytes) -> int:
    """Bit by bit."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(content: bytes, crc: int | None = None) -> int:
    crc = crc32c(content) if crc is None else crc
    return ((crc >> 15 | crc << 17) % 2**32 + 0xA282EAD8) % 2**32


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def block(items: list[tuple[bytes, bytes]], interval: int = 16, compression: int = 0) -> bytes:
    """Keys and values with shared prefixes, restart points, compression byte and checksum."""
    out, restarts, before = b"", [], b""
    for i, (key, value) in enumerate(items):
        shared = 0
        if i % interval == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    numbers = [*(restarts or [0]), max(len(restarts), 1)]
    out += b"".join(number.to_bytes(4, "little") for number in numbers) + bytes([compression])
    return out + masked(out).to_bytes(4, "little")


def table(items: list[tuple[bytes, bytes]], each: int = 40, compression: int = 0) -> bytes:
    """An index file of blocks of up to `each` items."""
    out, handles = b"", []
    for i in range(0, len(items), each):
        content = block(items[i : i + each], compression=compression)
        handles.append((items[min(i + each, len(items)) - 1][0], varint(len(out)) + varint(len(content) - 5)))
        out += content
    places = b""
    for content in (block([]), block(handles, interval=1)):
        places += varint(len(out)) + varint(len(content) - 5)
        out += content
    return out + places.ljust(40, b"\0") + MAGIC


def entry(array: NDArray[np.generic], offset: int, crc: int | None = None) -> bytes:
    """A BundleEntryProto."""
    content = array.tobytes()
    shape = b"".join(field(2, field(1, size) if size else b"") for size in array.shape)
    message = field(1, TYPES[array.dtype.name]) + field(2, shape)
    message += (field(4, offset) if offset else b"") + (field(5, len(content)) if content else b"")
    return message + varint(6 << 3 | 5) + masked(content, crc).to_bytes(4, "little")


HEADER = field(1, 1) + field(3, field(1, 1))
"""One shard, little-endian, version 1."""


def write_bundle(tensors: Mapping[str, NDArray[np.generic]], each: int = 40) -> tuple[bytes, bytes]:
    """Index and data of a checkpoint."""
    from musiczoo.export.tensor_bundle import crc32c as fast  # the same numbers: test_tensor_bundle.py

    items, data = [(b"", HEADER)], b""
    for name in sorted(tensors, key=str.encode):
        array = np.asarray(tensors[name])
        items.append((name.encode(), entry(array, len(data), fast(array.tobytes()))))
        data += array.tobytes()
    return table(items, each), data
