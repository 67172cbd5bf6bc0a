"""Neighbourhoods of items: those that walks visit most, and those that are alike in content."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed.recsys.interactions import Interactions
from graphembed.recsys.top_k import top_k_scores
from graphembed.samplers.importance import importance_neighbors

_BLOCK_ENTRIES = 2**23  # of dense similarities held at a time
_EXACT_UP_TO = 100_000  # items
_WALK_SEED = 0  # always the same, so that the walks from a new item are those of a fit with it


@dataclass(frozen=True)
class Neighbors:
    """The most important neighbours of items, the first first.

    Attributes
    ----------
    index : ndarray of int32, shape (n, top)
        Items; -1 where there are no more.
    weight : ndarray of float32, shape (n, top)
        Importances, not negative; 0 where there is no item.
    """

    index: NDArray[np.int32]
    weight: NDArray[np.float32]

    def ranks(self, first: int, last: int | None) -> "Neighbors":
        """A copy of some columns."""
        return Neighbors(self.index[:, first:last].copy(), self.weight[:, first:last].copy())


def visited(
    train: Interactions,
    items: NDArray[Any],
    *,
    top: int,
    n_walks: int | None,
    beta: float,
    n_jobs: int,
) -> Neighbors:
    """Neighbours by shares of the visits of short walks with restarts (Ying et al. 2018, 3.1).

    The graph is that of users and items without weights.
    """
    exact = n_walks is None and train.n_items <= _EXACT_UP_TO
    index, weight = importance_neighbors(
        train.implicit().to_graph(),
        items + train.n_users,
        n_walks=1000 if n_walks is None else n_walks,
        top=top,
        beta=beta,
        stride=2,
        random_state=_WALK_SEED,
        n_jobs=n_jobs,
        exact=exact,
    )
    return Neighbors(np.where(index >= 0, index - train.n_users, -1).astype(np.int32), weight)


def alike(
    rows: sp.csr_matrix,
    others: sp.csr_matrix,
    allowed: NDArray[Any],
    *,
    top: int,
    n_jobs: int,
    own: NDArray[Any] | None = None,
) -> Neighbors:
    """Neighbours by the cosine of features, among the allowed rows of `others`.

    ``own[i]`` is the row of `others` that row i is itself. Only positive cosines count.
    """
    n = rows.shape[0]
    index, weight = np.full((n, top), -1, np.int32), np.zeros((n, top), np.float32)
    if not len(allowed):
        return Neighbors(index, weight)
    back = sp.csc_matrix(others[allowed].T)
    place = np.full(others.shape[0], -1, np.int64)
    place[allowed] = np.arange(len(allowed))
    size = max(1, _BLOCK_ENTRIES // len(allowed))
    for begin in range(0, n, size):
        block = slice(begin, min(begin + size, n))
        cosines = (rows[block] @ back).toarray()
        if own is not None:
            selves = place[own[block]]
            known = np.flatnonzero(selves >= 0)
            cosines[known, selves[known]] = 0
        found, values = top_k_scores(cosines, top, n_jobs=n_jobs)
        kept = values > 0
        index[block] = np.where(kept, allowed[np.maximum(found, 0)], -1)
        weight[block] = np.where(kept, values, 0)
    return Neighbors(index, weight)


def filled(first: Neighbors, second: Neighbors | None) -> Neighbors:
    """The first neighbours of each item, or the second where there are none."""
    if second is None:
        return first
    empty = np.all(first.index < 0, axis=1, keepdims=True)
    return Neighbors(
        np.where(empty, second.index, first.index), np.where(empty, second.weight, first.weight)
    )
