"""Finding the index of a node by its id."""

import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

from graphembed._ingest.edge_list import Array

_INT64 = np.iinfo(np.int64)


class NodeIndex:
    """Map node ids to their positions in an array of ids.

    Ids 0..n-1 need no table; other integers are looked up by binary search, anything else in a
    dict; both are made at the first use.

    Parameters
    ----------
    node_ids : ndarray of shape (n_nodes,)
        Distinct ids, int64 or object.
    """

    def __init__(self, node_ids: Array) -> None:
        self._ids = node_ids
        self._is_integer = node_ids.dtype.kind == "i"
        self._is_range = bool(
            self._is_integer
            and (not len(node_ids) or (node_ids[0] == 0 and node_ids[-1] == len(node_ids) - 1))
            and np.array_equal(node_ids, np.arange(len(node_ids)))
        )
        self._order: Array | None = None
        self._table: dict[Any, int] | None = None

    def __contains__(self, node: object) -> bool:
        try:
            self.position(node)
        except (KeyError, TypeError):
            return False
        return True

    def position(self, node: Any) -> int:
        """Return the position of one id.

        Parameters
        ----------
        node : hashable
            The id.

        Returns
        -------
        int
            Its position.

        Raises
        ------
        KeyError
            If there is no such node.
        """
        if isinstance(node, bool | np.bool_):
            raise KeyError(node)
        if not self._is_integer:
            if self._table is None:
                self._table = {node: i for i, node in enumerate(self._ids.tolist())}
            return self._table[node]
        if isinstance(node, float | np.floating) and float(node).is_integer():
            node = int(node)
        if not isinstance(node, numbers.Integral) or not _INT64.min <= int(node) <= _INT64.max:
            raise KeyError(node)
        return int(self._search(np.array([node], dtype=np.int64))[0])

    def positions(self, nodes: Iterable[Any]) -> Array:
        """Return the positions of many ids.

        Parameters
        ----------
        nodes : iterable of hashables
            The ids.

        Returns
        -------
        ndarray of int64
            Their positions.

        Raises
        ------
        KeyError
            If one is not there; the message names it.
        """
        if isinstance(nodes, str | bytes):
            raise TypeError(f"ids must come as a list or an array, got {nodes!r}")
        if self._is_integer:
            if not isinstance(nodes, np.ndarray):
                nodes = list(nodes)
                if all(type(node) is int for node in nodes):
                    nodes = np.array(nodes) if nodes else np.empty(0, dtype=np.int64)
            if isinstance(nodes, np.ndarray) and nodes.dtype.kind == "i":
                return self._search(nodes.astype(np.int64, copy=False).ravel())
        found = [self.position(node) for node in nodes]
        return np.array(found, dtype=np.int64)

    def _search(self, wanted: Array) -> Array:
        """Positions of int64 ids."""
        n_nodes = len(self._ids)
        if self._is_range:
            missing = (wanted < 0) | (wanted >= n_nodes)
            positions = wanted.copy()
        else:
            if self._order is None:
                self._order = np.argsort(self._ids, kind="stable")
            place = np.searchsorted(self._ids, wanted, sorter=self._order)
            positions = self._order[np.minimum(place, n_nodes - 1)]
            missing = self._ids[positions] != wanted
        if missing.any():
            raise KeyError(int(wanted[np.argmax(missing)]))
        return positions
