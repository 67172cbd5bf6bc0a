"""Skip-gram, trained on walks or edges as they are made, and its loss with negative samples.

The plan of one run: count how often the walks visit each node (the noise distribution and Huffman's
tree need it); then train pool after pool.
"""

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from graphembed._kernels import _skipgram
from graphembed._threads import run_parallel
from graphembed.estimators._grid import (
    INSTRUCTIONS,
    Frequencies,
    Grid,
    Kernel,
    PairOptions,
    SkipGramConfig,
)
from graphembed.samplers.corpus import WalkCorpus
from graphembed.samplers.edges import EdgeSampler
from graphembed.samplers.walker import walks_per_block

# A sampled edge takes 32 bytes while its pool is trained; a pool holds about so many, 2 for every
# node of a large graph.
_EDGES_PER_POOL = 2**20
# With one table, a pool holds so many entries for every node, but no fewer than this.
_FEW_ENTRIES_PER_NODE = 4
_FEWEST_ENTRIES = 2**12


@dataclass
class TrainingStats:
    """What a run did and how long it took."""

    n_steps: int = 0
    n_pairs: int | None = None  # None: not counted
    walk_seconds: float = 0.0
    train_seconds: float = 0.0


class Tables(NamedTuple):
    """What the training leaves: row i of the tables is node i."""

    embedding: NDArray[np.float32]
    context: NDArray[np.float32]


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
    corpus: WalkCorpus, config: SkipGramConfig, grid: type[Grid], *, verbose: int = 0
) -> tuple[Tables, NDArray[np.int64], TrainingStats]:
    """Train on all epochs of `corpus`; the second result are the visits of epoch 0.

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
    embedding = model.embedding()
    del model.input  # where that was a copy
    return Tables(embedding, model.contexts()), visits, stats


def train_edges(
    sampler: EdgeSampler,
    config: SkipGramConfig,
    grid: type[Grid],
    n_samples: int,
    *,
    verbose: int = 0,
) -> tuple[Tables, TrainingStats]:
    """Train on so many sampled arcs, each the walk of one step whose tail is the centre."""
    stats = TrainingStats(n_steps=n_samples)
    begin = time.perf_counter()
    model = grid(sampler, config, sampler.frequencies, walk_length=2)
    n_pairs = 0
    most = min(model.entries_per_pool, max(_EDGES_PER_POOL, 2 * sampler.n_nodes))
    with tqdm(
        total=n_samples, desc="training", unit="edges", unit_scale=True, disable=not verbose
    ) as bar:
        for numbers, arcs in sampler.blocks(n_samples, most):
            done = int(numbers[0])
            share = (done / n_samples, (done + len(arcs)) / n_samples)
            n_pairs += model.train_pool(numbers, arcs, (0, 1), share)
            bar.update(len(arcs))
    stats.n_pairs = n_pairs
    stats.train_seconds = time.perf_counter() - begin
    return Tables(model.embedding(), model.contexts()), stats


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
