"""The file format: round trips, every kind of damage, hostile files."""

import copy
import hashlib
import json
import mmap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphembed._storage import container as _storage
from graphembed._storage import read_arrays, write_arrays
from graphembed._storage.ids import dump_json
from graphembed.exceptions import FileFormatError

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]


def small_file(path: Path) -> bytes:
    write_arrays(
        path,
        kind="graph",
        meta={"directed": False, "name": "tiny"},
        arrays={"indptr": np.array([0, 1, 2]), "flags": np.array([True, False])},
    )
    return path.read_bytes()


def is_mapped(array: np.ndarray) -> bool:
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


# ---- round trips -----------------------------------------------------------------------------


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("code", DTYPES)
def test_every_dtype_and_layout_comes_back(tmp_path, code, order, mapped):
    base = (
        np.random.default_rng(0).integers(0, 2, (6, 8)).astype(np.dtype(code).newbyteorder(order))
    )
    arrays = {
        "c": base,
        "fortran": np.asfortranarray(base),
        "stepped": base[::2, ::-3],
        "transposed": base.T,
        "broadcast": np.broadcast_to(base[0], (3, 8)),
        "scalar": base[0, 0].reshape(()),
        "empty": base[:0],
        "empty_tail": base[:, :0],
    }
    path = tmp_path / "file"
    write_arrays(path, kind="test", meta={"a": [1, 2.5, None, "é", True]}, arrays=arrays)
    meta, loaded = read_arrays(path, kind="test", mmap=mapped)
    assert meta == {"a": [1, 2.5, None, "é", True]}
    assert list(loaded) == list(arrays)
    for name, array in loaded.items():
        assert array.dtype == np.dtype(code)
        assert array.dtype.isnative
        assert array.shape == arrays[name].shape
        np.testing.assert_array_equal(array, arrays[name])
        assert array.flags.c_contiguous
        assert array.flags.writeable is not mapped
        assert type(array) is np.ndarray


def test_arrays_larger_than_a_piece(tmp_path):
    rng = np.random.default_rng(1)
    arrays = {
        "long": rng.integers(0, 2**40, 1_500_000),  # 12 MB, three pieces
        "wide": rng.normal(size=(1500, 1000)).astype(np.float32).T,
        "bytes": rng.integers(0, 256, 4_194_305).astype(np.uint8),
    }
    path = tmp_path / "file"
    write_arrays(path, kind="test", meta={}, arrays=arrays)
    for mapped in (False, True):
        for verify in (False, True):
            _, loaded = read_arrays(path, kind="test", mmap=mapped, verify=verify)
            for name, array in arrays.items():
                np.testing.assert_array_equal(loaded[name], array)
                assert is_mapped(loaded[name]) is mapped


def test_mapped_arrays_are_aligned_and_survive_a_replaced_file(tmp_path):
    path = tmp_path / "file"
    write_arrays(path, kind="t", meta={}, arrays={"a": np.ones(3, np.int8), "b": np.arange(9.0)})
    _, old = read_arrays(path, kind="t", mmap=True)
    assert all(array.ctypes.data % 64 == 0 for array in old.values())
    write_arrays(path, kind="t", meta={}, arrays={"b": np.zeros(9)})
    np.testing.assert_array_equal(old["b"], np.arange(9.0))


def test_no_arrays_at_all(tmp_path):
    write_arrays(tmp_path / "file", kind="t", meta={"x": 1}, arrays={})
    for mapped in (False, True):
        assert read_arrays(tmp_path / "file", kind="t", mmap=mapped) == ({"x": 1}, {})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=[]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    meta=st.dictionaries(st.text(max_size=4), JSON, max_size=4),
    arrays=st.dictionaries(
        st.text(max_size=4),
        hnp.arrays(
            st.sampled_from([np.dtype(code) for code in DTYPES]),
            hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
        ),
        max_size=4,
    ),
)
def test_any_meta_and_arrays_come_back(tmp_path_factory, meta, arrays):
    path = tmp_path_factory.mktemp("storage") / "file"
    write_arrays(path, kind="any", meta=meta, arrays=arrays)
    back, loaded = read_arrays(path, kind="any")
    assert repr(back) == repr(meta)  # types, order and the sign of zero, too
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert loaded[name].tobytes() == array.tobytes()
        assert (loaded[name].dtype, loaded[name].shape) == (array.dtype, array.shape)


def test_equal_content_gives_equal_bytes(tmp_path):
    assert small_file(tmp_path / "a") == small_file(tmp_path / "b")


def test_neither_direction_copies_the_arrays(tmp_path):
    table = np.random.default_rng(0).random((2**21, 4), np.float32)  # 32 MB
    path = tmp_path / "file"
    for array in (table, table.T, table[::2], table.astype(">f4")):
        tracemalloc.start()
        write_arrays(path, kind="t", meta={}, arrays={"table": array})
        peak_write = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        _, loaded = read_arrays(path, kind="t")
        peak_read = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_array_equal(loaded["table"], array)
        assert peak_write < 10e6
        assert peak_read < array.nbytes + 10e6


# ---- damage ----------------------------------------------------------------------------------


def assert_refused(path, **options):
    for mapped in (False, True):
        with pytest.raises(FileFormatError, match="file"):
            read_arrays(path, kind="graph", mmap=mapped, **options)


def test_every_truncation_is_detected(tmp_path):
    path = tmp_path / "file"
    whole = small_file(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert_refused(path)
        assert_refused(path, verify=False)


def test_every_single_bit_flip_is_detected(tmp_path):
    path = tmp_path / "file"
    whole = small_file(path)
    assert len(whole) * 8 > 3000
    for bit in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        assert_refused(path)


def test_random_damage_is_detected(tmp_path):
    path = tmp_path / "file"
    whole = small_file(path)
    rng = np.random.default_rng(0)
    for trial in range(2000):
        damaged = bytearray(whole)
        at = int(rng.integers(len(whole)))
        if trial % 3 == 0:
            damaged[at : at + 1 + trial % 7] = rng.bytes(1 + trial % 7)
        elif trial % 3 == 1:
            damaged[at:at] = rng.bytes(1 + trial % 65)
        else:
            del damaged[at : at + 1 + trial % 65]
        if damaged != whole:
            path.write_bytes(damaged)
            assert_refused(path)


def test_bit_flips_in_a_large_file_are_detected(tmp_path):
    path = tmp_path / "file"
    write_arrays(path, kind="graph", meta={}, arrays={"x": np.arange(2.0**15)})
    rng = np.random.default_rng(2)
    damaged = bytearray(path.read_bytes())
    for bit in rng.integers(len(damaged) * 8, size=1000):
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError):
            read_arrays(path, kind="graph")
        damaged[bit // 8] ^= 1 << bit % 8


def test_without_verify_the_header_is_still_checked(tmp_path):
    path = tmp_path / "file"
    whole = small_file(path)
    header = int.from_bytes(whole[8:16], "little")
    damaged = bytearray(whole)
    damaged[-2] ^= 1  # a value of the last array
    path.write_bytes(damaged)
    assert_refused(path)
    read_arrays(path, kind="graph", verify=False)
    damaged = whole.replace(b"tiny", b"tinz")
    assert len(damaged) == len(whole)
    assert whole.index(b"tiny") < 16 + header
    path.write_bytes(damaged)
    assert_refused(path, verify=False)


# ---- hostile files: the checksums are right, the content is not --------------------------------


def forge(path: Path, content: dict, data: bytes = b"", **extra) -> None:
    """Write a file whose checksums hold, whatever `content` says."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    header = dump_json({"content": "C", "content_sha256": "S", "data_sha256": "D", **extra})
    digest = hashlib.sha256(text).hexdigest().encode()
    length = len(header) + len(text) - 3 + 2 * 63
    gap = bytes(-(16 + length) % 64)
    header = header.replace(b'"C"', text).replace(b'"S"', b'"%s"' % digest)
    header = header.replace(b'"D"', b'"%s"' % hashlib.sha256(gap + data).hexdigest().encode())
    path.write_bytes(_storage.MAGIC + len(header).to_bytes(8, "little") + header + gap + data)


def content_of(size=16, **changes) -> dict:
    array = {"dtype": "int64", "shape": [2], "offset": 0}
    content = {
        "format": 1,
        "kind": "graph",
        "graphembed": "0",
        "meta": {},
        "arrays": {"x": {**array, **changes.pop("array", {})}},
        "data_size": size,
    }
    return {**content, **changes}


DATA = bytes(16)
TWO = {"x": {"dtype": "int64", "shape": [2], "offset": 0}}
HOSTILE_CONTENT = {
    "newer format": (
        content_of(format=2, graphembed="9.1"),
        DATA,
        r"version 2.*9\.1.*upgrade",
    ),
    "format zero": (content_of(format=0), DATA, "unknown format version 0"),
    "format is no int": (content_of(format=True), DATA, "unknown format version True"),
    "other kind": (content_of(kind="model"), DATA, "expected a graph, this file holds a model"),
    "no kind": (content_of(kind=None), DATA, "expected a graph, this file holds a None"),
    "meta is a list": (content_of(meta=[]), DATA, "no 'meta'"),
    "no arrays": (content_of(arrays=None), DATA, "no 'arrays'"),
    "negative size": (content_of(data_size=-1), DATA, "'data_size'"),
    "size is a float": (content_of(data_size=16.0), DATA, "'data_size'"),
    "size beyond the file": (content_of(data_size=2**62), DATA, "truncated: .* bytes are missing"),
    "bytes behind the end": (content_of(), DATA + b"x", "1 bytes too many"),
    "object dtype": (content_of(array={"dtype": "object"}), DATA, "'object', which is not allowed"),
    "python dtype": (content_of(array={"dtype": "O"}), DATA, "'O', which is not allowed"),
    "complex dtype": (content_of(array={"dtype": "complex128"}), DATA, "not allowed"),
    "structured dtype": (content_of(array={"dtype": [["a", "i8"]]}), DATA, "not allowed"),
    "dtype with byte order": (content_of(array={"dtype": ">i8"}), DATA, "not allowed"),
    "negative shape": (content_of(array={"shape": [-2]}), DATA, "no valid shape"),
    "float shape": (content_of(array={"shape": [2.0]}), DATA, "no valid shape"),
    "bool shape": (content_of(array={"shape": [True]}), DATA, "no valid shape"),
    "shape is a number": (content_of(array={"shape": 2}), DATA, "no valid shape"),
    "33 dimensions": (content_of(array={"shape": [1] * 33}), DATA, "no valid shape"),
    "product overflows to 0": (
        content_of(array={"shape": [2**32, 2**32]}),
        DATA,
        "larger than any",
    ),
    "product overflows to 16": (
        content_of(array={"shape": [2**61 + 2]}),
        DATA,
        "larger than any memory",
    ),
    "empty but huge": (content_of(array={"shape": [0, 2**62, 2**62]}), DATA, "larger than any"),
    "length over int64": (content_of(array={"shape": [2**64]}), DATA, "no valid shape"),
    "out of bounds": (content_of(array={"shape": [3]}), DATA, "out of bounds: ends at 24 of 16"),
    "offset out of bounds": (content_of(array={"offset": 64}), DATA, "out of bounds"),
    "negative offset": (content_of(array={"offset": -64}), DATA, "has offset -64"),
    "odd offset": (content_of(array={"offset": 8, "shape": [1]}), DATA, "not a multiple of 64"),
    "overlap": (content_of(arrays={**TWO, "y": TWO["x"]}), DATA, "'y' overlaps another one"),
    "array without dtype": (
        content_of(arrays={"x": {"shape": []}}),
        DATA,
        "must have dtype, shape",
    ),
    "array is a list": (content_of(arrays={"x": []}), DATA, "must have dtype, shape"),
    "unknown key": (content_of(array={"strides": [1]}), DATA, "must have dtype, shape"),
    "bool of 2": (
        content_of(2, arrays={"x": {"dtype": "bool", "shape": [2], "offset": 0}}),
        b"\1\2",
        "other bytes than 0 and 1",
    ),
    "NaN in meta": (content_of(meta={"a": float("nan")}), DATA, "header was damaged"),
    "infinity in meta": (
        content_of(meta={"a": float("inf")}),
        DATA,
        "header was damaged",
    ),
}


def test_the_forger_can_write_a_good_file(tmp_path):
    forge(tmp_path / "file", content_of(), np.array([3, 4]).tobytes())
    _, arrays = read_arrays(tmp_path / "file", kind="graph")
    assert arrays["x"].tolist() == [3, 4]


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("name", HOSTILE_CONTENT)
def test_hostile_content(tmp_path, name, mapped):
    content, data, message = HOSTILE_CONTENT[name]
    path = tmp_path / "file"
    forge(path, content, data)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_arrays(path, kind="graph", mmap=mapped)
    assert str(path) in str(caught.value)


def prefix(length: int, header: bytes) -> bytes:
    return _storage.MAGIC + length.to_bytes(8, "little") + header


DEEP = b"[" * 200_000
HOSTILE_BYTES = {
    "empty": (b"", "too short to be a graphembed file \\(0 bytes\\)"),
    "half the magic": (_storage.MAGIC[:4], "too short .*4 bytes"),
    "magic only": (_storage.MAGIC, "too short"),
    "another file": (b"PK\3\4" + bytes(100), "not a graphembed file"),
    "text": (b"id,x0\n1,2\n", "not a graphembed file"),
    "text-mode transfer": (_storage.MAGIC.replace(b"\r\n", b"\n") + bytes(99), "not a graphembed"),
    "giant header": (prefix(2**63, b"{}"), "header too large: 9223372036854775808 bytes"),
    "header over the limit": (prefix(100_000_001, b"{}"), "header too large"),
    "header longer than the file": (prefix(3, b"{}"), "truncated: a header of 3 bytes"),
    "no header": (prefix(0, b""), "not JSON"),
    "not JSON": (prefix(2, b"{]"), "not JSON"),
    "not UTF-8": (prefix(4, b'"\xff\xfe"'), "not JSON"),
    "deep nesting": (prefix(len(DEEP), DEEP), "not JSON: nested too deeply"),
    "huge number": (prefix(6000, b"9" * 6000), "not JSON"),
    "a list": (prefix(2, b"[]"), "no 'content'"),
    "content is a list": (prefix(14, b'{"content":[]}'), "no 'content'"),
    "no checksums": (prefix(24, b'{"content":{"format":1}}'), "header was damaged"),
}


@pytest.mark.parametrize("name", HOSTILE_BYTES)
def test_hostile_bytes(tmp_path, name):
    data, message = HOSTILE_BYTES[name]
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(FileFormatError, match=message):
        read_arrays(tmp_path / "file", kind="graph")


def test_a_header_spelled_otherwise_is_refused(tmp_path):
    path = tmp_path / "file"
    forge(path, content_of(), DATA, more=1)
    with pytest.raises(FileFormatError, match="header was damaged"):
        read_arrays(path, kind="graph")


WEIRD = [
    None,
    True,
    -1,
    0,
    1,
    7,
    64,
    2**31,
    2**63,
    2**64,
    10**400,
    1.5,
    1e300,
    "",
    "x",
    "int8",
    [],
    {},
]


def mutate(value, rng):
    """Put something weird at a random place of a JSON value."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = keys[int(rng.integers(len(keys)))]
        value[key] = mutate(value[key], rng)
        return value
    return copy.deepcopy(WEIRD[int(rng.integers(len(WEIRD)))])


def test_random_headers_never_do_worse_than_a_file_format_error(tmp_path):
    path = tmp_path / "file"
    rng = np.random.default_rng(3)
    arrays = {
        "x": {"dtype": "int64", "shape": [2, 1], "offset": 0},
        "y": {"dtype": "float16", "shape": [], "offset": 64},
    }
    refused = 0
    for _ in range(1500):
        content = content_of(66, arrays=copy.deepcopy(arrays))
        for _ in range(int(rng.integers(1, 4))):
            content = mutate(content, rng)
        forge(path, content, bytes(66))
        try:
            _, loaded = read_arrays(path, kind="graph", mmap=bool(rng.integers(2)))
        except FileFormatError:
            refused += 1
        else:
            assert all(np.asarray(array).nbytes <= 66 for array in loaded.values())
    assert refused > 1000


def test_damage_in_the_data_names_the_file(tmp_path):
    path = tmp_path / "my-graph.gemb"
    whole = small_file(path)
    path.write_bytes(whole[:-1] + b"\1")
    with pytest.raises(FileFormatError, match=r"my-graph\.gemb: checksum mismatch: the arrays"):
        read_arrays(path, kind="graph")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "no", kind="graph")
    with pytest.raises(IsADirectoryError):
        read_arrays(tmp_path, kind="graph")


# ---- what the writer refuses -------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        np.array([None]),
        np.array(["a"]),
        np.array([b"a"]),
        np.array([1j]),
        np.zeros(2, [("a", "i4")]),
        np.zeros(2, "M8[s]"),
        np.zeros(2, np.longdouble),
    ],
    ids=lambda array: str(array.dtype),
)
def test_other_dtypes_are_refused(tmp_path, array):
    with pytest.raises(TypeError, match="array 'bad' must be of bool, an integer or a float"):
        write_arrays(tmp_path / "file", kind="t", meta={}, arrays={"bad": array})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("meta", "error", "message"),
    [
        ({"a": {1, 2}}, TypeError, "meta must be JSON: .*set"),
        ({"a": np.int64(3)}, TypeError, "meta must be JSON: .*int64"),
        ({"a": float("nan")}, ValueError, "meta must be JSON"),
        ({"a": {1: 2}}, ValueError, "JSON would change meta"),
        ({"a": (1, 2)}, ValueError, "JSON would change meta"),
    ],
)
def test_meta_that_json_would_change_is_refused(tmp_path, meta, error, message):
    with pytest.raises(error, match=message):
        write_arrays(tmp_path / "file", kind="t", meta=meta, arrays={})
    assert list(tmp_path.iterdir()) == []


def test_too_large_a_header_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_storage, "MAX_HEADER", 1000)
    with pytest.raises(ValueError, match="the limit is 1000: put large values into arrays"):
        write_arrays(tmp_path / "file", kind="t", meta={"a": "x" * 1000}, arrays={})
    assert list(tmp_path.iterdir()) == []
