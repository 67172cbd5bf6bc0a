"""Embeddings by suffix, gensim's KeyedVectors, and saved models."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphembed import io
from graphembed._storage import write_arrays
from graphembed.exceptions import FileFormatError
from graphembed.io import (
    ModelFile,
    check_node_ids,
    load_model,
    read_word2vec,
    save_model,
    to_keyed_vectors,
    write_embedding,
)

SUFFIXES = [".csv", ".tsv", ".npz", ".txt", ".w2v", ".bin", ".parquet"]
NASTY = [
    "a,b",
    'a"b',
    "a\nb",
    "a\rb",
    "a\r\nb",
    " lead",
    "tail ",
    "",
    "é日本",
    "'",
    "a\tb",
    "#",
    "=1",
]


def table(n=10, d=5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)


def objects(*values) -> np.ndarray:
    return np.fromiter(values, object, len(values))


def write_with(suffix: str, path: Path, ids=("a", "b")) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    write_embedding(path, list(ids), table(len(ids)))


# ---- tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_csv_quotes_every_id(tmp_path, suffix, delimiter):
    path = tmp_path / f"file{suffix}"
    write_embedding(path, NASTY, table(len(NASTY), 2))
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file, delimiter=delimiter, strict=True)
    assert header == ["id", "x0", "x1"]
    assert [row[0] for row in rows] == NASTY
    values = np.array([row[1:] for row in rows], np.float32)
    np.testing.assert_array_equal(values, table(len(NASTY), 2))


def test_csv_as_pandas_and_polars_read_it(tmp_path):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    path = tmp_path / "file.csv"
    write_embedding(path, NASTY, table(len(NASTY), 3), names=["u", "v", "w,w"])
    frame = pandas.read_csv(path, keep_default_na=False, lineterminator="\n")
    assert list(frame.columns) == ["id", "u", "v", "w,w"]
    assert frame["id"].tolist() == NASTY
    np.testing.assert_array_equal(frame.iloc[:, 1:].to_numpy(np.float32), table(len(NASTY), 3))
    back = polars.read_csv(path)["id"].fill_null("")
    assert back.to_list() == NASTY


def test_csv_bytes(tmp_path):
    write_embedding(tmp_path / "a.csv", [3, "x y"], np.array([[0.1, 1], [-2, 1e-9]], np.float32))
    expected = "id,x0,x1\n3,0.100000001,1\nx y,-2,9.99999972e-10\n"
    assert (tmp_path / "a.csv").read_bytes() == expected.encode()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet"])
def test_values_come_back_exactly(tmp_path, suffix, dtype):
    path = tmp_path / f"file{suffix}"
    bits = np.random.default_rng(0).integers(0, 256, 400 * np.dtype(dtype).itemsize, np.uint8)
    values = bits.view(dtype).reshape(100, 4)
    values[np.isnan(values)] = np.nan
    values[0] = [0.0, -0.0, np.inf, -np.inf]
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    write_embedding(path, range(100), values)
    if suffix == ".csv":
        with path.open(newline="") as file:
            back = np.array([row[1:] for row in csv.reader(file)][1:]).astype(dtype)
    elif suffix == ".npz":
        back = np.load(path, allow_pickle=False)["embedding"]
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        columns = parquet.read_table(path).drop_columns(["id"]).columns
        back = np.column_stack([column.to_numpy() for column in columns])
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, values)
    np.testing.assert_array_equal(np.signbit(back), np.signbit(values))


@pytest.mark.parametrize(
    ("ids", "dtype"),
    [
        (np.array([3, 1, 2]), "i8"),
        ([3, 1, 2], "i8"),
        (np.array([3, 1, 2], np.uint8), "i8"),
        (objects("a", "bcd", "é"), "U3"),
        (["a", "bcd", ""], "U3"),
        (np.array(["a", "b", "c"]), "U1"),
    ],
)
def test_npz_and_parquet_keep_int_and_str(tmp_path, ids, dtype):
    write_embedding(tmp_path / "file.npz", ids, table(3))
    with np.load(tmp_path / "file.npz", allow_pickle=False) as data:
        assert set(data) == {"node_ids", "embedding"}
        assert data["node_ids"].dtype == dtype
        assert data["node_ids"].tolist() == list(ids)
        np.testing.assert_array_equal(data["embedding"], table(3))
    parquet = pytest.importorskip("pyarrow.parquet")
    write_embedding(tmp_path / "file.parquet", ids, table(3), names=list("uvwxy"))
    back = parquet.read_table(tmp_path / "file.parquet")
    assert back.column_names == ["id", "u", "v", "w", "x", "y"]
    assert back["id"].to_pylist() == list(ids)
    assert str(back["id"].type) == ("int64" if dtype == "i8" else "string")


def test_parquet_in_more_than_one_block(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    values = table(3000, 700)
    write_embedding(tmp_path / "file.parquet", np.arange(3000), values)
    back = parquet.read_table(tmp_path / "file.parquet")
    assert back["id"].to_pylist() == list(range(3000))
    np.testing.assert_array_equal(back["x699"].to_numpy(), values[:, 699])


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, "1"], "the first one is int and '1' at position 1 is str: convert all to str"),
        (["a", None], "None at position 1 is NoneType"),
        ([True, False], "True at position 0 is bool"),
        ([1, True], "True at position 1 is bool"),
        ([0.5, 1.5], "0.5 at position 0 is float"),
        ([(1, 2), (3, 4)], r"\(1, 2\) at position 0 is tuple.*or save the model"),
        ([1, 2**63], "9223372036854775808 at position 1 is int"),
    ],
)
def test_npz_and_parquet_refuse_mixed_ids(tmp_path, suffix, ids, message):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match=message):
        write_embedding(tmp_path / f"file{suffix}", ids, table(2))
    assert list(tmp_path.iterdir()) == []


def test_single_format_limits(tmp_path):
    with pytest.raises(ValueError, match="position 1 ends in a zero character"):
        write_embedding(tmp_path / "file.npz", ["a", "a\0"], table(2))
    with pytest.raises(ValueError, match="both read '1'"):
        write_embedding(tmp_path / "file.csv", [1, "1"], table(2))
    with pytest.raises(ValueError, match="position 0 cannot be written as UTF-8"):
        write_embedding(tmp_path / "file.csv", ["\ud800", "1"], table(2))
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match="position 1 cannot be written as UTF-8"):
        write_embedding(tmp_path / "file.parquet", ["a", "\ud800"], table(2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("names", [["a"], ["a"] * 5, ["id", "b", "c", "d", "e"]])
def test_bad_column_names(tmp_path, names):
    with pytest.raises(ValueError, match="names must be 5 distinct names other than 'id'"):
        write_embedding(tmp_path / "file.csv", ["a", "b"], table(2), names=names)


@pytest.mark.parametrize(
    ("suffix", "binary"), [(".txt", False), (".w2v", False), (".bin", True), (".BIN", True)]
)
def test_word2vec_suffixes(tmp_path, suffix, binary):
    path = tmp_path / f"file{suffix}"
    write_embedding(path, ["a", "b"], table(2))
    ids, back = read_word2vec(path, binary=binary)
    assert ids.tolist() == ["a", "b"]
    np.testing.assert_array_equal(back, table(2))


@pytest.mark.parametrize("name", ["file", "file.xlsx", "file.csv.gz", ".csv"])
def test_unknown_suffix(tmp_path, name):
    with pytest.raises(ValueError, match=r"one of \.csv, \.tsv, \.npz, \.parquet, \.txt.*got '.*"):
        write_embedding(tmp_path / name, ["a", "b"], table(2))


def test_a_missing_package_names_the_pip_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"'pyarrow'.*pip install 'graphembed\["):
        write_embedding(tmp_path / "file.parquet", ["a", "b"], table(2))
    monkeypatch.setitem(sys.modules, "gensim", None)
    with pytest.raises(ImportError, match=r"'gensim'.*pip install 'graphembed\[gensim\]'"):
        to_keyed_vectors(["a", "b"], table(2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writers_are_atomic(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"file{suffix}"
    with pytest.raises(FileNotFoundError, match="create it first"):
        write_with(suffix, tmp_path / "no" / path.name)
    write_with(suffix, path)
    old = path.read_bytes()
    with pytest.raises(ValueError, match="must have 3 rows like node_ids"):
        write_embedding(path, ["a", "b", "c"], table(2))
    assert path.read_bytes() == old

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_with(suffix, path, "xyz")
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    write_with(suffix, str(path), "xyz")
    assert path.read_bytes() != old


FULL_DISK = """
import pathlib, resource, signal, sys
import numpy as np
from graphembed.io import save_model, write_embedding
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
x = np.random.default_rng(0).random((2000, 16), np.float32)
ids = [f"n{i}" for i in range(2000)]
def write(path):
    if path.endswith(".model"):
        save_model(path, estimator="E", params={}, node_ids=ids, arrays={"x": x})
    else:
        write_embedding(path, ids, x)
for path in sys.argv[1:]:
    write(path)
    old = pathlib.Path(path).read_bytes()
    x += 1
    for limit in (0, 100, 50_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            write(path)
        except OSError:
            pass
        else:
            sys.exit(f"{path}: written over the limit")
        if pathlib.Path(path).read_bytes() != old:
            sys.exit(f"{path}: the old file is gone")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs RLIMIT_FSIZE")
def test_full_disk(tmp_path):
    pytest.importorskip("pyarrow")
    paths = [str(tmp_path / f"file{suffix}") for suffix in [*SUFFIXES, ".model"]]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL_DISK, *paths],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert sorted(map(str, tmp_path.iterdir())) == sorted(paths)


def test_importing_io_imports_no_optional_package():
    code = "import sys, graphembed.io; print(*{'gensim', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


# ---- gensim ------------------------------------------------------------------------------------


def test_keyed_vectors():
    gensim = pytest.importorskip("gensim.models.keyedvectors")
    ids = objects("a", 7, (1, 2), 2.5)
    vectors = to_keyed_vectors(ids, table(4))
    assert isinstance(vectors, gensim.KeyedVectors)
    assert vectors.index_to_key == ["a", "7", "(1, 2)", "2.5"]
    np.testing.assert_array_equal(vectors.vectors, table(4))
    np.testing.assert_array_equal(vectors["7"], table(4)[1])
    assert vectors.vectors.dtype == np.float32
    cosines = table(4) @ table(4)[0] / np.linalg.norm(table(4), axis=1)
    (best, cosine), *_ = vectors.most_similar("a", topn=3)
    order = 1 + np.argmax(cosines[1:])
    assert best == str(ids[order])
    assert cosine == pytest.approx(cosines[order] / np.linalg.norm(table(4)[0]), rel=1e-5)


def test_keyed_vectors_do_not_share_memory_or_take_ids_that_collide():
    pytest.importorskip("gensim")
    values = table(2)
    vectors = to_keyed_vectors(np.array([1, 2]), values)
    vectors.vectors[:] = 0
    np.testing.assert_array_equal(values, table(2))
    with pytest.raises(ValueError, match=r"1 \(position 0\) and '1' \(position 1\) both read '1'"):
        to_keyed_vectors([1, "1"], values)
    with pytest.raises(ValueError, match="must have 3 rows"):
        to_keyed_vectors([1, 2, 3], values)


# ---- models ------------------------------------------------------------------------------------

PARAMS = {
    "n_components": 128,
    "p": 0.25,
    "tiny": 5e-324,
    "verbose": False,
    "n_jobs": None,
    "strategy": "auto é",
    "seed": 2**64 - 1,
    "list": [1, "1", [2.5, None]],
}


def save(path, **changes) -> None:
    content = {
        "estimator": "Node2Vec",
        "params": PARAMS,
        "node_ids": objects("a", 1, (2, "b")),
        "arrays": {"embedding": table(3), "counts": np.arange(7), "scalar": np.array(0.5)},
        **changes,
    }
    save_model(path, **content)


@pytest.mark.parametrize("kind", [str, Path])
def test_models_come_back(tmp_path, kind):
    path = kind(tmp_path / "model")
    save(path)
    model = load_model(path)
    assert isinstance(model, ModelFile)
    assert model.estimator == "Node2Vec"
    assert repr(model.params) == repr(PARAMS)
    assert model.node_ids.tolist() == ["a", 1, (2, "b")]
    assert list(model.arrays) == ["embedding", "counts", "scalar"]
    np.testing.assert_array_equal(model.arrays["embedding"], table(3))
    np.testing.assert_array_equal(model.arrays["counts"], np.arange(7))
    assert model.arrays["scalar"] == 0.5
    assert model.arrays["embedding"].flags.writeable


def test_numpy_scalars_in_params_become_python_values(tmp_path):
    params = {"p": np.float32(0.5), "d": np.int64(3), "b": np.bool_(True), "l": [np.int8(1)]}
    save(tmp_path / "model", params=params)
    back = load_model(tmp_path / "model").params
    assert repr(back) == "{'p': 0.5, 'd': 3, 'b': True, 'l': [1]}"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"params": {"random_state": np.random.default_rng(0)}},
            TypeError,
            "random_state=.*Generator",
        ),
        ({"params": {"f": len}}, TypeError, "parameter f=.*cannot be saved without pickle: set f"),
        ({"params": {"t": (1, 2)}}, TypeError, "parameter t=.*tuple"),
        ({"params": {"l": [1, {}]}}, TypeError, "parameter l=.*dict"),
        ({"params": {"p": float("nan")}}, ValueError, "parameter p must be finite to be saved"),
        ({"params": {"p": np.float64("inf")}}, ValueError, "parameter p must be finite"),
        ({"params": {1: 2}}, ValueError, "JSON would change meta"),
        ({"node_ids": ["a", 1j, "b"]}, TypeError, "node id 1j at position 1"),
        ({"node_ids": ["a"]}, ValueError, "embedding must have 1 rows"),
        ({"arrays": {"node_ids": np.arange(3)}}, ValueError, "must not be named 'node_ids'"),
        ({"arrays": {"node_ids_x": np.arange(3)}}, ValueError, "must not be named 'node_ids_x'"),
        ({"arrays": {"o": np.array([None])}}, TypeError, "array 'o' must be of bool"),
        ({"arrays": {"embedding": np.zeros(3)}}, ValueError, "embedding must have shape"),
    ],
)
def test_what_cannot_be_saved_leaves_the_old_model(tmp_path, changes, error, message):
    path = tmp_path / "model"
    save(path)
    old = path.read_bytes()
    with pytest.raises(error, match=message):
        save(path, **changes)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


IDS = {"node_ids": {"encoding": "int64", "count": 3}}
GOOD = {"estimator": "E", "params": {}, **IDS}
ARRAYS = {"embedding": table(3), "node_ids": np.arange(3)}
HOSTILE = {
    "a graph": ("graph", GOOD, ARRAYS, "expected a model, this file holds a graph"),
    "no estimator": ("model", {**GOOD, "estimator": None}, ARRAYS, "no estimator and params"),
    "estimator is a list": ("model", {**GOOD, "estimator": []}, ARRAYS, "no estimator and params"),
    "params are a list": ("model", {**GOOD, "params": []}, ARRAYS, "no estimator and params"),
    "no ids": ("model", {"estimator": "E", "params": {}}, ARRAYS, "holds no node ids"),
    "ids too many": ("model", GOOD, {**ARRAYS, "node_ids": np.arange(4)}, "3 node ids expected"),
    "ids 2-D": ("model", GOOD, {**ARRAYS, "node_ids": np.zeros((3, 1), int)}, "is 2-D of int64"),
    "rows missing": (
        "model",
        GOOD,
        {**ARRAYS, "embedding": table(2)},
        r"\(2, 5\) does not match 3",
    ),
    "embedding 1-D": (
        "model",
        GOOD,
        {**ARRAYS, "embedding": np.zeros(3)},
        r"\(3,\) does not match",
    ),
    "embedding scalar": ("model", GOOD, {**ARRAYS, "embedding": np.array(1.0)}, "does not match"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_models(tmp_path, name):
    kind, meta, arrays, message = HOSTILE[name]
    path = tmp_path / "my-model"
    write_arrays(path, kind=kind, meta=meta, arrays=arrays)
    with pytest.raises(FileFormatError, match=f"my-model: .*{message}"):
        load_model(path)


def test_damage_in_a_model_is_detected(tmp_path):
    path = tmp_path / "model"
    save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for bit in rng.integers(len(whole) * 8, size=2000):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError):
            load_model(path)
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            load_model(path)


def test_a_pickle_is_not_loaded(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "owned").encode() + b"'\ntR.")
    with pytest.raises(FileFormatError, match="not a graphembed file"):
        load_model(path)
    assert not (tmp_path / "owned").exists()


def test_public_names():
    assert sorted(io.__all__) == io.__all__
    assert all(hasattr(io, name) for name in io.__all__)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".gemb"])
@pytest.mark.parametrize(
    "ids", [[1, 2], ["a", "b"], ["a b", "c"], [1, "a"], [1, "1"], ["a\0", "b"], ["\ud800", "b"]]
)
def test_ids_are_refused_before_as_they_are_while_writing(tmp_path, suffix, ids):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path, rows = tmp_path / f"x{suffix}", table(2, 3)
    try:
        if suffix == ".gemb":
            save_model(path, estimator="E", params={}, node_ids=ids, arrays={"embedding": rows})
        else:
            write_embedding(path, ids, rows)
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            check_node_ids(path, ids)
    else:
        check_node_ids(path, ids)


def test_check_node_ids_needs_a_known_suffix():
    with pytest.raises(ValueError, match=r"must end in one of \.csv, .*, \.gemb, got 'x\.foo'"):
        check_node_ids("x.foo", [1])
