"""Approximate search by faiss or usearch, with its recall measured against exact search."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphembed._storage import StrPath, decode_ids, encode_ids, read_arrays, write_arrays
from graphembed._validation import (
    check_params,
    draw_seed,
    effective_n_threads,
    import_optional,
    int_at_least,
    int_in,
    n_jobs_like,
    one_of,
    random_state_like,
)
from graphembed.exceptions import FileFormatError
from graphembed.recsys.top_k import top_k

__all__ = ["Index", "build_index"]

_KIND = "ann index"
_CONSTRAINTS = {
    "backend": one_of("faiss", "usearch"),
    "metric": one_of("ip", "cosine"),
    "connectivity": int_in(2, 256),
    "ef_construction": int_at_least(1),
    "ef_search": int_at_least(1),
    "recall_at": int_at_least(1),
    "random_state": random_state_like(),
    "n_jobs": n_jobs_like(),
}
_N_SAMPLE = 500
# Norms that differ more than this, the 95th percentile over the 5th, are warned of.
_SPREAD = 1.5


@dataclass(frozen=True, eq=False, repr=False)
class Index:
    """A graph index (HNSW) over vectors with ids; made by `build_index` or `load`.

    Attributes
    ----------
    ids : ndarray of shape (n,)
        Id of each vector.
    backend : str
        The library that holds the vectors.
    metric : str
        What is searched for: the largest inner product, or cosine.
    recall : float
        Share of the exact `recall_at` nearest that a search finds, as measured on a sample of
        queries when the index was built.
    recall_at : int
        The length of these lists.
    n_components : int
        Width of the vectors.
    native : object
        The library's own index; its labels are positions in `ids`.
    """

    native: Any
    ids: NDArray[Any]
    backend: str
    metric: str
    n_components: int
    recall: float
    recall_at: int

    def __repr__(self) -> str:
        return (
            f"Index({len(self.ids)} vectors of {self.n_components} components, {self.backend}, "
            f"{self.metric}, recall@{self.recall_at} = {self.recall:.3f})"
        )

    def search(
        self, queries: ArrayLike, k: int = 10, *, n_jobs: int | None = None
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Find the vectors near each query.

        Parameters
        ----------
        queries : array_like of shape (n, n_components) or (n_components,)
            Query vectors.
        k : int, default=10
            How many to find.
        n_jobs : int, optional
            Threads; -1 means all cores.

        Returns
        -------
        ids : ndarray of shape (n, k), or (k,) for a single query
            Ids, the best first; -1 (None if ids are no signed integers) where fewer were found.
        scores : ndarray of the same shape, dtype=float32
            Inner products or cosines; -inf where fewer were found.

        Raises
        ------
        TypeError
            If the queries are ids, or other things than vectors.
        ValueError
            If the queries have another width or are not finite, or `k` is out of range.
        """
        check_params({"k": k, "n_jobs": n_jobs}, {"k": int_at_least(1), "n_jobs": n_jobs_like()})
        given = np.asarray(queries)
        if given.ndim == 0 or given.dtype.kind != "f":
            raise TypeError(
                "search takes vectors of a floating type, such as user_vectors[i], got "
                f"{given.dtype} of shape {given.shape}"
            )
        rows = _as_vectors("queries", given[None] if given.ndim == 1 else given, self.metric)
        if rows.shape[1] != self.n_components:
            raise ValueError(
                f"queries must have {self.n_components} columns, got the shape {given.shape}"
            )
        places, scores = _search(self.backend, self.native, rows, k, effective_n_threads(n_jobs))
        found = self.ids[places]
        if (places < 0).any():
            kept: Any = found if found.dtype.kind == "i" else found.astype(object)
            kept[places < 0] = -1 if found.dtype.kind == "i" else None
            found = kept
        return (found[0], scores[0]) if given.ndim == 1 else (found, scores)

    def save(self, path: StrPath) -> None:
        """Write the index to one file, atomically; `load` reads it.

        The file is graphembed's own, ids and all. ``faiss.write_index(index.native, path)`` or
        ``index.native.save(path)`` of usearch write the library's, whose labels are positions in
        `ids`.

        Parameters
        ----------
        path : str or path-like
            The file.

        Raises
        ------
        TypeError
            If an id is of a type that cannot be saved without pickle.
        """
        meta, arrays = encode_ids(self.ids)
        meta |= {
            "backend": self.backend, "metric": self.metric, "n_components": self.n_components,
            "recall": self.recall, "recall_at": self.recall_at,
        }  # fmt: skip
        if self.backend == "faiss":
            data = _library("faiss").serialize_index(self.native)
        else:
            data = np.frombuffer(self.native.save(), np.uint8)
            # Which its file does not hold.
            meta["ef_construction"] = int(self.native.expansion_add)
            meta["ef_search"] = int(self.native.expansion_search)
        write_arrays(path, kind=_KIND, meta=meta, arrays=arrays | {"index": data})

    @classmethod
    def load(cls, path: StrPath) -> Self:
        """Read an index that `save` wrote.

        The file's checksum is compared, but its inner part is read by faiss or usearch, which do
        not look out for malice: load files that you trust.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        Index
            The index.

        Raises
        ------
        FileFormatError
            If the file is something else, or damaged.
        ImportError
            If the index's library is not installed.
        """
        meta, arrays = read_arrays(path, kind=_KIND)
        backend, n_components = meta.get("backend"), meta.get("n_components")
        if backend not in ("faiss", "usearch") or "index" not in arrays:
            raise FileFormatError(f"{os.fspath(path)!r} names no backend of {__name__}")
        ids = decode_ids(meta, arrays)
        if backend == "faiss":
            native = _library("faiss").deserialize_index(arrays["index"])
            size, width = native.ntotal, native.d
        else:
            native = _library("usearch").Index.restore(arrays["index"].tobytes())
            native.expansion_add = meta["ef_construction"]
            native.expansion_search = meta["ef_search"]
            size, width = len(native), native.ndim
        if (size, width) != (len(ids), n_components):
            raise FileFormatError(
                f"{os.fspath(path)!r} holds {size} vectors of {width} components, not {len(ids)} "
                f"of {n_components}"
            )
        return cls(
            native, ids, backend=backend, metric=meta["metric"], n_components=width,
            recall=meta["recall"], recall_at=meta["recall_at"],
        )  # fmt: skip


def build_index(
    vectors: ArrayLike,
    *,
    ids: ArrayLike | None = None,
    backend: str = "faiss",
    metric: str = "ip",
    connectivity: int = 32,
    ef_construction: int = 200,
    ef_search: int = 128,
    queries: ArrayLike | None = None,
    recall_at: int = 20,
    random_state: Any = None,
    n_jobs: int | None = None,
) -> Index:
    """Build an index for approximate search, and measure what it finds.

    Below a million vectors `top_k` is exact and mostly fast enough. The index is a navigable graph
    (HNSW), which finds the largest inner products badly where norms differ: vectors of equal length
    (``metric="cosine"``) are safe, of others the measured recall tells.

    Parameters
    ----------
    vectors : array_like of float32 or float64, shape (n, d)
        The vectors, kept as float32.
    ids : array_like of shape (n,), optional
        Their ids. None means the row numbers.
    backend : {"faiss", "usearch"}, default="faiss"
        The library; both come with ``pip install 'graphembed[ann]'``.
    metric : {"ip", "cosine"}, default="ip"
        Inner product; or cosine, for which vectors and queries are brought to length 1.
    connectivity : int, default=32
        Links of a vector in the graph.
    ef_construction : int, default=200
        Candidates looked at for the links of a new vector.
    ef_search : int, default=128
        Candidates looked at by a search: more are slower and find more.
    queries : array_like of shape (m, d), optional
        Queries of the kind that will be asked, such as user vectors; up to 500 of them are drawn
        to measure the recall. None means the vectors themselves.
    recall_at : int, default=20
        Length of the lists that are compared, or the number of vectors if it is smaller.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Seed of the sample of queries.
    n_jobs : int, optional
        Threads; -1 means all cores. With more than one the graph depends on their timing.

    Returns
    -------
    Index
        The index; its attribute ``recall`` is what was measured.

    Raises
    ------
    ImportError
        If the library is not installed.
    ValueError
        If vectors are not finite, ids are not as many, or a parameter is out of range.

    Warns
    -----
    UserWarning
        If ``metric="ip"`` and the norms differ by more than half.

    Notes
    -----
    About O(n log n) time. Memory: the vectors once more, and 8 bytes per link.
    """
    given = {
        "backend": backend, "metric": metric, "connectivity": connectivity,
        "ef_construction": ef_construction, "ef_search": ef_search, "recall_at": recall_at,
        "random_state": random_state, "n_jobs": n_jobs,
    }  # fmt: skip
    check_params(given, _CONSTRAINTS, owner="build_index")
    rows = _as_vectors("vectors", np.asarray(vectors), metric)
    if rows.size == 0:
        raise ValueError(f"vectors must not be empty, got the shape {rows.shape}")
    names = np.arange(len(rows)) if ids is None else np.asarray(ids)
    if names.shape != (len(rows),):
        raise ValueError(f"ids must have the shape ({len(rows)},), got {names.shape}")
    asked = rows if queries is None else _as_vectors("queries", np.asarray(queries), metric)
    if asked.shape[1] != rows.shape[1]:
        raise ValueError(f"queries must have {rows.shape[1]} columns, got the shape {asked.shape}")
    if len(asked) == 0:
        raise ValueError("queries must not be empty: None means the vectors themselves")
    n_threads = effective_n_threads(n_jobs)
    native = _build(backend, rows, connectivity, ef_construction, ef_search, n_threads)
    chosen = np.random.default_rng(draw_seed(random_state)).permutation(len(asked))[:_N_SAMPLE]
    sample = asked[chosen]
    recall_at = min(recall_at, len(rows))
    recall = _recall(backend, native, rows, sample, recall_at, n_threads)
    low, high = np.percentile(np.linalg.norm(rows, axis=1), [5, 95])
    if metric == "ip" and high > _SPREAD * low:
        warnings.warn(
            f"the vectors' norms differ (from {low:.3g} to {high:.3g}), and a graph index finds "
            f"large inner products badly then: recall@{recall_at} is {recall:.3f}; use "
            "metric='cosine', or top_k, which is exact",
            stacklevel=2,
        )
    return Index(
        native, names, backend=backend, metric=metric, n_components=rows.shape[1], recall=recall,
        recall_at=recall_at,
    )  # fmt: skip


def _library(backend: str) -> ModuleType:
    return import_optional("usearch.index" if backend == "usearch" else backend, extra="ann")


def _as_vectors(name: str, values: NDArray[Any], metric: str) -> NDArray[np.float32]:
    """Finite rows as float32, of length 1 for cosines."""
    if values.dtype.kind != "f":
        raise TypeError(f"{name} must be of a floating type, got {values.dtype}")
    if values.ndim != 2:
        raise ValueError(f"{name} must have two dimensions, got the shape {values.shape}")
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise ValueError(f"{name} must be finite, those in row {row} are not")
    rows = np.ascontiguousarray(values, np.float32)
    if metric == "ip":
        return rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    norms[norms == 0] = 1
    unit: NDArray[np.float32] = rows / norms
    return unit


def _build(
    backend: str,
    rows: NDArray[np.float32],
    connectivity: int,
    ef_construction: int,
    ef_search: int,
    n_threads: int,
) -> Any:
    """Make the library's index."""
    if backend == "faiss":
        faiss = _library("faiss")
        native = faiss.IndexHNSWFlat(rows.shape[1], connectivity, faiss.METRIC_INNER_PRODUCT)
        native.hnsw.efConstruction, native.hnsw.efSearch = ef_construction, ef_search
        with _faiss_threads(faiss, n_threads):
            native.add(rows)
        return native
    native = _library("usearch").Index(
        ndim=rows.shape[1], metric="ip", dtype="f32", connectivity=connectivity,
        expansion_add=ef_construction, expansion_search=ef_search,
    )  # fmt: skip
    native.add(np.arange(len(rows), dtype=np.uint64), rows, threads=n_threads)
    return native


def _search(
    backend: str, native: Any, rows: NDArray[np.float32], k: int, n_threads: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Positions, -1 where too few were found, and inner products."""
    n = native.ntotal if backend == "faiss" else len(native)
    places = np.full((len(rows), k), -1, np.int64)
    scores = np.full((len(rows), k), -np.inf, np.float32)
    found = min(k, n)
    if len(rows) == 0:
        return places, scores
    if backend == "faiss":
        faiss = _library("faiss")
        with _faiss_threads(faiss, n_threads):
            products, labels = native.search(rows, found)
        places[:, :found] = labels
        scores[:, :found] = np.where(labels >= 0, products, -np.inf)
        return places, scores
    matches = native.search(rows, found, threads=n_threads)
    keys = np.atleast_2d(matches.keys).astype(np.int64)
    distances = np.atleast_2d(matches.distances)
    counts = np.atleast_1d(getattr(matches, "counts", len(matches)))
    filled = np.arange(keys.shape[1]) < counts[:, None]
    places[:, : keys.shape[1]] = np.where(filled, keys, -1)
    scores[:, : keys.shape[1]] = np.where(filled, 1 - distances, -np.inf)
    return places, scores


def _recall(
    backend: str,
    native: Any,
    rows: NDArray[np.float32],
    queries: NDArray[np.float32],
    k: int,
    n_threads: int,
) -> float:
    """Share of places whose score reaches that of the last exact one; ties are no misses."""
    exact = top_k(queries, rows, k, n_jobs=n_threads)[1][:, -1:]
    places, _ = _search(backend, native, queries, k, n_threads)
    scores = np.einsum("ij,ikj->ik", queries, rows[places])
    reached = (places >= 0) & (scores >= exact - 1e-5 * np.abs(exact))
    return float(reached.mean())


@contextmanager
def _faiss_threads(faiss: Any, n_threads: int) -> Iterator[None]:
    """Let faiss use so many threads; what it is set to is put back."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n_threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
