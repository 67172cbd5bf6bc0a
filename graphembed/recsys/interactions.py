"""Stand-in until the real module is merged: a matrix with ids."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed.graph import Graph, NodeIndex


class Interactions:
    """Rows are users, columns are items."""

    def __init__(self, matrix: Any, user_ids: Any, item_ids: Any) -> None:
        self.matrix, self.user_ids, self.item_ids = matrix, user_ids, item_ids
        self.times = None
        self._users, self._items = NodeIndex(user_ids), NodeIndex(item_ids)

    @classmethod
    def from_csr(
        cls, matrix: Any, user_ids: Any = None, item_ids: Any = None, times: Any = None
    ) -> "Interactions":
        """Take a scipy matrix."""
        m = sp.csr_matrix(matrix, dtype=np.float32)
        m.sum_duplicates()
        m.sort_indices()
        users = np.arange(m.shape[0]) if user_ids is None else _ids(user_ids)
        items = np.arange(m.shape[1]) if item_ids is None else _ids(item_ids)
        return cls(m, users, items)

    @property
    def n_users(self) -> int:
        """Rows."""
        return int(self.matrix.shape[0])

    @property
    def n_items(self) -> int:
        """Columns."""
        return int(self.matrix.shape[1])

    @property
    def n_interactions(self) -> int:
        """Entries."""
        return int(self.matrix.nnz)

    def user_index(self, ids: Any) -> NDArray[np.int64]:
        """Positions of ids."""
        return self._users.positions(ids)

    def item_index(self, ids: Any) -> NDArray[np.int64]:
        """Positions of ids."""
        return self._items.positions(ids)

    def to_graph(self) -> Graph:
        """Bipartite graph: users, then items."""
        m = self.matrix
        both = sp.bmat([[None, m], [m.T, None]], format="csr")
        weight = None if (m.data == 1).all() else "weight"
        return Graph.from_any(both, directed=False, weight=weight)


def _ids(ids: Any) -> NDArray[Any]:
    array = np.asarray(ids)
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    return np.fromiter(ids, object, len(ids))
