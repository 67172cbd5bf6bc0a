"""Planetoid's pickles are read as data: whatever a file asks for, nothing is called."""

import contextlib
import copyreg
import io
import pickle
import random
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import planetoid_files as form
import pytest
import scipy.sparse as sp

from graphembed.datasets import _pickles
from graphembed.datasets._pickles import read_array, read_lists, read_matrix
from graphembed.exceptions import FileFormatError

READERS: tuple[Callable[[bytes, str], object], ...] = (read_matrix, read_array, read_lists)
SET = "the file"


def refuse(content: bytes, message: str = "is not a file of Planetoid") -> None:
    for read in READERS:
        with pytest.raises(FileFormatError, match=message):
            read(content, SET)


def unpickle(content: bytes) -> object:
    """What Python's own unpickler makes of the files written here."""
    return pickle.load(io.BytesIO(content), encoding="latin1")


# --- what is read ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("by_columns", [False, True])
def test_arrays(dtype: type, by_columns: bool) -> None:
    array = np.arange(600, dtype=dtype).reshape(3, 200)
    content = form.file(form.array(array, by_columns=by_columns))
    assert np.array_equal(unpickle(content), array)  # the test writes what numpy reads
    found = read_array(content, SET)
    assert found.dtype == dtype
    assert np.array_equal(found, array)


@pytest.mark.filterwarnings("ignore:.*scipy.sparse.csr.*:DeprecationWarning")
@pytest.mark.parametrize("density", [0, 0.1])
def test_matrices(density: float) -> None:
    matrix = sp.random_array((40, 30), density=density, rng=1, format="csr", dtype=np.float32)
    content = form.file(form.matrix(matrix))
    assert (unpickle(content) != matrix).nnz == 0
    found = read_matrix(content, SET)
    assert isinstance(found, sp.csr_array)
    assert found.dtype == np.float32
    assert np.array_equal(found.toarray(), matrix.toarray())


def test_lists() -> None:
    rows = {2: [], 0: [1, 1, 2], 1: [0, 300]}
    content = form.file(form.lists(rows))
    assert unpickle(content) == rows
    lengths, neighbours = read_lists(content, SET)
    assert lengths.tolist() == [3, 2, 0]
    assert neighbours.tolist() == [1, 1, 2, 0, 300]


@pytest.mark.data
@pytest.mark.filterwarnings("ignore:.*scipy.sparse.csr.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*numpy.core.*:DeprecationWarning")
@pytest.mark.parametrize("name", ["cora", "citeseer", "pubmed"])
def test_real_files_as_pickle_reads_them(data_dir: Path, name: str) -> None:
    for part in ("x", "tx", "allx", "y", "ty", "ally", "graph"):
        path = data_dir / "planetoid" / f"ind.{name}.{part}"
        if not path.is_file():
            continue  # PubMed's allx
        content = path.read_bytes()
        true = unpickle(content)
        if part == "graph":
            lengths, neighbours = read_lists(content, SET)
            assert lengths.tolist() == [len(true[node]) for node in range(len(true))]
            assert neighbours.tolist() == [b for node in range(len(true)) for b in true[node]]
        elif part.endswith("x"):
            assert (read_matrix(content, SET) != true).nnz == 0
        else:
            assert np.array_equal(read_array(content, SET), true)


# --- files that want more than to be read ------------------------------------------------------


class Exploit:
    """Runs something where it is unpickled."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        return self.call[0], self.call[1:]


BUILTINS = (eval, exec, open, print, getattr, __import__, compile, type, object, list, dict)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_python_s_own_pickles_are_refused(protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for value in (
        Exploit(marker.write_text, "x"),
        Exploit(exec, f"open({str(marker)!r}, 'w')"),
        {0: [Exploit(eval, f"open({str(marker)!r}, 'w')")]},
        *(Exploit(function, "1") for function in BUILTINS),
    ):
        refuse(pickle.dumps(value, protocol))
    assert not marker.exists()


NAMES = [
    b"os\nsystem\n",
    b"posix\nsystem\n",
    b"nt\nsystem\n",
    b"builtins\neval\n",
    b"__builtin__\neval\n",
    b"__builtin__\nlist.append\n",
    b"__builtin__\ngetattr\n",
    b"__builtin__ list\n\n",
    b"numpy\nndarray.tofile\n",
    b"numpy\nload\n",
    b"numpy\nfromfile\n",
    b"numpy.core.multiarray\nscalar\n",
    b"numpy._core.multiarray\n_reconstruct\n",
    b"scipy.sparse.csr\ncsr_matrix.__init__\n",
    b"collections\nOrderedDict\n",
    b"_codecs\nencode\n",
    b"copyreg\n_reconstructor\n",
    b"\n\n",
]


@pytest.mark.parametrize("name", NAMES)
def test_other_names_are_refused(name: bytes) -> None:
    refuse(form.file(b"c" + name), "asks for .*no need of")
    refuse(form.file(b"c" + name + form.text(b"echo") + b"\x85R"), "asks for")


def test_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            asked.append(name)

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    refuse(form.file(b"cno_such_module\nname\n"), "asks for no_such_module.name")
    assert asked == []
    source = Path(_pickles.__file__).read_text(encoding="utf-8")
    assert "import pickle" not in source
    assert "importlib" not in source


HOSTILE = {
    "opcode: persistent id, text": b"P../../etc/passwd\n",
    "opcode: persistent id": form.text(b"id") + b"Q",
    "opcode: INST": b"(ios\nsystem\n",
    "opcode: OBJ": b"(c__builtin__\nlist\n" + form.number(1) + b"o",
    "opcode: STACK_GLOBAL": form.text(b"os") + form.text(b"system") + b"\x93",
    "opcode: NEWOBJ_EX": b"c__builtin__\nlist\n)}\x92",
    "opcode: LONG4": b"\x8b\xff\xff\xff\x7f",
    "opcode: LONG1": b"\x8a\x08" + b"\x7f" * 8,
    "opcode: LONG": b"L" + b"9" * 10000 + b"L\n",
    "opcode: INT": b"I1\n",
    "opcode: BINFLOAT": b"G" + b"\0" * 8,
    "opcode: UNICODE": b"Vx\n",
    "opcode: BINBYTES8": b"\x8e" + struct.pack("<Q", 2**62),
    "opcode: BYTEARRAY8": b"\x96" + struct.pack("<Q", 2**62),
    "opcode: FRAME": b"\x95" + struct.pack("<Q", 2**62),
    "opcode: DUP": form.number(1) + b"2",
    "opcode: POP_MARK": b"(1",
    "opcode: MEMOIZE": b"N\x94",
    "opcode: NEXT_BUFFER": b"\x97",
    "opcode: EMPTY_SET": b"\x8f",
    "state of a name": b"c__builtin__\nlist\n}" + form.text(b"append") + b"Nsb",
    "state of a list": b"]}b",
    "state of a number": form.number(1) + b"}b",
    "state set twice": b"cscipy.sparse.csr\ncsr_matrix\n)\x81}b}b",
    "call of a list": b"])R",
    "call of text": form.text(b"os.system") + form.text(b"x") + b"\x85R",
    "call of what was made": b"c__builtin__\nlist\n)R)R",
    "call without a tuple": b"c__builtin__\nlist\n]R",
    "new object of a number": form.number(1) + b")\x81",
    "items for a list": b"]" + form.number(0) + form.number(1) + b"s",
    "items for a name": b"c__builtin__\nlist\n" + form.text(b"append") + b"Ns",
    "half a pair": b"}(" + form.number(0) + b"u",
    "a list as key": b"}]Ns",
    "a tuple as key": b"}" + b")" + b"Ns",
    "values for a dict": b"}" + form.number(0) + b"a",
    "a memo nobody wrote": b"h\x07",
    "a huge memo nobody wrote": b"j\xff\xff\xff\xff",
    "memo of nothing": b"q\x00",
    "mark of nothing": b"t",
    "a mark as value": b"(\x85",
    "nothing": b"",
    "two values": b"NN",
    "a mark left": b"(N",
    "None": b"N",
    "an empty dict": b"}",
    "text too long": b"T\xff\xff\xff\x7f" + b"x" * 10,
    "text of negative length": b"T\xff\xff\xff\xffx",
    "name without end": b"cos",
    "a very long name": b"c" + b"a" * 10000 + b"\nb\n",
    "unknown opcode": b"\xff",
    "protocol again": b"\x80\x04N",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_instructions(content: bytes) -> None:
    refuse(form.file(content))


def test_extension_registry_is_not_asked() -> None:
    """Python's unpickler asks `find_class` for a registered extension the first time only."""
    code = 240
    copyreg.add_extension("builtins", "eval", code)
    try:
        content = b"\x80\x02\x82" + bytes([code]) + b"X\x01\0\0\x001\x85R."
        assert unpickle(content) == 1
        refuse(content, "unknown instruction")
        refuse(b"\x80\x02\x83" + struct.pack("<H", code) + b".", "unknown instruction")
        refuse(b"\x80\x02\x84" + struct.pack("<i", code) + b".", "unknown instruction")
    finally:
        copyreg.remove_extension("builtins", "eval", code)


GOOD = form.array(np.arange(6, dtype=np.int32).reshape(2, 3))
BYTES = form.text(np.arange(6, dtype=np.int32).tobytes())


def state(parts: bytes) -> bytes:
    return form.RECONSTRUCT + b"(" + parts + b"tb"


TWO_BY_THREE = form.number(1) + form.shape((2, 3))
ARRAYS = {
    "another base": GOOD.replace(b"numpy\nndarray", b"__builtin__\nlist"),
    "not from nothing": GOOD.replace(form.shape((0,)), form.shape((9,)), 1),
    "without state": form.RECONSTRUCT,
    "state is a dict": form.RECONSTRUCT + b"}b",
    "too few parts": state(form.number(1)),
    "shape is None": state(form.number(1) + b"N" + form.dtype(b"i4") + b"\x89" + BYTES),
    "shape is text": state(form.number(1) + form.text(b"23") + form.dtype(b"i4") + b"\x89" + BYTES),
    "shape of True": state(form.number(1) + b"(\x88\x88t" + form.dtype(b"i4") + b"\x89" + BYTES),
    "negative shape": state(
        form.number(1) + form.shape((-2, -3)) + form.dtype(b"i4") + b"\x89" + BYTES
    ),
    "huge shape": state(
        form.number(1) + form.shape((2**31 - 1, 2**31 - 1)) + form.dtype(b"i4") + b"\x89" + BYTES
    ),
    "many dimensions": state(
        form.number(1) + form.shape((1,) * 65) + form.dtype(b"i4") + b"\x89" + BYTES
    ),
    "too little data": state(
        form.number(1) + form.shape((3, 3)) + form.dtype(b"i4") + b"\x89" + BYTES
    ),
    "part of a number": state(TWO_BY_THREE + form.dtype(b"i4") + b"\x89" + form.text(b"\0" * 23)),
    "objects": state(TWO_BY_THREE + form.dtype(b"O8") + b"\x89" + form.text(b"\x01" * 48)),
    "objects in a list": state(TWO_BY_THREE + form.dtype(b"O8", b"|") + b"\x89" + b"](NNNNNNe"),
    "void": state(TWO_BY_THREE + form.dtype(b"V4") + b"\x89" + BYTES),
    "big-endian": state(TWO_BY_THREE + form.dtype(b"i4", b">") + b"\x89" + BYTES),
    "dtype is a list": state(TWO_BY_THREE + b"]" + b"\x89" + BYTES),
    "dtype of lists": state(
        TWO_BY_THREE + b"cnumpy\ndtype\n]" + form.number(0) + b"\x86R](NNeb" + b"\x89" + BYTES
    ),
    "dtype without state": state(
        TWO_BY_THREE + b"cnumpy\ndtype\n" + form.text(b"i4") + b"\x85R" + b"\x89" + BYTES
    ),
    "data is a list": state(TWO_BY_THREE + form.dtype(b"i4") + b"\x89" + b"]"),
    "flag is a number": state(TWO_BY_THREE + form.dtype(b"i4") + b"K\x01" + BYTES),
    "a matrix": form.matrix(sp.csr_array(np.eye(3, dtype=np.float32))),
    "only the class": b"cnumpy\nndarray\n",
}


@pytest.mark.parametrize("content", ARRAYS.values(), ids=ARRAYS)
def test_hostile_arrays(content: bytes) -> None:
    assert read_array(form.file(GOOD), SET).tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(FileFormatError, match=SET):
        read_array(form.file(content), SET)


def csr(**changes: object) -> bytes:
    """A 2 x 3 matrix with two entries, and what is changed in it."""
    parts: dict[str, object] = {
        "_shape": (2, 3),
        "indptr": np.array([0, 1, 2], dtype=np.int32),
        "indices": np.array([2, 0], dtype=np.int32),
        "data": np.array([1, 2], dtype=np.float32),
    } | changes
    written = b"".join(
        form.text(key.encode())
        + (form.shape(value) if isinstance(value, tuple) else form.array(np.asarray(value)))
        for key, value in parts.items()
        if value is not None
    )
    return b"cscipy.sparse.csr\ncsr_matrix\n)\x81}(" + written + b"ub"


INT = np.int32
MATRICES = {
    "no shape": csr(_shape=None),
    "no data": csr(data=None),
    "one dimension": csr(_shape=(2,)),
    "rows too many": csr(_shape=(2**31 - 1, 3)),
    "columns too few": csr(_shape=(2, 2)),
    "negative column": csr(indices=np.array([-1, 0], dtype=INT)),
    "falling indptr": csr(indptr=np.array([0, 3, 2], dtype=INT)),
    "indptr begins late": csr(indptr=np.array([1, 1, 2], dtype=INT)),
    "indptr ends late": csr(indptr=np.array([0, 1, 2**31 - 1], dtype=INT)),
    "indptr of floats": csr(indptr=np.array([0, 1, 2], dtype=np.float32)),
    "indices in two rows": csr(indices=np.array([[2, 0]], dtype=INT)),
    "nan": csr(data=np.array([1, np.nan], dtype=np.float32)),
    "too large for float32": csr(data=np.array([1, 1e300])),
    "an array": GOOD,
    "with arguments": csr().replace(b")\x81", form.shape((9, 9)) + b"\x81"),
    "state is a list": b"cscipy.sparse.csr\ncsr_matrix\n)\x81]b",
}


@pytest.mark.parametrize("content", MATRICES.values(), ids=MATRICES)
def test_hostile_matrices(content: bytes) -> None:
    assert read_matrix(form.file(csr()), SET).toarray().tolist() == [[0, 0, 1], [2, 0, 0]]
    with pytest.raises(FileFormatError, match=SET):
        read_matrix(form.file(content), SET)


DEFAULTDICT = b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R"
LISTS = {
    "another factory": form.lists({0: []}).replace(b"__builtin__\nlist", b"numpy\nndarray"),
    "a plain dict": b"}" + form.number(0) + b"]s",
    "a key is missing": form.lists({0: [], 2: []}),
    "text as key": DEFAULTDICT + form.number(0) + b"]s" + form.text(b"a") + b"]s",
    "a number as list": DEFAULTDICT + form.number(0) + form.number(1) + b"s",
    "text as neighbour": DEFAULTDICT + form.number(0) + b"]" + form.text(b"1") + b"as",
    "True as neighbour": DEFAULTDICT + form.number(0) + b"]\x88as",
    "a list of itself": DEFAULTDICT + form.number(0) + b"]q\x00h\x00as",
}


@pytest.mark.parametrize("content", LISTS.values(), ids=LISTS)
def test_hostile_lists(content: bytes) -> None:
    with pytest.raises(FileFormatError, match=SET):
        read_lists(form.file(content), SET)


# --- bombs, damage -----------------------------------------------------------------------------


def peak_of(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def laughs() -> bytes:
    """A list of ten times the list before, thirty times: 10 ** 31 numbers, if anybody counts."""
    content = b"](" + form.number(7) * 10 + b"eq\x00"
    for k in range(30):
        content += b"](" + (b"h" + bytes([k])) * 10 + b"eq" + bytes([k + 1])
    return form.file(DEFAULTDICT + form.number(0) + content[:1] + b"(" + content + b"es")


def one_list_under_many_keys() -> bytes:
    rows = b"](" + form.number(1) * 2000 + b"eq\x00"
    pairs = b"".join(form.number(k) + b"h\x00" for k in range(1, 2000))
    return form.file(DEFAULTDICT + b"(" + form.number(0) + rows + pairs + b"u")


BOMBS = {
    "a billion laughs": laughs(),
    "one list under many keys": one_list_under_many_keys(),
    "a list that doubles itself": form.file(b"]q\x00" + b"(h\x00h\x00h\x00e" * 1000),
    "nested tuples": form.file(b")" + b"\x85" * 30_000),
    "nested lists": form.file(b"]" * 30_000 + b"a" * 29_999),
    "records in records": form.file(
        b"c__builtin__\nlist\nq\x00" + b"h\x00" * 5_000 + b")" + b"R\x85" * 5_000 + b"R"
    ),
    "marks": form.file(b"(" * 30_000),
    "memos": form.file(b"N" + b"".join(b"r" + struct.pack("<I", 2**32 - k) for k in range(1, 50))),
    "text that is not there": form.file(b"T" + struct.pack("<I", 2**31 - 1)),
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused_within_bounded_memory(content: bytes) -> None:
    assert peak_of(lambda: refuse(content)) < 300 * len(content) + 1_000_000


def test_cut_and_damaged_files() -> None:
    whole = form.file(csr())
    for end in range(len(whole)):
        with pytest.raises(FileFormatError):
            read_matrix(whole[:end], SET)
    with pytest.raises(FileFormatError, match="does not end where its value does"):
        read_matrix(whole + b".", SET)
    draw = random.Random(1)
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        with contextlib.suppress(FileFormatError):  # or it is a matrix with other numbers
            read_matrix(bytes(damaged), SET)
