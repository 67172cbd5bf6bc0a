"""The grid trainer: pools of walks become buckets of entries, trained row against column.

Of a pool, the nodes are split into random parts, the pairs of the walks are sorted into a grid of
buckets, and buckets that share no part are trained side by side (see `_kernels/_schedule.h`). What
an entry of a bucket is, and how it is trained, a subclass of `Grid` says.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphembed._kernels import _skipgram
from graphembed._threads import run_parallel
from graphembed.samplers.corpus import WalkCorpus
from graphembed.samplers.edges import EdgeSampler

# A pool holds about so many entries (8 bytes each), 2 for every node of a large graph, ...
_ENTRIES_PER_POOL = 2**22
_ENTRIES_PER_NODE = 2
# ... and on one diagonal so many table elements are touched at most, some tenths of a second of
# one core.
_ELEMENTS_PER_DIAGONAL = 2**29
# A call trains as many diagonals as keep each thread at about so many elements, one or two tenths
# of a second: between calls Python looks for Ctrl-C.
_ELEMENTS_PER_CALL = 2**29
# (parts, nodes per part): the largest of them that the graph is large enough for. A part must offer
# a choice of negatives; many parts leave few pairs to a bucket.
_PARTS = ((16, 64), (32, 4096))
INSTRUCTIONS = len(_skipgram.INSTRUCTION_SETS) - 1  # the fastest
CHUNKS = 64  # of a pool; fixed, so that the order of the pairs does not depend on n_threads

Kernel = Callable[[int, int, int], None]  # what run_parallel calls
Frequencies = NDArray[np.int64] | NDArray[np.float64]  # of the nodes
# n_parts, window, shrink, first and last position of the centres, seed
PairOptions = tuple[int, int, bool, int, int, int]


@dataclass(frozen=True)
class SkipGramConfig:
    """Hyper-parameters of the skip-gram model, as in `Node2Vec`."""

    n_components: int
    window: int
    loss: str
    negative: int
    ns_exponent: float
    epochs: int
    learning_rate: float
    min_learning_rate: float
    shrink_windows: bool
    negative_sharing: int


class Grid(ABC):
    """The two tables, and the training of one pool of walks.

    The pool becomes entries: a centre, and what of the output table it is trained against.
    """

    def __init__(
        self,
        source: WalkCorpus | EdgeSampler,
        config: SkipGramConfig,
        frequencies: Frequencies,
        walk_length: int,
    ) -> None:
        self.config = config
        self.seed = source.seed
        self.n_threads = source.n_threads
        self.n_pools = 0
        n_nodes = source.n_nodes
        self.n_parts = max(1, *(min(parts, n_nodes // size) for parts, size in _PARTS))
        self.order = np.argsort(-frequencies, kind="stable").astype(np.int32)
        self.part = np.empty(n_nodes, np.int32)
        self.members = np.empty((self.n_parts, -(-n_nodes // self.n_parts)), np.int32)
        self.centres = np.empty(0, np.int32)
        self.targets = np.empty(0, np.int32)
        self.stride = -(-config.n_components // _skipgram.LANES) * _skipgram.LANES
        self.input = aligned_table(n_nodes, self.stride)
        self.output = self._output_table()
        seed = self._stream("input")
        run_parallel(
            lambda a, b, n: _skipgram.fill_uniform(self.input, config.n_components, seed, a, b, n),
            n_nodes,
            self.n_threads,
            work=self.input.size,
        )
        self.entries_per_pair, self.rows_per_entry = self._prepare(frequencies)
        self.entries_per_pool = min(
            self._entries_per_pool(),
            max(1, self.n_parts * _ELEMENTS_PER_DIAGONAL // (self.rows_per_entry * self.stride)),
        )
        self.walks_per_pool, self.positions_per_pool = self._pool_size(walk_length)

    def _output_table(self) -> NDArray[np.float32]:
        return aligned_table(*self.input.shape)

    def _entries_per_pool(self) -> int:
        return max(_ENTRIES_PER_POOL, _ENTRIES_PER_NODE * len(self.part))

    @abstractmethod
    def _prepare(self, frequencies: Frequencies) -> tuple[float, int]:
        """Make what the loss needs; returns the entries of a pair on average, and their rows."""

    @abstractmethod
    def _count(
        self,
        walks: NDArray[np.int32],
        walk_ids: NDArray[np.int64],
        counts: NDArray[np.int64],
        what: PairOptions,
    ) -> Kernel:
        """Kernel that counts the entries of the buckets in every chunk."""

    @abstractmethod
    def _fill(
        self,
        walks: NDArray[np.int32],
        walk_ids: NDArray[np.int64],
        cursors: NDArray[np.int64],
        what: PairOptions,
    ) -> Kernel:
        """Kernel that sorts the entries into their buckets."""

    @abstractmethod
    def _train(
        self,
        diagonals: tuple[int, int],
        starts: NDArray[np.int64],
        rates: NDArray[np.float32],
        schedule: NDArray[np.int32],
    ) -> Kernel:
        """Kernel that trains these diagonals."""

    @abstractmethod
    def _n_pairs(self, n_entries: int) -> int:
        """Pairs of the pool that was sorted last."""

    def _pool_size(self, walk_length: int) -> tuple[int, int]:
        """Walks of a pool, and positions of each: all, unless one walk is too long."""
        c = self.config
        most = self.entries_per_pool
        per_walk = self.entries_per_pair * _mean_pairs(walk_length, c.window, c.shrink_windows)
        if per_walk <= most:
            return int(most / max(1.0, per_walk)), walk_length
        return 1, max(1, int(walk_length * most / per_walk))

    def _stream(self, purpose: str, number: int = 0) -> int:
        """Seed of one purpose of this run, told apart by its name."""
        tag = int.from_bytes(purpose.encode()[:7], "little")
        return (self.seed ^ tag) + 0xD1B54A32D192ED03 * number & 0xFFFFFFFFFFFFFFFF

    def train_pool(
        self,
        walk_ids: NDArray[np.int64],
        walks: NDArray[np.int32],
        positions: tuple[int, int],
        share: tuple[float, float],
    ) -> int:
        """Train on the pairs of a pool, whose centres stand at these positions of the walks.

        `share` is the pool's place in the whole run, from 0 to 1.
        """
        c, n_parts = self.config, self.n_parts
        self._split_nodes()
        starts = self._sort_entries(walk_ids, walks, positions)
        progress = share[0] + (share[1] - share[0]) * np.arange(n_parts) / n_parts
        rates = np.maximum(c.min_learning_rate, c.learning_rate * (1.0 - progress))
        rates = rates.astype(np.float32)
        elements = int(starts[-1]) * self.rows_per_entry * self.stride
        n_calls = min(n_parts, 1 + elements // (self.n_threads * _ELEMENTS_PER_CALL))
        ends = [n_parts * i // n_calls for i in range(n_calls + 1)]
        for first, last in itertools.pairwise(ends):
            self._train_diagonals(first, last, starts, rates, elements // n_calls)
        self.n_pools += 1
        return self._n_pairs(int(starts[-1]))

    def _split_nodes(self) -> None:
        seed = self._stream("parts", self.n_pools)
        run_parallel(
            lambda a, b, n: _skipgram.draw_parts(
                self.order, self.part, self.members, seed, a, b, n
            ),
            self.members.shape[1],
            self.n_threads,
            work=len(self.order),
        )

    def _sort_entries(
        self,
        walk_ids: NDArray[np.int64],
        walks: NDArray[np.int32],
        positions: tuple[int, int],
    ) -> NDArray[np.int64]:
        c, seed = self.config, self._stream("window")
        what = (self.n_parts, c.window, c.shrink_windows, *positions, seed)
        work = len(walks) * (positions[1] - positions[0]) * min(c.window, walks.shape[1])
        work = int(work * self.entries_per_pair)
        counts = np.empty((CHUNKS, self.n_parts**2), np.int64)
        run_parallel(self._count(walks, walk_ids, counts, what), CHUNKS, self.n_threads, work=work)
        ends = np.cumsum(counts.T).reshape(counts.T.shape)
        cursors = np.ascontiguousarray((ends - counts.T).T)
        starts = np.concatenate([[0], ends[:, -1]])
        if len(self.centres) < starts[-1]:
            self.centres = self.targets = np.empty(0, np.int32)  # before there are new ones
            self.centres = np.empty(starts[-1] + starts[-1] // 16, np.int32)
            self.targets = np.empty_like(self.centres)
        run_parallel(self._fill(walks, walk_ids, cursors, what), CHUNKS, self.n_threads, work=work)
        return starts

    def _train_diagonals(
        self,
        first: int,
        last: int,
        starts: NDArray[np.int64],
        rates: NDArray[np.float32],
        elements: int,
    ) -> None:
        schedule = np.zeros(2 + 2 * self.n_parts, np.int32)
        schedule[2 : 2 + self.n_parts] = first
        run_parallel(
            self._train((first, last), starts, rates, schedule),
            min(self.n_threads, self.n_parts),  # an item is a worker
            self.n_threads,
            work=min(elements // 256, 2**21),  # one call, so that all workers are in it
        )

    def embedding(self) -> NDArray[np.float32]:
        """The vectors, without padding."""
        return np.ascontiguousarray(self.input[:, : self.config.n_components])

    def contexts(self) -> NDArray[np.float32]:
        """The output vectors, without padding."""
        return np.ascontiguousarray(self.output[:, : self.config.n_components])


def _mean_pairs(walk_length: int, window: int, shrink: bool) -> float:
    """Pairs of a walk on average: 2 (walk_length - d) at each distance d that a window reaches."""
    m = min(window, walk_length - 1)
    sum_1, sum_2 = m * (m + 1) // 2, m * (m + 1) * (2 * m + 1) // 6  # of d, of d ** 2
    if not shrink:
        return 2.0 * (m * walk_length - sum_1)
    w = window + 1  # reached with probability (w - d) / window
    return 2.0 * (m * walk_length * w - (walk_length + w) * sum_1 + sum_2) / window


def aligned_table(n_rows: int, stride: int) -> NDArray[np.float32]:
    """A float32 table of zeros whose rows begin on cache lines (64 bytes)."""
    buffer = np.zeros(n_rows * stride + 16, np.float32)
    skip = -(buffer.ctypes.data // 4) % 16
    return buffer[skip : skip + n_rows * stride].reshape(n_rows, stride)
