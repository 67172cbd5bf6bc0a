"""Skip-gram with hierarchical softmax: the grid over a Huffman tree."""

import numpy as np
from numpy.typing import NDArray

from graphembed._kernels import _hierarchical
from graphembed._threads import run_parallel
from graphembed.estimators._grid import CHUNKS, INSTRUCTIONS, Frequencies, Grid, Kernel, PairOptions

# A subtree with more than this share of a column's steps is dealt out node by node.
_SUBTREES_PER_COLUMN = 4


class HierarchicalSoftmax(Grid):
    """The grid whose entries are steps; the columns are sets of inner nodes.

    Row i of the output table is the vector of inner node i.
    """

    def _prepare(self, frequencies: Frequencies) -> tuple[float, int]:
        visits = frequencies.astype(np.int64)
        n_inner = len(visits) - 1
        self.pairs_of_chunk = np.zeros(CHUNKS, np.int64)
        self.up, weights, sums = huffman_tree(visits)
        self.column = np.empty(n_inner, np.int32)
        loads = np.zeros(self.n_parts, np.int64)
        n_steps = int(sums[-1]) if n_inner else 0  # of all visits
        limit = n_steps // (_SUBTREES_PER_COLUMN * self.n_parts)
        run_parallel(
            lambda a, b, n: _hierarchical.deal_columns(
                self.up, weights, sums, limit, self.column, loads, a, b, n
            ),
            n_inner,
            1,
            work=n_inner,
        )
        return n_steps / max(1, int(visits.sum())), 2

    def _count(
        self,
        walks: NDArray[np.int32],
        walk_ids: NDArray[np.int64],
        counts: NDArray[np.int64],
        what: PairOptions,
    ) -> Kernel:
        return lambda a, b, n: _hierarchical.count_steps(
            walks, walk_ids, self.part, self.up, self.column, self.pairs_of_chunk, counts, *what,
            a, b, n,
        )  # fmt: skip

    def _fill(
        self,
        walks: NDArray[np.int32],
        walk_ids: NDArray[np.int64],
        cursors: NDArray[np.int64],
        what: PairOptions,
    ) -> Kernel:
        return lambda a, b, n: _hierarchical.fill_steps(
            walks, walk_ids, self.part, self.up, self.column, cursors, self.centres,
            self.targets.view(np.uint32), *what, a, b, n,
        )  # fmt: skip

    def _train(
        self,
        diagonals: tuple[int, int],
        starts: NDArray[np.int64],
        rates: NDArray[np.float32],
        schedule: NDArray[np.int32],
    ) -> Kernel:
        return lambda a, b, n: _hierarchical.train_diagonals(
            *diagonals, starts, self.centres, self.targets.view(np.uint32), self.input,
            self.output, rates, schedule, INSTRUCTIONS, a, b, n,
        )  # fmt: skip

    def _n_pairs(self, n_entries: int) -> int:
        return int(self.pairs_of_chunk.sum())

    def contexts(self) -> NDArray[np.float32]:
        """No rows: the vectors of inner nodes are of no use later."""
        return np.empty((0, self.config.n_components), np.float32)


def huffman_tree(
    visits: NDArray[np.int64],
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """Build Huffman's tree over the visits; of equal ones the node with the smaller index is first.

    Returns
    -------
    up : ndarray of shape (2 * n_nodes - 2,), dtype=uint32
        The step from each node of the graph, and then from each inner node but the root, to its
        parent: ``inner node << 1 | bit``. The last inner node is the root.
    weights : ndarray of shape (n_nodes - 1,), dtype=int64
        Visits below each inner node.
    sums : ndarray of shape (n_nodes - 1,), dtype=int64
        Sum of the weights in the subtree of each inner node.
    """
    n_inner = len(visits) - 1
    order = np.argsort(visits, kind="stable").astype(np.int32)
    up = np.empty(2 * n_inner, np.uint32)
    weights, sums = np.empty((2, n_inner), np.int64)
    leaf = np.zeros(1, np.int64)
    run_parallel(
        lambda a, b, n: _hierarchical.build_tree(visits, order, up, weights, sums, leaf, a, b, n),
        n_inner,
        1,
        work=n_inner,
    )
    return up, weights, sums
