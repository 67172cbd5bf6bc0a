"""Approximate search: recall as measured, ids, files, warnings; and what is missing says so."""

import sys

import numpy as np
import pytest

from graphembed.exceptions import FileFormatError
from graphembed.recsys.ann import Index, build_index
from graphembed.recsys.top_k import top_k

BACKENDS = ["faiss", "usearch"]


def vectors(n=2000, d=16, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("metric", ["ip", "cosine"])
@pytest.mark.parametrize("backend", BACKENDS)
class TestBackends:
    @pytest.fixture(autouse=True)
    def _library(self, backend):
        pytest.importorskip(backend)

    def test_search(self, backend, metric):
        rows = vectors()
        ids = np.arange(len(rows)) * 10
        index = build_index(rows, ids=ids, backend=backend, metric=metric, random_state=0)
        assert index.recall > 0.95
        queries = vectors(100, seed=1) * (3 if metric == "cosine" else 1)
        found, scores = index.search(queries, 10)
        unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        exact, exact_scores = top_k(unit, rows, 10)
        assert np.mean([np.isin(a, ids[b]).mean() for a, b in zip(found, exact, strict=True)]) > 0.9
        np.testing.assert_allclose(scores[:, 0], exact_scores[:, 0], atol=0.05)
        np.testing.assert_allclose(
            scores, np.einsum("ij,ikj->ik", unit, rows[found // 10]), atol=1e-5
        )
        assert (np.diff(scores, axis=1) <= 1e-6).all()
        one, values = index.search(queries[7], 10)
        np.testing.assert_array_equal(one, found[7])
        np.testing.assert_allclose(values, scores[7], atol=1e-6)
        assert index.search(queries[:0], 3)[0].shape == (0, 3)
        for asked in (3, [3, 4], "ann", ["ann"], 0.5):
            with pytest.raises(TypeError, match=r"search takes vectors .* user_vectors\[i\], got"):
                index.search(asked)

    def test_files(self, backend, metric, tmp_path):
        ids = np.array([f"item {i}" for i in range(300)], object)
        index = build_index(vectors(300), ids=ids, backend=backend, metric=metric, random_state=0)
        index.save(tmp_path / "index")
        loaded = Index.load(tmp_path / "index")
        assert repr(loaded) == repr(index)
        queries = vectors(5, seed=1)
        for a, b in zip(index.search(queries), loaded.search(queries), strict=True):
            np.testing.assert_array_equal(a, b)
        data = bytearray((tmp_path / "index").read_bytes())
        data[-100] ^= 1
        (tmp_path / "index").write_bytes(data)
        with pytest.raises(FileFormatError, match=r"checksum|damaged"):
            Index.load(tmp_path / "index")

    def test_files_hold_what_a_search_looks_at(self, backend, metric, tmp_path):
        rows, queries = vectors(10_000, 32), vectors(300, 32, seed=1)
        options = {"connectivity": 8, "ef_construction": 40, "ef_search": 400, "random_state": 0}
        index = build_index(rows, backend=backend, metric=metric, **options)
        index.save(tmp_path / "index")
        loaded = Index.load(tmp_path / "index")
        for a, b in zip(index.search(queries, 20), loaded.search(queries, 20), strict=True):
            np.testing.assert_array_equal(a, b)
        if backend == "usearch":
            assert (loaded.native.expansion_add, loaded.native.expansion_search) == (40, 400)

    def test_fewer_vectors_than_asked_for(self, backend, metric):
        index = build_index(np.eye(3), backend=backend, metric=metric)
        ids, scores = index.search(np.eye(3)[:2], 5)
        assert ids[:, 0].tolist() == [0, 1]
        assert (ids[:, 3:] == -1).all()
        assert (scores[:, 3:] == -np.inf).all()
        assert index.recall_at == 3
        unsigned = build_index(np.eye(3), ids=np.arange(3, dtype=np.uint64), backend=backend)
        assert unsigned.search(np.eye(3)[2], 4)[0].tolist()[::3] == [2, None]
        named = build_index(np.eye(3), ids=list("abc"), backend=backend, metric=metric)
        assert named.search(np.eye(3)[2], 5)[0].tolist()[0] == "c"
        assert named.search(np.eye(3)[2], 5)[0].tolist()[3:] == [None, None]

    def test_recall_is_measured(self, backend, metric):
        """A search that looks at few candidates finds fewer, and the figure says so."""
        rows = vectors(5000, 48)
        poor = {"connectivity": 2, "ef_construction": 2, "ef_search": 1}
        options = {"backend": backend, "metric": metric, "random_state": 0, "recall_at": 10}
        index = build_index(rows, queries=vectors(300, 48, seed=1), **poor, **options)
        assert index.recall < 0.8
        found = index.search(vectors(300, 48, seed=1), 10)[0]
        exact = top_k(vectors(300, 48, seed=1), rows, 10)[0]
        overlap = np.mean([np.isin(a, b).mean() for a, b in zip(found, exact, strict=True)])
        assert index.recall == pytest.approx(overlap, abs=1e-3)
        twins = np.repeat(vectors(40, 8), 50, axis=0)  # ties are no misses
        assert build_index(twins, **options).recall > 0.9


@pytest.mark.parametrize("backend", BACKENDS)
def test_inner_products_of_unequal_norms_are_warned_of(backend):
    pytest.importorskip(backend)
    scale = np.random.default_rng(0).lognormal(sigma=1.0, size=(500, 1))
    rows = vectors(500) * scale
    with pytest.warns(UserWarning, match=r"norms differ .* recall@20 is"):
        build_index(rows, backend=backend, random_state=0)
    build_index(rows, backend=backend, metric="cosine", random_state=0)  # without a warning


def test_faiss_is_left_with_its_threads():
    faiss = pytest.importorskip("faiss")
    before = faiss.omp_get_max_threads()
    build_index(vectors(50), n_jobs=2).search(vectors(2), n_jobs=1)
    assert faiss.omp_get_max_threads() == before


def test_a_missing_library_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"pip install 'graphembed\[ann\]'"):
        build_index(vectors(10))


def test_errors(tmp_path):
    bad = vectors(5)
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match="vectors must be finite, those in row 3 are not"):
        build_index(bad)
    with pytest.raises(ValueError, match=r"ids must have the shape \(5,\), got \(4,\)"):
        build_index(vectors(5), ids=range(4))
    with pytest.raises(ValueError, match="backend must be one of 'faiss', 'usearch'"):
        build_index(vectors(5), backend="annoy")
    with pytest.raises(ValueError, match="metric must be one of"):
        build_index(vectors(5), metric="l2")
    with pytest.raises(ValueError, match="vectors must not be empty"):
        build_index(np.empty((0, 3)))
    with pytest.raises(ValueError, match="queries must have 16 columns"):
        build_index(vectors(5), queries=np.ones((2, 3)))
    with pytest.raises(ValueError, match="queries must not be empty"):
        build_index(vectors(5), queries=np.ones((0, 16)))
    with pytest.raises(TypeError, match="vectors must be of a floating type"):
        build_index([[1, 2]])
    with pytest.raises(ValueError, match="vectors must have two dimensions"):
        build_index([1.0, 2.0])
    (tmp_path / "other").write_bytes(b"nothing")
    with pytest.raises(FileFormatError):
        Index.load(tmp_path / "other")
