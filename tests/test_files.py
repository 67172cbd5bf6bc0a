"""_files: what a command reads and writes."""

import re

import numpy as np
import pytest

import graphembed._validation as validation
from graphembed import Graph, Node2Vec
from graphembed.cli._files import (
    check_output,
    read_graph,
    read_labels,
    write_fitted,
)
from graphembed.exceptions import FileFormatError, GraphFormatError
from graphembed.io import (
    EMBEDDING_SUFFIXES,
    MODEL_SUFFIX,
    read_embedding,
    save_model,
    write_embedding,
)

TABULAR = [s for s in EMBEDDING_SUFFIXES if s not in (".txt", ".w2v", ".bin")]


@pytest.fixture(scope="module")
def model():
    edges = [("a", "b"), ("b", "c, d"), ("c, d", 'e "f"')]
    return Node2Vec(4, walk_length=5, n_walks=2, random_state=0, n_jobs=1).fit(edges)


# -- Embeddings ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [*TABULAR, MODEL_SUFFIX])
def test_what_is_written_is_read(model, tmp_path, suffix):
    path = tmp_path / f"vectors{suffix}"
    check_output(path)
    write_fitted(path, model)
    ids, embedding = read_embedding(path)
    assert ids == ["a", "b", "c, d", 'e "f"']
    np.testing.assert_array_equal(embedding.astype(np.float32), model.embedding_)


@pytest.mark.parametrize("suffix", [*EMBEDDING_SUFFIXES, MODEL_SUFFIX])
def test_integer_ids_are_read_as_text(tmp_path, suffix):
    fitted = Node2Vec(4, walk_length=5, n_walks=2, random_state=0, n_jobs=1).fit([(7, 8), (8, 9)])
    path = tmp_path / f"vectors{suffix.upper()}"
    check_output(path)
    write_fitted(path, fitted)
    ids, embedding = read_embedding(path)
    assert ids == ["7", "8", "9"]
    np.testing.assert_allclose(embedding, fitted.embedding_, rtol=1e-6)


def test_the_suffixes_are_those_of_the_writer(tmp_path):
    with pytest.raises(ValueError, match="must end in one of") as caught:
        write_embedding(tmp_path / "x.foo", ["a"], np.ones((1, 2)))
    assert re.findall(r"\.\w+(?=[,\s])", str(caught.value)) == list(EMBEDDING_SUFFIXES)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.csv", b"", "a header .* is missing"),
        ("v.csv", b"id\na\n", "a header .* is missing"),
        ("v.csv", b"id,x0\na,1\nb,1,2\n", "line 3: 2 columns wanted, got 3"),
        ("v.tsv", b"id\tx0\na\tone\n", "line 2: could not convert"),
        ("v.csv", b"id,x0\n\xff,1\n", "not UTF-8"),
        ("v.npz", b"PK no zip", r"not an \.npz file"),
        ("v.npz", b"", r"not an \.npz file"),
        ("v.parquet", b"PAR1 none", "v.parquet: "),
        ("v.txt", b"one line\n", "v.txt"),
        ("v.gemb", b"\x89GEMB", "v.gemb"),
    ],
)
def test_damaged_files_of_vectors(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        read_embedding(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"embedding": np.ones((2, 2))}, "node_ids"),
        ({"embedding": np.ones((2, 2)), "node_ids": np.arange(3)}, "do not match"),
        ({"embedding": np.ones(2), "node_ids": np.arange(2)}, "do not match"),
        ({"embedding": np.ones((1, 2)), "node_ids": np.array([{}])}, "allow_pickle"),
    ],
)
def test_npz_files_of_others(tmp_path, arrays, message):
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(FileFormatError, match=message):
        read_embedding(tmp_path / "v.npz")


def test_parquet_without_ids(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"x": [1.0], "y": [2.0]}), tmp_path / "v.parquet")
    with pytest.raises(FileFormatError, match="must be 'id'"):
        read_embedding(tmp_path / "v.parquet")


def test_a_model_without_an_embedding(tmp_path):
    save_model(tmp_path / "m.gemb", estimator="Other", params={}, node_ids=["a"], arrays={})
    with pytest.raises(FileFormatError, match="the saved Other has no embedding"):
        read_embedding(tmp_path / "m.gemb")


def test_parquet_without_pyarrow_is_found_before_any_work(tmp_path, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(validation.importlib, "import_module", missing)
    with pytest.raises(ImportError, match="pip install"):
        check_output(tmp_path / "out.parquet")


# -- Labels ----------------------------------------------------------------------------------


def labels_of(tmp_path, text, ids=("a", "b", "c")):
    path = tmp_path / "labels"
    path.write_text(text, encoding="utf-8")
    labels = read_labels(path, list(ids))
    dense = labels.indicator.toarray()
    assert dense.dtype == bool
    return {
        node: {labels.names[j] for j in np.flatnonzero(row)}
        for node, row in zip(ids, dense, strict=True)
    }


@pytest.mark.parametrize(
    "text",
    [
        "a,red\nb,blue\na,blue\n",
        "id,colour\na,red\nb,blue\na,blue\n",
        "\ufeffNode,colour\r\na, red\r\nb,blue\r\na,blue",
        "# colours\n\na red\nb   blue\na blue\n",
        "a\tred\nb\tblue\na\tblue\na\tblue\n",
        '"a";"red"\n"b";"blue"\n"a";"blue"\n',
    ],
)
def test_labels(tmp_path, text):
    assert labels_of(tmp_path, text) == {"a": {"red", "blue"}, "b": {"blue"}, "c": set()}


def test_a_node_named_id_is_no_header(tmp_path):
    assert labels_of(tmp_path, "id,red\na,blue\n", ids=("id", "a")) == {
        "id": {"red"},
        "a": {"blue"},
    }


def test_labels_of_strangers_are_left_out_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="2 lines were left out.*line 2: 'x'"):
        found = labels_of(tmp_path, "a,red\nx,red\ny,green\n")
    assert found == {"a": {"red"}, "b": set(), "c": set()}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ValueError, "no line labels a node"),
        ("id,label\n", ValueError, "no line labels a node"),
        ("x,red\ny,red\n", ValueError, "no line labels a node of the embedding, such as 'x' in"),
        ("a,red\nb\n", FileFormatError, "line 2: a node id and one label wanted, got 'b'"),
        ("a,red,blue\n", FileFormatError, "line 1: a node id and one label wanted"),
        ("a,\n", FileFormatError, "line 1: a node id and one label wanted"),
    ],
)
def test_bad_labels(tmp_path, text, error, message):
    with pytest.raises(error, match=message):
        labels_of(tmp_path, text)


def test_labels_that_are_no_text(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(b"a,\xff\n")
    with pytest.raises(FileFormatError, match="not UTF-8"):
        read_labels(path, ["a"])


# -- Graphs ----------------------------------------------------------------------------------


@pytest.fixture
def edge_list(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("a,b,2\nb,c,3\n")
    return path


def test_options_of_edge_lists(edge_list):
    assert read_graph(edge_list) == Graph.from_edges([("a", "b", 2.0), ("b", "c", 3.0)])
    assert read_graph(edge_list, weighted=False) == Graph.from_edges([("a", "b"), ("b", "c")])
    assert read_graph(edge_list, directed=True).directed
    with pytest.raises(GraphFormatError, match="2 or 3 columns wanted, got 1"):
        read_graph(edge_list, file_format="space")


def test_columns_of_edge_lists(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("w,to,why,from\n2,b,x,a\n3,c,y,b\n")
    graph = read_graph(path, source="from", target="to", weight="w")
    assert graph == Graph.from_edges([("a", "b", 2.0), ("b", "c", 3.0)])


def test_saved_graphs(tmp_path):
    graph, path = Graph.from_edges([("a", "b")], directed=True), tmp_path / "saved"
    graph.save(path)
    assert read_graph(path) == graph


@pytest.mark.parametrize(
    "option",
    [
        {"directed": True},
        {"weighted": False},
        {"source": "s"},
        {"target": "t"},
        {"weight": "w"},
        {"file_format": "csv"},
    ],
)
def test_saved_graphs_take_no_options(tmp_path, option):
    path = tmp_path / "saved"
    Graph.from_edges([("a", "b")]).save(path)
    with pytest.raises(ValueError, match=r"saved graph.*are for edge lists only"):
        read_graph(path, **option)


def test_a_csv_field_beyond_every_limit(tmp_path):
    path = tmp_path / "vectors.csv"
    path.write_text("id,x0\n" + "a" * 200_000 + ",1.0\n")
    with pytest.raises(FileFormatError, match=r"vectors\.csv: field larger than field limit"):
        read_embedding(path)
