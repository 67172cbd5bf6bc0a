"""Vectors of recommenders come back from every format, with their ids."""

import numpy as np
import pytest

from graphembed.io import read_embedding, write_embedding
from graphembed.recsys import (
    EASE,
    Interactions,
    VectorRecommender,
    export_vectors,
    to_keyed_vectors,
)


class Plain(VectorRecommender):
    """A model whose vectors are known."""

    n_jobs = None

    def _fit(self, train, *, seed, n_threads):
        rng = np.random.default_rng(seed)
        self.users = rng.normal(size=(train.n_users, 5)).astype(np.float32)
        self.items = rng.normal(size=(train.n_items, 5)).astype(np.float32)
        self.items[0] = 0

    def _queries(self, users):
        return self.users[users]

    def _targets(self):
        return self.items


@pytest.fixture
def model():
    users, items = ["ann", "bob", "cem", "ann"], [30, 10, 20, 10]
    return Plain().fit(Interactions.from_arrays(users, items))


SUFFIXES = ["npz", "parquet", "csv", "tsv", "txt", "w2v", "bin"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("table", ["items", "users"])
def test_vectors_come_back(tmp_path, model, suffix, table):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"vectors.{suffix}"
    export_vectors(path, model, table=table)
    ids, vectors = read_embedding(path)
    wanted = model.train_.item_ids if table == "items" else model.train_.user_ids
    assert ids == [str(value) for value in wanted.tolist()]
    assert np.array_equal(
        vectors.astype(np.float32), model.items if table == "items" else model.users
    )


def test_parquet_holds_lists_of_a_fixed_size(tmp_path, model):
    parquet = pytest.importorskip("pyarrow.parquet")
    export_vectors(tmp_path / "items.parquet", model)
    table = parquet.read_table(tmp_path / "items.parquet")
    assert table.column_names == ["id", "vector"]
    assert str(table.schema.field("vector").type) == "fixed_size_list<element: float>[5]"
    assert table["id"].to_pylist() == [10, 20, 30]
    assert np.array_equal(np.array(table["vector"].to_pylist(), np.float32), model.items)


def test_a_long_table_is_written_in_blocks(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr("graphembed.io._word2vec._BLOCK", 64)
    vectors = np.random.default_rng(0).normal(size=(101, 8))
    write_embedding(tmp_path / "v.parquet", range(101), vectors, vector="v")
    assert np.array_equal(read_embedding(tmp_path / "v.parquet")[1], vectors)


def test_normalized_vectors_have_length_one(tmp_path, model):
    export_vectors(tmp_path / "items.npz", model, normalize=True)
    _, vectors = read_embedding(tmp_path / "items.npz")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([0, 1, 1])
    assert model.items[1] / np.linalg.norm(model.items[1]) == pytest.approx(vectors[1])


def test_keyed_vectors(model):
    pytest.importorskip("gensim")
    items, users = to_keyed_vectors(model), to_keyed_vectors(model, table="users")
    assert items.index_to_key == ["10", "20", "30"]
    assert np.array_equal(users["bob"], model.users[1])


@pytest.mark.parametrize("path", ["items.npz", "items.parquet"])
def test_what_cannot_be_written(tmp_path, path):
    model = EASE().fit(Interactions.from_arrays([1, 2], [1, 2]))
    with pytest.raises(AttributeError, match="EASE scores items without vectors"):
        export_vectors(tmp_path / path, model)
    assert not list(tmp_path.iterdir())


def test_bad_options_are_refused(tmp_path, model):
    with pytest.raises(ValueError, match="table must be one of 'items', 'users'"):
        export_vectors(tmp_path / "a.npz", model, table="item")
    with pytest.raises(ValueError, match="path must end in one of"):
        export_vectors(tmp_path / "a.json", model)
    for path, options in (("a.csv", {}), ("a.parquet", {"names": list("abcde")})):
        with pytest.raises(ValueError, match="vector='v' names the one column"):
            write_embedding(tmp_path / path, [1, 2, 3], model.items, vector="v", **options)


def test_the_order_of_the_arguments_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"the call is export_vectors\(path, model\)"):
        export_vectors(EASE(), tmp_path / "v.npz")
