"""Skip-gram, trained on walks as they are made.

The plan of one run: count how often the walks visit each node (the noise distribution and Huffman's
tree need it); then, pool after pool of walks, split the nodes into random parts, sort the pool's
pairs into a grid of buckets and train the grid, row against column (see `_kernels/_skipgram.pyx`).
"""

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from graphembed._kernels import _skipgram
from graphembed._threads import run_parallel
from graphembed.samplers.corpus import WalkCorpus
from graphembed.samplers.edges import EdgeSampler
from graphembed.samplers.walks import walks_per_block

# A pool holds about so many entries (8 bytes each), 2 for every node of a large graph, ...
_ENTRIES_PER_POOL = 2**22
_ENTRIES_PER_NODE = 2
# ... or, with one table, so many for every node, but no fewer than this, ...
_FEW_ENTRIES_PER_NODE = 8
_FEWEST_ENTRIES = 2**13
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


class Tables(NamedTuple):
    """What the training leaves: row i of the tables is node i."""

    embedding: NDArray[np.float32]
    context: NDArray[np.float32]
    visits: NDArray[np.int64]


@dataclass
class TrainingStats:
    """What a run did and how long it took."""

    n_steps: int = 0
    n_pairs: int | None = None  # None: not counted
    walk_seconds: float = 0.0
    train_seconds: float = 0.0


def count_corpus(corpus: WalkCorpus, stats: TrainingStats, verbose: int) -> NDArray[np.int64]:
    """Count the visits of epoch 0, which stand for the unigram distribution."""
    begin = time.perf_counter()
    counts = np.zeros(corpus.n_nodes, np.int64)
    total = corpus.n_walks * corpus.n_starts * corpus.walk_length
    with tqdm(
        total=total, desc="counting walks", unit="steps", unit_scale=True, disable=not verbose
    ) as bar:
        for _, walks in corpus.blocks(0, walks_per_block(corpus.walk_length)):
            corpus.add_visits(walks, counts)
            bar.update(walks.size)
    stats.n_steps = int(counts.sum())
    stats.walk_seconds = time.perf_counter() - begin
    return counts


def train_skipgram(
    corpus: WalkCorpus, config: SkipGramConfig, grid: "type[Grid]", *, verbose: int = 0
) -> tuple[Tables, TrainingStats]:
    """Train on all epochs of `corpus`.

    `grid` is the loss: `NegativeSampling` or `HierarchicalSoftmax`.
    """
    stats = TrainingStats()
    visits = count_corpus(corpus, stats, verbose)
    begin = time.perf_counter()
    n_pairs = 0
    model = grid(corpus, config, visits, corpus.walk_length)
    total = config.epochs * corpus.n_walks * corpus.n_starts
    done = 0
    with tqdm(
        total=total * corpus.walk_length, desc="training", unit="steps", unit_scale=True,
        disable=not verbose,
    ) as bar:  # fmt: skip
        for epoch in range(config.epochs):
            for walk_ids, walks in corpus.blocks(epoch, model.walks_per_pool):
                for first in range(0, corpus.walk_length, model.positions_per_pool):
                    last = min(first + model.positions_per_pool, corpus.walk_length)
                    begun = (done + len(walks) * first / corpus.walk_length) / total
                    ended = (done + len(walks) * last / corpus.walk_length) / total
                    n_pairs += model.train_pool(walk_ids, walks, (first, last), (begun, ended))
                done += len(walks)
                bar.update(walks.size)
                rate = n_pairs / (time.perf_counter() - begin)
                bar.set_postfix_str(f"{rate / 1e6:.2f}M pairs/s", refresh=False)
    stats.n_pairs = n_pairs
    stats.train_seconds = time.perf_counter() - begin
    return Tables(model.embedding(), model.contexts(), visits), stats


def train_edges(
    sampler: EdgeSampler,
    config: SkipGramConfig,
    grid: "type[Grid]",
    n_samples: int,
    *,
    verbose: int = 0,
) -> tuple[NDArray[np.float32], TrainingStats]:
    """Train on so many sampled arcs, each the walk of one step whose tail is the centre."""
    stats = TrainingStats(n_steps=n_samples)
    begin = time.perf_counter()
    model = grid(sampler, config, sampler.frequencies, walk_length=2)
    n_pairs = 0
    with tqdm(
        total=n_samples, desc="training", unit="edges", unit_scale=True, disable=not verbose
    ) as bar:
        for numbers, arcs in sampler.blocks(n_samples, model.walks_per_pool):
            done = int(numbers[0])
            share = (done / n_samples, (done + len(arcs)) / n_samples)
            n_pairs += model.train_pool(numbers, arcs, (0, 1), share)
            bar.update(len(arcs))
    stats.n_pairs = n_pairs
    stats.train_seconds = time.perf_counter() - begin
    return model.embedding(), stats


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
        most = min(
            self._entries_per_pool(),
            max(1, self.n_parts * _ELEMENTS_PER_DIAGONAL // (self.rows_per_entry * self.stride)),
        )
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


class NegativeSampling(Grid):
    """The grid whose entries are pairs; the columns are parts of the nodes."""

    def _prepare(self, frequencies: Frequencies) -> tuple[float, int]:
        c = self.config
        self.noise = noise_of(frequencies, c.ns_exponent)
        n_parts, n_strata = self.members.shape
        self.cells = np.empty((n_parts, 2 * n_strata), np.uint64)
        self.scratch = np.empty((n_parts, n_strata), np.float64)
        self.negatives = np.empty((n_parts, 2 * c.negative), np.int32)
        size = _skipgram.scratch_size(c.negative, c.negative_sharing)
        self.work_space = np.empty((n_parts, size), np.float32)
        return 1.0, c.negative + 2

    def _split_nodes(self) -> None:
        super()._split_nodes()
        run_parallel(
            lambda a, b, n: _skipgram.build_noise(
                self.members, self.noise, self.scratch, self.cells, a, b, n
            ),
            self.n_parts,
            self.n_threads,
            work=len(self.order),
        )

    def _count(
        self,
        walks: NDArray[np.int32],
        walk_ids: NDArray[np.int64],
        counts: NDArray[np.int64],
        what: PairOptions,
    ) -> Kernel:
        return lambda a, b, n: _skipgram.count_pairs(
            walks, walk_ids, self.part, counts, *what, a, b, n
        )

    def _fill(
        self,
        walks: NDArray[np.int32],
        walk_ids: NDArray[np.int64],
        cursors: NDArray[np.int64],
        what: PairOptions,
    ) -> Kernel:
        return lambda a, b, n: _skipgram.fill_pairs(
            walks, walk_ids, self.part, cursors, self.centres, self.targets, *what, a, b, n
        )

    def _train(
        self,
        diagonals: tuple[int, int],
        starts: NDArray[np.int64],
        rates: NDArray[np.float32],
        schedule: NDArray[np.int32],
    ) -> Kernel:
        seed = self._stream("noise", self.n_pools)
        return lambda a, b, n: _skipgram.train_diagonals(
            *diagonals, starts, self.centres, self.targets, self.input, self.output,
            self.members, self.cells, rates, self.negatives, self.work_space, schedule,
            self.config.negative_sharing, INSTRUCTIONS, seed, a, b, n,
        )  # fmt: skip

    def _n_pairs(self, n_entries: int) -> int:
        return n_entries


class OneTable(NegativeSampling):
    """Negative sampling where a node's vector is its context vector, too.

    What a bucket does to a part comes back to it at once, through the part's own vectors, so the
    updates of a pool must be few.
    """

    def _output_table(self) -> NDArray[np.float32]:
        return self.input

    def _entries_per_pool(self) -> int:
        few = max(_FEWEST_ENTRIES, _FEW_ENTRIES_PER_NODE * len(self.part))
        return min(super()._entries_per_pool(), few)


def noise_of(frequencies: Frequencies, exponent: float) -> NDArray[np.float64]:
    """Weights of the negatives; 0 for a node that occurs nowhere (off the metapath, no edges)."""
    noise = np.zeros(len(frequencies))
    np.power(frequencies, exponent, out=noise, where=frequencies > 0)
    # Rounded, because the last bits of a power are not the same on all processors
    return noise.astype(np.float32).astype(np.float64)


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
