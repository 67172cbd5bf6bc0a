"""Ids that users give and get, and interactions, as positions in those of `fit`."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed.recsys.interactions import Interactions

IndexArray = NDArray[np.integer[Any]]

_REMEDY = "Interactions.from_arrays(users, items, item_ids=model.train_.item_ids) makes them so"


def as_interactions(data: Any, name: str = "train") -> Interactions:
    """Return Interactions as they are, and those of a sparse matrix.

    Parameters
    ----------
    data : Interactions or scipy sparse matrix
        Users are rows, items are columns.
    name : str, default="train"
        What the argument is called.

    Returns
    -------
    Interactions
        With the ids 0, 1, 2, ... if a matrix was given.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if isinstance(data, Interactions):
        return data
    if sp.issparse(data):
        return Interactions.from_csr(data)
    raise TypeError(
        f"{name} must be Interactions or a scipy sparse matrix of users and items, got "
        f"{type(data).__name__}: see Interactions.from_frame and from_arrays"
    )


def rows_of(histories: Any, item_ids: NDArray[Any]) -> sp.csr_matrix:
    """Histories as a matrix; their columns must be the items of `fit`."""
    if isinstance(histories, Interactions):
        if not np.array_equal(histories.item_ids, item_ids):
            raise ValueError(
                f"histories must have the same items as train, in the same order: {_REMEDY}"
            )
        matrix: sp.csr_matrix = histories.matrix
        return matrix
    found = getattr(histories, "shape", type(histories).__name__)
    if not sp.issparse(histories) or found[1] != len(item_ids):
        raise ValueError(
            "histories must be Interactions or a sparse matrix with a column for each of the "
            f"{len(item_ids)} items of train, got {found}: {_REMEDY}"
        )
    rows: sp.csr_matrix = Interactions.from_csr(histories, item_ids=item_ids).matrix
    return rows


def positions_of_users(train: Interactions, users: Any) -> IndexArray:
    """Positions of users by their ids; None means all."""
    return np.arange(train.n_users) if users is None else train.user_index(users)


def positions_of_items(train: Interactions, items: Any) -> IndexArray:
    """Positions of several items by their ids."""
    if not is_sequence(items):
        raise ValueError(f"items must be a list or an array of ids, got {items!r:.200}")
    return train.item_index(items)


def ids_at(item_ids: NDArray[Any], index: NDArray[np.int32]) -> NDArray[Any]:
    """Ids at positions; for a position of -1 it is -1 among integers, else None."""
    ids: NDArray[Any] = item_ids[np.maximum(index, 0)]
    ids[index < 0] = -1 if item_ids.dtype.kind in "iu" else None
    return ids


def is_sequence(ids: Any) -> bool:
    """Whether these are several ids; a tuple or a str is one."""
    if isinstance(ids, np.ndarray):
        return ids.ndim == 1
    return isinstance(ids, list | range) or hasattr(ids, "iloc") or hasattr(ids, "to_numpy")
