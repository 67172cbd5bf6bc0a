"""The strongest links between items, row by row, without a dense matrix of items by items."""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed.recsys._blas import for_blocks
from graphembed.recsys.base import IndexArray
from graphembed.recsys.top_k import top_k_scores

_BLOCK_ENTRIES = 2**21
_K1, _B = 1.2, 0.75  # of BM25, as in Robertson and Zaragoza


def strongest_links(
    rows: Callable[[int, int], NDArray[np.float32]], n_items: int, k: int, n_threads: int
) -> sp.csr_matrix:
    """Keep the `k` largest positive entries of each row, the diagonal left out.

    ``rows(begin, end)`` gives rows of the matrix, dense. Of equal entries those of lower columns
    are kept.
    """
    k = min(k, max(1, n_items - 1))
    columns = np.empty((n_items, k), np.int32)
    values = np.empty((n_items, k), np.float32)

    def keep(begin: int, end: int) -> None:
        block = rows(begin, end)
        block[np.arange(end - begin), np.arange(begin, end)] = 0.0
        columns[begin:end], values[begin:end] = top_k_scores(block, k, n_jobs=1)

    for_blocks(keep, n_items, max(1, _BLOCK_ENTRIES // n_items), n_threads)
    there = (columns >= 0) & (values > 0)
    indptr = np.append(0, np.cumsum(there.sum(axis=1)))
    links = sp.csr_matrix((values[there], columns[there], indptr), shape=(n_items, n_items))
    links.sort_indices()
    return links


def score_histories(
    histories: sp.csr_matrix, weights: sp.csr_matrix, candidates: IndexArray | None
) -> NDArray[np.float32]:
    """``histories @ weights``, dense, for the candidates alone if there are any."""
    if candidates is not None:
        weights = weights[:, candidates]
    scores: NDArray[np.float32] = (histories @ weights).toarray()
    return scores


def weighted(matrix: sp.csr_matrix, weighting: str) -> sp.csr_matrix:
    """The values in float64, weighted as words (users) of documents (items)."""
    x = matrix.astype(np.float64)
    if weighting == "none":
        return x
    n_items = x.shape[1]
    idf = np.log1p(n_items / np.maximum(1, np.diff(x.indptr)))
    if weighting == "bm25":
        lengths = np.asarray(x.sum(axis=0)).ravel()
        norm = 1 - _B + _B * lengths / lengths.mean()
        x.data *= (_K1 + 1) / (x.data + _K1 * norm[x.indices])
    else:
        np.sqrt(x.data, out=x.data)
    x.data *= np.repeat(idf, np.diff(x.indptr))
    return x
