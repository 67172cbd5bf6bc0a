"""The walks that a skip-gram model is trained on, made as they are needed and never stored."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphembed import _walks
from graphembed.samplers.walks import Walker, walk_seed


@dataclass(frozen=True)
class WalkCorpus:
    """`n_walks` walks from every node, drawn afresh in every epoch, in random order.

    The walks of epoch 0 are the rows of ``sample_walks(..., random_state=...)`` with the same
    seed. Round ``r`` of an epoch walks once from every node, in an order of its own (Perozzi et
    al. 2014, algorithm 1, lines 4 to 6).

    Parameters
    ----------
    walker : Walker
        The walk law.
    walk_length : int
        Nodes per walk.
    n_walks : int
        Rounds per epoch.
    seed : int
        The run's unsigned 64-bit seed.
    n_threads : int
        Threads that walk; the walks do not depend on it.
    """

    walker: Walker
    walk_length: int
    n_walks: int
    seed: int
    n_threads: int

    @property
    def n_nodes(self) -> int:
        """Nodes of the graph."""
        return self.walker.graph.n_nodes

    def blocks(
        self, epoch: int, max_rows: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        """Walk through one epoch.

        Parameters
        ----------
        epoch : int
            Which epoch.
        max_rows : int
            Walks per block at most; the blocks of a round are about equal.

        Yields
        ------
        walk_ids : ndarray of shape (n_rows,), dtype=int64
            Number of each walk.
        walks : ndarray of shape (n_rows, walk_length), dtype=int32
            Node indices, -1 padded. The array is used again for the next block.
        """
        n_nodes = self.n_nodes
        n_blocks = -(-n_nodes // max_rows)
        edges = [n_nodes * i // n_blocks for i in range(n_blocks + 1)]
        order = np.empty(n_nodes, np.int32)
        buffer = np.empty((-(-n_nodes // n_blocks), self.walk_length), np.int32)
        for number in range(epoch * self.n_walks, (epoch + 1) * self.n_walks):
            order[:] = np.arange(n_nodes, dtype=np.int32)
            _walks.shuffle(order, (self.seed + number + 1) % 2**64)
            for begin, end in itertools.pairwise(edges):
                starts = order[begin:end]
                walk_ids = starts.astype(np.int64) + number * n_nodes
                walks = buffer[: len(starts)]
                self.walker.walk(
                    starts, walk_ids, walks, seed=walk_seed(self.seed), n_threads=self.n_threads
                )
                yield walk_ids, walks

    def add_visits(self, walks: NDArray[np.int32], counts: NDArray[np.int64]) -> None:
        """Add to `counts` how often each node stands in `walks`.

        Parameters
        ----------
        walks : ndarray of shape (n_rows, walk_length), dtype=int32
            A block of walks.
        counts : ndarray of shape (n_nodes,), dtype=int64
            Changed in place.
        """
        _walks.count_visits(walks, counts)
