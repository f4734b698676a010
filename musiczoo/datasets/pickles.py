"""Read pickles of plain data without executing code.

Reading a pickle calls the functions and classes that it names, so its author decides what is executed. Here only a few
names are allowed, and they refer to functions of this file that check their arguments. The result consists of lists,
tuples, dicts, sets, strings, bytes, numbers and numpy arrays of these; all other names are refused.

Pickles of Python 2 are supported: their strings are decoded as latin1.

A small file cannot use gigabytes: this is pickle's implementation in Python, because the one in C reserves as much
memory as a file declares. The repeated entries of Python 2's tables are read in one step each, which is fast, and
protocol 0, which is text, may have CR LF line endings.
"""

import codecs
import gc
import io
import math
import pickle
import re
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._files import UNREADABLE, map_npy
from ..errors import DatasetError
from .downloads import open_binary

_DTYPE = re.compile(r"[<>|=]?([biufSU][0-9]{1,4}|\?)")
_ORDERS = ("<", ">", "|", "=")
_TEXT = bytes((*b"\t\n\r", *range(0x20, 0x100)))
"""Bytes of protocol 0 with the strings of Python 2; binary numbers also have other bytes."""


def read_pickle(path: Path) -> Any:
    """Read a pickle of plain data.

    Raises:
        DatasetError: If there is no such file, it is damaged, or it contains anything but plain data.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "list.cP")
        ...     _ = path.write_bytes(pickle.dumps({"TRAAAAW128F429D538": 7}))
        ...     read_pickle(path)
        {'TRAAAAW128F429D538': 7}
    """
    try:
        with open_binary(path, "a pickle") as file:
            content = file.read()
    except OSError as error:
        raise DatasetError(f"Cannot read {path}: {error}.") from error
    return _unpickled(content, path)


def read_npy(path: Path) -> NDArray[Any]:
    """Read the array of a .npy file. An array of objects is a pickle and is read like those of `read_pickle`.

    Raises:
        DatasetError: If there is no such file, it is damaged, or it contains anything but plain data.
    """
    try:
        with open_binary(path, "an array") as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
            content = file.read() if dtype.hasobject else b""
        if not dtype.hasobject:
            return _checked_texts(map_npy(path))
    except DatasetError:
        raise
    except UNREADABLE as error:
        raise DatasetError(f"{path}: expected an array, got {str(error)[:200]}. Fetch the file again.") from error
    array = _unpickled(content, path, _ArrayUnpickler)
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise DatasetError(f"{path}: expected an array of shape {shape}, got another. Fetch the file again.")
    return array


def _checked_texts(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array, unless it has records, or strings with invalid code points, which numpy accepts."""
    if array.dtype.names:
        raise ValueError("records")
    if array.dtype.kind == "U":
        codes = np.frombuffer(array.tobytes(), np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if np.any(codes > sys.maxunicode):
            raise ValueError("strings with invalid code points")
    return array


def _unpickled(content: bytes, path: Path, reader: "type[_Unpickler] | None" = None) -> Any:
    try:
        return _load(content, reader)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error} Fetch the file again from its publication.") from error
    except (
        pickle.UnpicklingError, EOFError, struct.error, ValueError, TypeError, LookupError, AttributeError,
        ArithmeticError, MemoryError,
    ) as error:  # fmt: skip
        raise DatasetError(
            f"{path}: expected a pickle, got a damaged one ({type(error).__name__}). Fetch the file again."
        ) from error


def _load(content: bytes, kind: "type[_Unpickler] | None" = None) -> Any:
    """Read a pickle without the garbage collector, which would visit millions of new objects repeatedly."""
    table, file = None, io.BytesIO(content)
    if content[:1] != pickle.PROTO:
        # git, FTP and editors may replace LF by CR LF in protocol 0, which is text. No original pickle has CR LF at the
        # end of each line: most lines end with a digit or a quote.
        windows = 0 < content.count(b"\r\n") == content.count(b"\n")
        table = _table(content, b"\r\n" if windows else b"\n")
        file = _WindowsLines(content) if windows else file
    reader = (kind or _Unpickler)(file, encoding="latin1")
    collects = gc.isenabled()
    gc.disable()
    try:
        return reader.load() if table is None else reader.load_table(table, content, file)
    finally:
        if collects:
            gc.enable()


class _WindowsLines(io.BytesIO):
    """Bytes with CR LF line endings, which are returned as LF."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        return line[:-2] + b"\n" if line.endswith(b"\r\n") else line


def _with_plain_keys(load: Callable[[Any], None], keys: slice) -> Callable[[Any], None]:
    """Return an operation that uses values of the stack as keys, with a check of these."""

    def checked(reader: Any) -> None:
        _check_keys(reader.stack[keys])
        load(reader)

    return checked


def _check_keys(keys: Iterable[Any]) -> None:
    """Refuse nested tuples as keys: hashing them may overflow the stack, which kills the process, or never end."""
    for key in keys:
        if isinstance(key, tuple) and any(isinstance(part, tuple) for part in key):
            raise pickle.UnpicklingError("a tuple in a tuple as a key")


_BEFORE_ENTRIES = (pickle.PUT, pickle.APPEND, pickle.SETITEM, pickle.LIST, pickle.DICT)
_MOST_GETS = 50


class _Table(NamedTuple):
    """Patterns of the repeated entries of a table in protocol 0: items of a list, or strings or arrays of a dict.

    Attributes:
        entry: With the groups item; key, value; and, up to the array's data, reconstruct, ndarray, "b", shape, dtype.
        data_end: The quote and line ending after the array's data.
        array_end: These and the rest of the entry.
    """

    entry: re.Pattern[bytes]
    data_end: bytes
    array_end: re.Pattern[bytes]


def _table(content: bytes, line_end: bytes) -> _Table | None:
    """Return the patterns for a file, or None if it is not text, or reads the memo too often for such a table.

    Strings have neither quotes nor escapes. Entries are not stored in the memo, so memo numbers that the file reads
    anywhere do not match.
    """
    gets = set(re.findall(rb"g(?=([-+_0-9 \t]+)\r?\n)", content))
    if len(gets) > _MOST_GETS or not all(number.isdigit() for number in gets) or content.translate(None, _TEXT):
        return None
    number = rb"(?:0|[1-9][0-9]*)"
    put = rb"(?:p" + b"".join(rb"(?!%d\n)" % int(got) for got in gets) + number + rb"\n)?"
    string = rb"S'([^'\\\n]*)'\n" + put
    array = rb"g(NUM)\n\(g(NUM)\n\(I0\ntPUT(?:S'b'\nPUT|g(NUM)\n)tPUTRPUT\(I1\n\(((?:INUM\n)+)tPUTg(NUM)\nI00\nS'"
    array = array.replace(b"NUM", number).replace(b"PUT", put)
    entry = string + b"a|" + string + b"(?:" + string + b"s|" + array + b")"
    array_end = rb"'\n" + put + b"t" + put + b"bs"
    escaped = re.escape(line_end)
    return _Table(
        re.compile(entry.replace(rb"\n", escaped)), b"'" + line_end, re.compile(array_end.replace(rb"\n", escaped))
    )


class _Unpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def load_bytearray8(self) -> None:
        """Read only the existing bytes; pickle's own method reserves as many as the file declares."""
        reader: Any = self
        (size,) = struct.unpack("<Q", reader.read(8))
        reader.append(bytearray(reader.read(size)))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def load_table(self, table: _Table, content: bytes, file: io.BytesIO) -> Any:
        """Read a pickle like `load`, but each entry of a table in one step."""
        reader: Any = self
        reader.read, reader.readline, reader.readinto = file.read, file.readline, file.readinto
        reader.stack, reader.metastack, reader.proto = [], [], 0
        reader.append = reader.stack.append
        try:
            while True:
                operation = file.read(1)
                if not operation:
                    raise EOFError
                self.dispatch[operation[0]](self)
                if operation in _BEFORE_ENTRIES:
                    file.seek(self._take_entries(table, content, file.tell()))
        except pickle._Stop as stop:  # type: ignore[attr-defined]
            return stop.value

    def _take_entries(self, table: _Table, content: bytes, at: int) -> int:
        """Read the entries from a position; return the position after them."""
        reader: Any = self
        memo, target = reader.memo, reader.stack[-1]
        while found := table.entry.match(content, at):
            item, key, value, make, kind, letter, shape, dtype = found.groups()
            at = found.end()
            if item is not None:
                target.append(item.decode("latin1"))
            elif value is not None:
                target[key.decode("latin1")] = value.decode("latin1")
            else:
                quote = content.find(table.data_end, at)
                end = table.array_end.match(content, quote) if quote >= 0 else None
                if not end:
                    return found.start()
                data = codecs.escape_decode(content[at:quote])[0]
                array = memo[int(make)](memo[int(kind)], (0,), "b" if letter is None else memo[int(letter)])
                sizes = tuple(int(size[1:]) for size in shape.split())
                array.__setstate__((1, sizes, memo[int(dtype)], False, data))
                target[key.decode("latin1")] = array
                at = end.end()
        return at

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise DatasetError(
                f"expected plain containers, strings, numbers and numpy arrays, got a pickle that names "
                f"{module!r}.{name!r}, which was not run."
            )
        return _ADMITTED[module, name]


class _ArrayUnpickler(_Unpickler):
    """A reader of arrays of objects, which numpy writes to .npy files as pickles."""

    def find_class(self, module: str, name: str) -> Any:
        return _OBJECT_DTYPE if (module, name) == ("numpy", "dtype") else super().find_class(module, name)


for _code, _keys in (
    (pickle.SETITEM, slice(-2, -1)),
    (pickle.SETITEMS, slice(0, None, 2)),
    (pickle.DICT, slice(0, None, 2)),
    (pickle.ADDITEMS, slice(None)),
    (pickle.FROZENSET, slice(None)),
):
    _Unpickler.dispatch[_code[0]] = _with_plain_keys(_Unpickler.dispatch[_code[0]], _keys)


class _Function:
    """A function that a pickle may call but not change."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function has no state")


class _Dtype:
    """Replaces numpy dtypes: only numbers and strings, without objects and fields."""

    def __init__(self, code: Any, *flags: Any) -> None:
        text = code if isinstance(code, str) else ""
        if not _DTYPE.fullmatch(text):
            raise pickle.UnpicklingError("not a plain dtype")
        self.value = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        if state[1] not in _ORDERS or any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("not a plain dtype")
        self.value = self.value.newbyteorder(state[1])


class _ObjectDtype(_Dtype):
    """Also replaces the dtype of objects, whose arrays contain the values of a list of the pickle."""

    def __init__(self, code: Any, *flags: Any) -> None:
        if code in ("O4", "O8"):
            self.value = np.dtype(object)
        else:
            super().__init__(code, *flags)


class _Array(np.ndarray[Any, Any]):
    """An array that is empty until its state is set; the state is checked before numpy uses it."""

    def __setstate__(self, state: Any) -> None:
        version, shape, dtype, fortran, raw = state
        if isinstance(dtype, _Dtype) and dtype.value.hasobject:
            _check_objects(shape, raw)
            objects: Any = (version, shape, dtype.value, bool(fortran), raw)
            super().__setstate__(objects)
            return
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        _check_size(shape, dtype, data)
        checked: Any = (version, shape, dtype.value, bool(fortran), data)
        super().__setstate__(checked)


def _check_objects(shape: Any, values: Any) -> None:
    """Refuse objects other than those of the pickle: numpy would treat raw memory as objects and crash."""
    if not (
        type(values) is list
        and isinstance(shape, tuple)
        and all(type(size) is int and size >= 0 for size in shape)
        and math.prod(shape) == len(values)
    ):
        raise pickle.UnpicklingError("not a plain array")


def _check_size(shape: Any, dtype: Any, data: Any) -> None:
    if not (
        isinstance(dtype, _Dtype)
        and not dtype.value.hasobject
        and isinstance(data, bytes | bytearray)
        and isinstance(shape, tuple)
        and all(type(size) is int and size >= 0 for size in shape)
        and math.prod(shape) * dtype.value.itemsize == len(data)
    ):
        raise pickle.UnpicklingError("not a plain array")


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    if kind is not _NDARRAY or shape != (0,):
        raise pickle.UnpicklingError("not a plain array")
    return np.ndarray.__new__(_Array, (0,))


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> Any:
    _check_size(shape, dtype, data)
    return np.frombuffer(data, dtype.value).reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: Any, raw: Any = "") -> Any:
    data = raw.encode("latin1") if isinstance(raw, str) else raw
    _check_size((), dtype, data)
    return np.frombuffer(data, dtype.value)[0]


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("not bytes")
    return text.encode("latin1")


def _collect(kind: Callable[..., Any]) -> Callable[..., Any]:
    def collect(items: Any = ()) -> Any:
        if not isinstance(items, list | tuple):
            raise pickle.UnpicklingError("not a set")
        _check_keys(items)
        return kind(items)

    return collect


_NDARRAY = _Function(_reconstruct)
"""Replaces the class ndarray, which pickles name but never call."""

_OBJECT_DTYPE = _Function(_ObjectDtype)

_ADMITTED: dict[tuple[str, str], _Function] = {
    ("_codecs", "encode"): _Function(_encode),
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Function(_Dtype),
    **{
        (f"numpy.{core}.{module}", name): _Function(function)
        for core in ("core", "_core")
        for module, name, function in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
    **{
        (builtins, kind.__name__): _Function(_collect(kind))
        for builtins in ("__builtin__", "builtins")
        for kind in (set, frozenset, bytes)
    },
}
