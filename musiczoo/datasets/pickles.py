"""Pickles of plain data, read without running code.

A pickle names functions and classes, and reading it calls them: whoever wrote it decides what runs. Here the
names that it may use are few, and stand for functions of this file that check what they are given. Lists,
tuples, dicts, sets, strings, bytes, numbers and numpy arrays of these come out; anything else is refused by name.

Python 2's pickles are read too: its strings become text, one character a byte (latin1).

Nor can a small file take gigabytes: this is pickle's implementation in Python, since the one in C reserves as
much as a file declares.
"""

import io
import math
import pickle
import re
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..arrays import UNREADABLE, map_npy
from ..errors import DatasetError

_DTYPE = re.compile(r"[<>|=]?([biufSU][0-9]{1,4}|\?)")
_ORDERS = ("<", ">", "|", "=")


def read_pickle(path: Path) -> Any:
    """What a pickle of plain data holds.

    Raises:
        DatasetError: If there is no such file, it is damaged, or it asks for anything else than plain data.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"Expected a pickle at {path}, received {error}.") from error
    return _unpickled(content, path)


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file. One of objects is a pickle, which is read as `read_pickle` reads it.

    Raises:
        DatasetError: If there is no such file, it is damaged, or it asks for anything else than plain data.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
            content = file.read() if dtype.hasobject else b""
        if not dtype.hasobject:
            return map_npy(path)
    except UNREADABLE as error:
        raise DatasetError(f"{path}: expected an array, got {str(error)[:200]}. Fetch the file again.") from error
    array = _unpickled(content, path, _ArrayUnpickler)
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise DatasetError(f"{path}: expected an array of shape {shape}, got another thing. Fetch the file again.")
    return array


def _unpickled(content: bytes, path: Path, reader: "type[_Unpickler] | None" = None) -> Any:
    try:
        return (reader or _Unpickler)(io.BytesIO(content), encoding="latin1").load()
    except DatasetError as error:
        raise DatasetError(f"{path}: {error} Fetch the file again from its publication.") from error
    except (
        pickle.UnpicklingError, EOFError, struct.error, ValueError, TypeError, LookupError, AttributeError,
        ArithmeticError, MemoryError,
    ) as error:  # fmt: skip
        raise DatasetError(
            f"{path}: expected a pickle, received a damaged one ({type(error).__name__}). Fetch the file again."
        ) from error


def _with_plain_keys(load: Callable[[Any], None], keys: slice) -> Callable[[Any], None]:
    """An operation that makes keys of what is on the stack, after a look at them."""

    def checked(reader: Any) -> None:
        _check_keys(reader.stack[keys])
        load(reader)

    return checked


def _check_keys(keys: Iterable[Any]) -> None:
    """Refuse tuples in tuples as keys: hashing them may overflow the stack, which ends the process, or never end."""
    for key in keys:
        if isinstance(key, tuple) and any(isinstance(part, tuple) for part in key):
            raise pickle.UnpicklingError("a tuple in a tuple as a key")


class _Unpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def load_bytearray8(self) -> None:
        """Read no more than there is, where pickle's own reserves what the file declares."""
        reader: Any = self
        (size,) = struct.unpack("<Q", reader.read(8))
        reader.append(bytearray(reader.read(size)))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise DatasetError(
                f"expected plain containers, strings, numbers and numpy arrays, received a pickle that asks for "
                f"{module!r}.{name!r}, which was not run."
            )
        return _ADMITTED[module, name]


class _ArrayUnpickler(_Unpickler):
    """Reads an array of objects, which numpy writes into a .npy file as a pickle."""

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
    """A function that a pickle may call, but not change."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function has no state")


class _Dtype:
    """Stands for a numpy dtype while a pickle is read: numbers and strings, nothing with objects or fields."""

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
    """Also stands for the dtype of objects, whose array holds what a list of the pickle does."""

    def __init__(self, code: Any, *flags: Any) -> None:
        if code in ("O4", "O8"):
            self.value = np.dtype(object)
        else:
            super().__init__(code, *flags)


class _Array(np.ndarray[Any, Any]):
    """An array that is empty until its state arrives, which is checked before numpy sees it."""

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
    """Refuse objects other than those that the pickle itself made: memory taken for objects would end the process."""
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
"""Stands for the class ndarray, which pickles name and never call."""

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
