"""The strongest links between items, row by row, without a dense matrix of items by items."""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed.recsys._blas import for_blocks
from graphembed.recsys.base import IndexArray
from graphembed.recsys.top_k import top_k_scores

_BLOCK_ENTRIES = 2**22


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
