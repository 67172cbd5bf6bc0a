"""Node ids: every kind comes back with its type, hostile ones are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphembed._storage import decode_ids, encode_ids, read_arrays, write_arrays
from graphembed.exceptions import FileFormatError


def objects(*values) -> np.ndarray:
    return np.fromiter(values, object, len(values))


IDS = {
    "int64": np.array([5, -3, 2**62]),
    "int32": np.array([5, -3], np.int32),
    "uint64": np.array([0, 2**63 - 1], np.uint64),
    "str": objects("a", "", "é", "日本", "a\0", "\n", "x" * 10_000),
    "unicode array": np.array(["a", "bcd"]),
    "surrogates": objects("\ud800", "\ud83d\ude00", "😀"),
    "look-alikes": objects(1, "1", 1.5, "1.5", True, "True", None, "None", b"1", (1,), "(1,)"),
    "floats": np.array([0.1, -0.0, 1e300, np.inf]),
    "bools": np.array([True, False]),
    "large ints": objects(2**63, -(2**63) - 1, 10**5000),
    "large uint64": np.array([2**64 - 1, 1], np.uint64),
    "tuples": objects((), (1, "a"), ((1, (2.0, None)), b"\0\xff"), ("int", "0x1")),
    "lists in disguise": objects("[1]", '["tuple",[]]', ("tuple", ("bytes", "00"))),
    "numpy scalars": objects(np.int8(3), np.str_("3"), np.float32(0.5), np.bool_(True)),
    "empty": objects(),
}


def through_a_file(path: Path, ids) -> np.ndarray:
    meta, arrays = encode_ids(ids)
    write_arrays(path, kind="ids", meta=meta, arrays=arrays)
    return decode_ids(*read_arrays(path, kind="ids", mmap=True))


def plain(ids) -> list[tuple[type, str]]:
    values = [value.item() if isinstance(value, np.generic) else value for value in ids]
    return [(type(value), value if type(value) is int else repr(value)) for value in values]


@pytest.mark.parametrize("name", IDS)
def test_ids_come_back_with_their_types(tmp_path, name):
    back = through_a_file(tmp_path / "file", IDS[name])
    assert plain(back) == plain(IDS[name])
    whole = IDS[name].dtype.kind in "iu" and name != "large uint64"
    assert back.dtype == (np.int64 if whole else object)
    assert back.ndim == 1
    if not whole:
        assert not any(isinstance(value, np.generic) for value in back)


def test_nan_id_comes_back(tmp_path):
    (back,) = through_a_file(tmp_path / "file", [float("nan")])
    assert type(back) is float
    assert np.isnan(back)


ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=[]), max_size=4)
    | st.binary(max_size=4)
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)
    )
)
def test_any_ids_come_back(ids):
    assert plain(decode_ids(*encode_ids(ids))) == plain(ids)


class Label(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", 1j], r"node id 1j at position 1 has the type complex"),
        ([0, 1, {2}], r"node id \{2\} at position 2 has the type set"),
        ([("a", [1])], r"node id \[1\] at position 0 has the type list"),
        ([Label("x")], r"node id 'x' at position 0 has the type Label"),
        ([np.datetime64("2020-01-01")], r"at position 0 has the type date"),
        ([frozenset()], "cannot be saved: use int, str, float"),
        ([np.longdouble(1)], "longdouble"),
        ([object()], "has the type object"),
    ],
)
def test_ids_of_other_types_are_refused(ids, message):
    with pytest.raises(TypeError, match=message):
        encode_ids(ids)


def test_ids_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"node_ids must be 1-D, got shape \(2, 2\)"):
        encode_ids(np.zeros((2, 2), np.int64))
    deep: tuple = ()
    for _ in range(40):
        deep = (deep,)
    with pytest.raises(ValueError, match="position 1 nests tuples deeper than 32"):
        encode_ids(["a", deep])


def tagged(value) -> np.ndarray:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return np.frombuffer(text, np.uint8)


def nested(depth: int):
    value: list = ["tuple", []]
    for _ in range(depth):
        value = ["tuple", [value]]
    return value


ABC = np.frombuffer(b"abc\xff", np.uint8)
HOSTILE_IDS = {
    "no entry": (None, {"node_ids": np.zeros(1, np.int64)}, "holds no node ids"),
    "no array": (("int64", 1), {}, "holds no node ids"),
    "count is no int": (("int64", 1.0), {"node_ids": np.zeros(1, np.int64)}, "not a number of"),
    "count negative": (("int64", -1), {"node_ids": np.zeros(1, np.int64)}, "-1 is not a number"),
    "count wrong": (("int64", 2), {"node_ids": np.zeros(1, np.int64)}, "2 node ids expected"),
    "float ids": (
        ("int64", 1),
        {"node_ids": np.zeros(1)},
        "must be 1-D of int64, is 1-D of f",
    ),
    "2-D ids": (("int64", 1), {"node_ids": np.zeros((1, 1), np.int64)}, "is 2-D of int64"),
    "unknown encoding": (
        ("pickle", 1),
        {"node_ids": ABC},
        "encoding of node ids: 'pickle'",
    ),
    "encoding is a list": (([], 1), {"node_ids": ABC}, "unknown encoding"),
    "no offsets": (("utf8", 1), {"node_ids": ABC}, "no 'node_ids_offsets'"),
    "offsets too few": (("utf8", 3), (0, 1, 2), "3 node ids need 4 offsets, not 3"),
    "offsets fall": (("utf8", 3), (0, 3, 1, 4), "must rise from 0"),
    "offsets negative": (("utf8", 2), (0, -1, 4), "must rise from 0"),
    "offsets start late": (("utf8", 1), (1, 4), "must rise from 0"),
    "offsets end early": (("utf8", 1), (0, 3), "must rise from 0"),
    "offsets end late": (("utf8", 1), (0, 2**40), "must rise from 0"),
    "offsets overflow": (("utf8", 2), (0, 2**63 - 1, 4), "must rise from 0"),
    "float offsets": (
        ("utf8", 1),
        {"node_ids": ABC, "node_ids_offsets": np.array([0.0, 4.0])},
        "'node_ids_offsets' must be 1-D of int64",
    ),
    "not UTF-8": (("utf8", 2), (0, 2, 4), "not valid UTF-8"),
    "not JSON": (("json", 1), {"node_ids": tagged(b"{]")}, "not JSON"),
    "JSON not UTF-8": (("json", 1), {"node_ids": ABC}, "not JSON"),
    "JSON deep": (("json", 1), {"node_ids": tagged(b"[" * 200_000)}, "nested too deeply"),
    "JSON number too long": (("json", 1), {"node_ids": tagged(b"9" * 9000)}, "not JSON"),
    "not a list": (("json", 1), {"node_ids": tagged({"0": 1})}, "not a list of 1"),
    "list too short": (("json", 2), {"node_ids": tagged([1])}, "not a list of 2"),
    "an id is a dict": (("json", 1), {"node_ids": tagged([{}])}, "bad node id {}"),
    "an id is a list": (("json", 1), {"node_ids": tagged([[1]])}, "bad node id \\[1\\]"),
    "unknown tag": (("json", 1), {"node_ids": tagged([["eval", "1"]])}, "bad node id"),
    "bad int": (("json", 1), {"node_ids": tagged([["int", "zz"]])}, "bad node id 'zz'"),
    "bad float": (("json", 1), {"node_ids": tagged([["float", "0x1p9999"]])}, "bad node id"),
    "bad bytes": (("json", 1), {"node_ids": tagged([["bytes", "0"]])}, "bad node id '0'"),
    "tuple of text": (("json", 1), {"node_ids": tagged([["tuple", "ab"]])}, "bad node id"),
    "tuples too deep": (("json", 1), {"node_ids": tagged([nested(40)])}, "deeper than 32"),
}


@pytest.mark.parametrize("name", HOSTILE_IDS)
def test_hostile_ids(name):
    entry, arrays, message = HOSTILE_IDS[name]
    if isinstance(arrays, tuple):
        arrays = {"node_ids": ABC, "node_ids_offsets": np.array(arrays, np.int64)}
    meta = {} if entry is None else {"node_ids": {"encoding": entry[0], "count": entry[1]}}
    with pytest.raises(FileFormatError, match=message):
        decode_ids(meta, arrays)
