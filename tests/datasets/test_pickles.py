"""Pickles: plain data comes through, nothing runs."""

import gc
import io
import os
import pickle
import tracemalloc
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from musiczoo.datasets import pickles
from musiczoo.datasets.pickles import read_npy, read_pickle
from musiczoo.errors import DatasetError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
# What Python 2.7 and numpy 1.8 wrote of {'TRA': np.array([0., 1.]), 'n': np.float32(2)}, protocol 0.
PYTHON_2 = b"""(dp1
S'TRA'
p2
cnumpy.core.multiarray
_reconstruct
p3
(cnumpy
ndarray
p4
(I0
tp5
S'b'
p6
tp7
Rp8
(I1
(I2
tp9
cnumpy
dtype
p10
(S'f8'
p11
I0
I1
tp12
Rp13
(I3
S'<'
p14
NNNI-1
I-1
I0
tp15
bI00
S'\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xf0?'
p16
tp17
bsS'n'
p18
cnumpy.core.multiarray
scalar
p19
(g10
(S'f4'
p20
I0
I1
tp21
Rp22
(I3
S'<'
p23
NNNI-1
I-1
I0
tp24
bS'\\x00\\x00\\x00@'
p25
tp26
Rp27
s."""

leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.binary(max_size=8)
)
plain = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        | st.sets(st.integers(), max_size=4)
        | st.frozensets(st.text(max_size=4), max_size=4)
    ),
    max_leaves=12,
)
numbers = arrays.arrays(
    st.sampled_from([np.dtype(code) for code in ("f4", "f8", "i1", "<i4", "i8", "u2", "?", "U3", "S2")]),
    arrays.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=4),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to write pickles to."""
    return tmp_path_factory.mktemp("pickles") / "data.pkl"


def read(path: Path, content: bytes) -> Any:
    path.write_bytes(content)
    return read_pickle(path)


@given(value=plain, protocol=st.sampled_from(PROTOCOLS))
def test_plain_data_comes_through(path: Path, value: Any, protocol: int) -> None:
    assert read(path, pickle.dumps(value, protocol)) == value


@given(array=numbers, protocol=st.sampled_from(PROTOCOLS), fortran=st.booleans())
def test_arrays_come_through(path: Path, array: np.ndarray, protocol: int, fortran: bool) -> None:
    given_array = np.asfortranarray(array) if fortran else array
    (got,) = read(path, pickle.dumps([given_array], protocol))
    assert got.dtype == array.dtype
    np.testing.assert_array_equal(got, given_array)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("scalar", [np.float32(1.5), np.float64(-2), np.int64(7), np.bool_(True), np.str_("ab")])
def test_scalars_of_numpy_come_through(path: Path, scalar: Any, protocol: int) -> None:
    got = read(path, pickle.dumps(scalar, protocol))
    assert (got, type(got)) == (scalar, type(scalar))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_other_byte_orders_are_read(path: Path, protocol: int) -> None:
    assert read(path, pickle.dumps(np.arange(5, dtype=">i4"), protocol)).tolist() == [0, 1, 2, 3, 4]


def test_python_2_is_read(path: Path) -> None:
    got = read(path, PYTHON_2)
    assert got["TRA"].tolist() == [0.0, 1.0]
    assert (got["n"], got["n"].dtype) == (2.0, np.float32)
    assert read(path, b"S'\\xe9t\\xe9'\n.") == "été"


def python_2(value: Any, puts: bool = True, letter_again: bool = False) -> bytes:
    """A list of strings, or a dict of strings or [n] and [n, 1] arrays, as Python 2 writes it in protocol 0.

    Args:
        value: What to write.
        puts: Whether each object is put into the memo; Python 2's cPickle puts only what is referred to elsewhere.
        letter_again: Whether the letter b is got from the memo, where Python 2 shares it, or written again.
    """
    count = iter(range(2, 10**9))

    def put(always: bool = False) -> str:
        number = next(count)
        return f"p{number}\n" if puts or always else ""

    def quoted(text: str | bytes) -> str:
        shown = repr(text)
        return f"S{shown[1:] if isinstance(text, bytes) else shown}\n"

    if isinstance(value, list):
        return ("(lp1\n" + "".join(quoted(text) + put() + "a" for text in value) + ".").encode("latin1")
    out, first = "(dp1\n", True
    for key, item in value.items():
        out += quoted(key) + put()
        if isinstance(item, str):
            out += quoted(item) + put() + "s"
            continue
        shape = "".join(f"I{size}\n" for size in item.shape)
        if first:
            out += "cnumpy.core.multiarray\n_reconstruct\np900001\n(cnumpy\nndarray\np900002\n(I0\nt" + put()
            out += "S'b'\np900003\nt" + put() + "R" + put() + "(I1\n(" + shape + "t" + put()
            out += f"cnumpy\ndtype\n{put()}(S'{item.dtype.str[1:]}'\n{put()}I0\nI1\nt{put()}Rp900004\n"
            out += f"(I3\nS'<'\n{put()}NNNI-1\nI-1\nI0\nt{put()}b"
        else:
            out += "g900001\n(g900002\n(I0\nt" + put() + ("g900003\n" if letter_again else "S'b'\n" + put())
            out += "t" + put() + "R" + put() + "(I1\n(" + shape + "t" + put() + "g900004\n"
        out += "I00\n" + quoted(item.tobytes()) + put() + "t" + put() + "bs"
        first = False
    return (out + ".").encode("latin1")


def same(found: Any, expected: Any) -> None:
    """Equal, arrays included."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, np.ndarray):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        assert found.tobytes() == expected.tobytes()
    else:
        assert found == expected


names = st.text(st.characters(max_codepoint=255), max_size=12)
shapes = st.sampled_from([(3,), (3, 1), (0,), (2, 2)])
tables = (
    st.lists(names)
    | st.dictionaries(names, names)
    | st.one_of(st.dictionaries(names, arrays.arrays(np.dtype(code), shapes)) for code in ("f8", "f4", "i4"))
)


@given(value=tables, puts=st.booleans(), letter_again=st.booleans(), windows=st.booleans())
def test_tables_of_python_2_are_read(path: Path, value: Any, puts: bool, letter_again: bool, windows: bool) -> None:
    content = python_2(value, puts, letter_again)
    same(read(path, content.replace(b"\n", b"\r\n") if windows else content), value)


@given(value=tables, puts=st.booleans(), data=st.data())
def test_tables_are_read_in_one_step_as_operation_by_operation(
    path: Path, value: Any, puts: bool, data: st.DataObject
) -> None:
    """Altered and cut ones too: both ways refuse it, or both give the same."""
    content = bytearray(python_2(value, puts))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from(
                [b"", b"g2\n", b"p2\n", b"p900001\n", b"'", b"a", b"s", b"0", b"(", b"t", b"I01\n", b"S'x'\n"]
            )
        )
    file = io.BytesIO(bytes(content))
    try:
        expected = pickles._Unpickler(file, encoding="latin1").load()
    except Exception:  # noqa: BLE001  (pickle raises many kinds of errors for damaged data)
        expected = None
        with suppress(DatasetError):
            assert read(path, bytes(content)) is None, "refused operation by operation, read in one step"
        return
    same(read(path, bytes(content)), expected)


def test_what_is_got_from_the_memo_is_kept(path: Path) -> None:
    content = b"(lp1\nS'a'\np2\naS'b'\np3\nag2\nag3\nag3\naS'c'\np2\nag2\na."
    assert read(path, content) == ["a", "b", "a", "b", "b", "c", "c"]
    many = "".join(f"S'{i}'\np{i}\nag{i}\na" for i in range(2, 200))  # more than fit into a pattern
    assert read(path, f"(lp1\n{many}.".encode()) == [str(i // 2) for i in range(4, 400)]


@pytest.mark.parametrize("text", ["a\r\n", "\r\n", "x" * 33 + "\r\n", "a\nb\r\n"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_line_ends_within_strings_are_kept(path: Path, text: str, protocol: int) -> None:
    assert read(path, pickle.dumps([text], protocol)) == [text]
    assert read(path, pickle.dumps({text: text.encode()}, protocol)) == {text: text.encode()}


@given(value=plain)
def test_protocol_0_of_python_3_may_have_windows_line_ends(path: Path, value: Any) -> None:
    assert read(path, pickle.dumps(value, 0).replace(b"\n", b"\r\n")) == value


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("content", [pickle.dumps([1], 2), b"(lp1\n.", b"not a pickle"])
def test_the_garbage_collector_is_left_as_it_was(path: Path, content: bytes, enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with suppress(DatasetError):
            read(path, content)
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()


class Call:
    """Asks the unpickler to call something when it is read."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


def trap(path: Path) -> str:
    return f"open({str(path.with_name('ran'))!r}, 'w')"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("wrap", [lambda call: call, lambda call: [{"a": (call,)}], lambda call: {1: [call, 2]}])
def test_calls_are_refused_by_name_and_not_made(path: Path, protocol: int, wrap: Any) -> None:
    for function, argument, name in (
        (os.system, f"touch {path.with_name('ran')}", "'system'"),
        (eval, trap(path), "'eval'"),
        (exec, trap(path), "'exec'"),
        (__import__, "antigravity", "'__import__'"),
        (getattr, "x", "'getattr'"),
        (OrderedDict, [], "'OrderedDict'"),
    ):
        with pytest.raises(DatasetError, match=f"names .*{name}.*not run") as refused:
            read(path, pickle.dumps(wrap(Call(function, argument)), protocol))
        assert path.name in str(refused.value)
    assert not path.with_name("ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'touch {ran}'\ntR.",
        b"(S'touch {ran}'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch {ran}'\no.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0btouch {ran}\x85R.",
        b"\x80\x02cos\nsystem\nU\x0btouch {ran}\x85R.",
        b"cnumpy.core.multiarray\nfromfile\n.",
        b"cnumpy\nload\n.",
        b"cnumpy\nndarray.__class__\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0cdtype.fields\x93.",
        b"c__builtin__\neval\n.",
        b"ccopy_reg\n_reconstructor\n.",
        b"cmusiczoo.datasets.pickles\n_Dtype\n.",
        # A permitted name, called in a way that numpy's own pickles never do:
        b"cnumpy\nndarray\n((I1000000000000\ntS'f8'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1000000000000\ntS'b'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(c__builtin__\nset\n(I0\ntS'b'\ntR.",
        b"cnumpy\ndtype\n(S'O'\ntR.",
        b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.",
        b"cnumpy\ndtype\n(S'V16'\ntR.",
        b"cnumpy\ndtype\n((lp0\ntR.",
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\ntRS'abc'\ntR.",
        b"cnumpy.core.multiarray\nscalar\n(S'O'\nS'abc'\ntR.",
        b"c_codecs\nencode\n(Vabc\nVzlib_codec\ntR.",
        b"c_codecs\nencode\n(I5\nVlatin1\ntR.",
        b"c__builtin__\nbytes\n(I1000000000000\ntR.",
        # State for what has none, to change a permitted function for the next reader:
        b"cnumpy\ndtype\n(dS'_call'\nI1\nsb.",
        b"cnumpy\ndtype\n(N(dS'_call'\nI1\nstb.",
        b"(lp0\n(dS'a'\nI1\nsb.",
        # A state that does not fit the array:
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I9\ntcnumpy\ndtype\n(S'f8'\ntRI00\nS'abc'\ntb.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I-1\ntcnumpy\ndtype\n(S'f8'\ntRI00\nS''\ntb.",
        # Keys whose hash overflows the stack, and so ends the process:
        b"\x80\x02}N" + b"\x85" * 200_000 + b"Ns.", b"\x80\x02}(N" + b"\x85" * 200_000 + b"Nu.",
        b"\x80\x04\x8f(N" + b"\x85" * 200_000 + b"\x90.", b"\x80\x04(N" + b"\x85" * 200_000 + b"\x91.",
        b"(N" + b"\x85" * 200_000 + b"Nd.",
        # Cut, empty, or declaring more than there is:
        b"", b".", b"(", b"\x80", b"\x80\x63.", b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.", b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"I" + b"9" * 100_000 + b"\n.", b"F1e\n.", b"g7\n.", b"Pother\n.", b"\x80\x02\x82\x01.", b"not a pickle",
        b"S'unclosed\n.", b"\x80\x05\x97.", b"K", b"J\x01\x02",
    ],
)  # fmt: skip
def test_hostile_and_damaged_pickles_are_refused(path: Path, content: bytes) -> None:
    ran = path.with_name("ran")
    with pytest.raises(DatasetError, match=path.name):
        read(path, content.replace(b"{ran}", str(ran).encode()))
    assert not ran.exists()
    assert read(path, pickle.dumps([np.zeros(2)], 2))[0].tolist() == [0, 0]


def test_no_more_memory_is_taken_than_the_file_is_long(path: Path) -> None:
    tracemalloc.start()
    try:
        for put in (b"p4294967295\n", b"r\xff\xff\xff\xff"):
            assert read(path, b"K\x05" + put + b".") == 5
        for declared in (b"\x96", b"\x8e", b"\x8d"):
            with pytest.raises(DatasetError):
                read(path, b"\x80\x05" + declared + (1 << 33).to_bytes(8, "little") + b"abc.")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_deep_nesting_and_shared_parts_are_read(path: Path) -> None:
    nested = read(path, b"(l" * 50_000 + b"a" * 49_999 + b".")
    depth = 0
    while nested:
        (nested,) = nested
        depth += 1
    assert depth == 49_999
    # Each list holds the one before twice: 2 ** 200 leaves, if they were copied.
    doubled: list[Any] = []
    for _ in range(200):
        doubled = [doubled, doubled]
    got = read(path, pickle.dumps(doubled))
    for _ in range(200):
        first, got = got
        assert first is got
    assert got == []


@given(st.data())
def test_cut_and_altered_pickles_give_data_or_an_error_of_ours(path: Path, data: st.DataObject) -> None:
    value = {"TRA": [np.zeros(3), np.float32(1)], "b": ["text", b"bytes", 1.5, {1, 2}]}
    content = bytearray(pickle.dumps(value, data.draw(st.sampled_from(PROTOCOLS))))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(DatasetError):
        read(path, bytes(content))


@given(st.binary(max_size=60))
def test_noise_gives_data_or_an_error_of_ours(path: Path, content: bytes) -> None:
    with suppress(DatasetError):
        read(path, content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.pkl"):
        read_pickle(tmp_path / "none.pkl")


@pytest.mark.parametrize(
    "value",
    [
        np.array(["a", "\u00e4\tb"], object), np.array([[1, None], ["x", (2.5, True)]], object),
        np.asfortranarray(np.array([["a", "b"], ["c", "d"]], object)), np.array(["a", "b"]), np.eye(2, 3),
    ],
)  # fmt: skip
def test_npy_files_of_plain_objects_are_read(tmp_path: Path, value: Any) -> None:
    np.save(tmp_path / "a.npy", value)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), value)


def test_texts_of_what_are_no_characters_are_refused(tmp_path: Path) -> None:
    """The largest code point is 0x10FFFF."""
    for code, fits in ((0x10FFFF, True), (0x110000, False)):
        np.save(tmp_path / "a.npy", np.array([65, code], np.uint32).view("<U2"))
        if fits:
            assert read_npy(tmp_path / "a.npy").tolist() == ["A" + chr(code)]
        else:
            with pytest.raises(DatasetError, match="expected an array"):
                read_npy(tmp_path / "a.npy")


def test_npy_files_run_nothing_and_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([Path("x")], object))
    with pytest.raises(DatasetError, match="which was not run"):
        read_npy(path)
    np.save(path, np.array(["a", "b"], object))
    whole = path.read_bytes()
    for end in range(0, len(whole), 5):
        path.write_bytes(whole[:end])
        with pytest.raises(DatasetError, match=r"a\.npy"):
            read_npy(path)
    header = whole[: whole.index(b"\n") + 1]
    for other in (np.array(["a"]), np.zeros((2, 1)), ["a", "b"]):  # not what the header says
        path.write_bytes(header + pickle.dumps(other, 4))
        with pytest.raises(DatasetError, match="expected an array of shape"):
            read_npy(path)
    # An array of objects whose bytes would be taken for addresses:
    state = (1, (1,), np.dtype(object), False, b"\x08" * 8)
    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    path.write_bytes(header + reconstruct + pickle.dumps(state, 0)[:-1] + b"b.")
    with pytest.raises(DatasetError, match="damaged"):
        read_npy(path)
    with pytest.raises(DatasetError, match="No such file"):
        read_npy(tmp_path / "none.npy")
