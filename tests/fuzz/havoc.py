"""Mutations of bytes that know nothing of what the bytes mean, and the numbers that break parsers."""

import random
import struct

NUMBERS = (
    *(0, 1, 2, 7, 8, 16, 63, 64, 65, 127, 128, 255, 256, 999, 1000, 1023, 1024, 4096, 8000, 22050, 44100, 65535, 65536),
    *(10_000_000, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**36 - 1, 2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 1),
)
"""Edges of types, sizes that nobody has memory for, 1000 channels, rates of 0 and 10 MHz."""

FORMATS = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q")


def number(length: int, big: bool, dice: random.Random) -> bytes:
    """One of `NUMBERS`, or a neighbour or a random one, cut to this number of bytes."""
    value = dice.choice(NUMBERS) + dice.choice((0, 0, 0, -1, 1)) if dice.random() < 0.8 else dice.getrandbits(64)
    return (value % 256**length).to_bytes(length, "big" if big else "little")


def overwritten(data: bytes, at: int, new: bytes) -> bytes:
    """The data with `new` in place of what is at `at`; as long as before."""
    return (data[:at] + new + data[at + len(new) :])[: len(data)]


def mutate(data: bytes, dice: random.Random) -> bytes:
    """One change: a bit, a number, a part cut, doubled, moved or filled, or the end lost."""
    if not data:
        return dice.randbytes(dice.randint(1, 64))
    kind, at = dice.randrange(8), dice.randrange(len(data))
    size = min(dice.choice((1, 2, 4, 8, 16, 64, 256, 1024)), len(data) - at)
    if kind == 0:
        return overwritten(data, at, bytes([data[at] ^ 1 << dice.randrange(8)]))
    if kind == 1:
        form = dice.choice(FORMATS)
        return overwritten(data, at, number(struct.calcsize(form), form[0] == ">", dice))
    if kind == 2:
        return data[:at] + data[at + size :]
    if kind == 3:
        return data[:at] + data[at : at + size] * dice.randint(2, 4) + data[at + size :]
    if kind == 4:
        to = dice.randrange(len(data))
        return overwritten(data, to, data[at : at + size])
    if kind == 5:
        return data[:at] + bytes([dice.choice((0, 255, dice.randrange(256)))]) * size + data[at + size :]
    if kind == 6:
        return data[:at]
    return data[:at] + dice.randbytes(size) + data[at:]
