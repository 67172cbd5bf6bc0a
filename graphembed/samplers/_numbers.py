"""Numbers of nodes, given by first appearance."""

import numpy as np
from numpy.typing import NDArray

from graphembed._kernels import _neighbors
from graphembed._threads import run_parallel


class Numbers:
    """A hash table from nodes to numbers, as large as the nodes that have one.

    Parameters
    ----------
    n_nodes : int
        Nodes are below it.

    Notes
    -----
    Memory: 4 bytes per node that has, or might have had, a number, and 12 to 24 for the table.
    """

    def __init__(self, n_nodes: int) -> None:
        self._n_nodes = n_nodes
        self._index = np.empty(0, np.int32)
        self._count = np.zeros(1, np.int64)
        self._bits = 1
        self._table = np.zeros(2, np.uint64)

    @property
    def count(self) -> int:
        """How many nodes have a number."""
        return int(self._count[0])

    @property
    def node_index(self) -> NDArray[np.int32]:
        """The node of every number."""
        return self._index[: self.count]

    def number(self, nodes: NDArray[np.int32]) -> None:
        """Replace nodes by their numbers; those that have none get the next, in their order."""
        self._make_room(len(nodes))
        self._insert(nodes)

    def _make_room(self, n_more: int) -> None:
        room = min(self.count + n_more, self._n_nodes)
        if room > len(self._index):
            known = self.node_index
            self._index = np.empty(room, np.int32)
            self._index[: len(known)] = known
        bits = max(1, (room + room // 2).bit_length())
        if bits > self._bits:
            self._bits, self._table = bits, np.zeros(2**bits, np.uint64)
            known = self.node_index.copy()
            self._count[0] = 0
            self._insert(known)

    def _insert(self, nodes: NDArray[np.int32]) -> None:
        def kernel(begin: int, end: int, n: int) -> None:
            _neighbors.number_nodes(
                nodes, self._index, self._count, self._table, self._bits, begin, end
            )

        run_parallel(kernel, len(nodes), 1, work=len(nodes))
