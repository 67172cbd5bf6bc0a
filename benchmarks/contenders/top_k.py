"""Exact top k by inner product: a run finds the best targets of all queries.

case = {n_queries, n_targets, width, k, masked}. With a mask every query must not be given about 27
targets, as many as a user of Gowalla has seen. The figure is queries per second.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from worker import Unsupported

from contenders import Contender

Vectors = NDArray[np.float32]
Search = Callable[[], NDArray[Any]]

_SEEN = 27


def prepare(
    contender: Contender, case: dict[str, Any], threads: int
) -> Callable[[int], dict[str, Any]]:
    """Draw the vectors; search once, which is compared with plain products."""
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((case["n_queries"], case["width"]), np.float32)
    targets = rng.standard_normal((case["n_targets"], case["width"]), np.float32)
    seen = None
    if case["masked"]:
        columns = rng.integers(0, len(targets), (len(queries), _SEEN), np.int32)
        rows = np.repeat(np.arange(len(queries)), _SEEN)
        seen = sp.csr_matrix(
            (np.ones(columns.size, np.float32), (rows, columns.ravel())),
            shape=(len(queries), len(targets)),
        )
        seen.sum_duplicates()
    search = contender.start(queries, targets, case["k"], seen, threads)
    some = slice(0, 20)
    scores = queries[some] @ targets.T
    if seen is not None:
        scores[seen[some].nonzero()] = -np.inf
    found = np.sort(np.take_along_axis(scores, search()[some].astype(np.int64), axis=1), axis=1)
    exact = np.sort(scores, axis=1)[:, -case["k"] :]
    if not np.allclose(found, exact, rtol=1e-4):
        raise RuntimeError("what was found is not the top k")

    def run(number: int) -> dict[str, Any]:
        return {"work": len(search())}

    return run


def finish(result: dict[str, Any], case: dict[str, Any]) -> dict[str, Any]:
    """Figures of a run."""
    return result


def _graphembed(queries: Vectors, targets: Vectors, k: int, seen: Any, threads: int) -> Search:
    from graphembed.recsys.top_k import top_k

    return lambda: top_k(queries, targets, k, exclude=seen, n_jobs=threads)[0]


def _faiss(queries: Vectors, targets: Vectors, k: int, seen: Any, threads: int) -> Search:
    if seen is not None:
        raise Unsupported("faiss: a query has no mask of its own")
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(targets.shape[1])
    index.add(targets)
    return lambda: index.search(queries, k)[1]


def _implicit(queries: Vectors, targets: Vectors, k: int, seen: Any, threads: int) -> Search:
    from implicit.cpu.topk import topk

    return lambda: topk(targets, queries, k, filter_query_items=seen, num_threads=threads)[0]


def _numpy(queries: Vectors, targets: Vectors, k: int, seen: Any, threads: int) -> Search:
    def search() -> NDArray[Any]:
        found = []
        for first in range(0, len(queries), 256):
            scores = queries[first : first + 256] @ targets.T
            if seen is not None:
                scores[seen[first : first + 256].nonzero()] = -np.inf
            top = np.argpartition(scores, -k, axis=1)[:, -k:]
            order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1)
            found.append(np.take_along_axis(top, order, axis=1))
        return np.concatenate(found)

    return search


CONTENDERS = {
    "graphembed": Contender(_graphembed, ("graphembed",)),
    "faiss": Contender(_faiss, ("faiss-cpu",)),
    "implicit": Contender(_implicit, ("implicit",)),
    "numpy": Contender(_numpy, ("numpy",)),
}
