"""The walks that a skip-gram model is trained on, made as they are needed and never stored."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphembed import _walks
from graphembed._threads import run_parallel
from graphembed.samplers.walker import Walker, walk_seed


@dataclass(frozen=True)
class WalkCorpus:
    """`n_walks` walks from every start node, drawn afresh in every epoch, in random order.

    The walks of epoch 0 are the rows of ``sample_walks(..., random_state=...)`` with the same
    seed. Round ``r`` of an epoch walks once from every start, in an order of its own (Perozzi et
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

    @property
    def n_starts(self) -> int:
        """Nodes that walks begin at: all, or those of the metapath's first type."""
        return self.n_nodes if self.walker.starts is None else len(self.walker.starts)

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
        n_starts = self.n_starts
        n_blocks = -(-n_starts // max_rows)
        edges = [n_starts * i // n_blocks for i in range(n_blocks + 1)]
        buffer = np.empty((-(-n_starts // n_blocks), self.walk_length), np.int32)
        for number in range(epoch * self.n_walks, (epoch + 1) * self.n_walks):
            for begin, end in itertools.pairwise(edges):
                places = self.start_places(number, begin, end)
                walk_ids = places.astype(np.int64) + number * n_starts
                starts = places if self.walker.starts is None else self.walker.starts[places]
                walks = buffer[: len(starts)]
                self.walker.walk(
                    starts, walk_ids, walks, seed=walk_seed(self.seed), n_threads=self.n_threads
                )
                yield walk_ids, walks

    def start_places(self, number: int, begin: int, end: int) -> NDArray[np.int32]:
        """Part of the order in which a round starts from its start nodes.

        Parameters
        ----------
        number : int
            Which round of the run.
        begin, end : int
            Which places of the order.

        Returns
        -------
        ndarray of shape (end - begin,), dtype=int32
            Places `begin` to `end` of a random permutation of all start nodes.
        """
        places = np.empty(end - begin, np.int32)
        seed = (self.seed + number + 1) % 2**64

        def kernel(first: int, last: int, n: int) -> None:
            _walks.permute(places, begin, self.n_starts, seed, first, last, n)

        run_parallel(kernel, len(places), self.n_threads, work=len(places))
        return places

    def add_visits(self, walks: NDArray[np.int32], counts: NDArray[np.int64]) -> None:
        """Add to `counts` how often each node stands in `walks`.

        Parameters
        ----------
        walks : ndarray of shape (n_rows, walk_length), dtype=int32
            A block of walks.
        counts : ndarray of shape (n_nodes,), dtype=int64
            Changed in place.

        Notes
        -----
        The threads count parts of the walks in arrays of their own, `n_nodes` int64 each, as far
        as these take no more than half of the memory of `walks`.
        """
        n_parts = max(1, min(self.n_threads, walks.size // (4 * len(counts))))
        parts = counts[np.newaxis] if n_parts == 1 else np.zeros((n_parts, len(counts)), np.int64)

        def kernel(begin: int, end: int, n: int) -> None:
            _walks.count_visits(walks, parts, begin, end, n)

        run_parallel(kernel, n_parts, n_parts, work=walks.size)
        if n_parts > 1:
            counts += parts.sum(axis=0)
