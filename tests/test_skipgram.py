"""The skip-gram kernels against slow references, and what the training as a whole must do."""

import hashlib
import itertools
import math

import numpy as np
import pytest
from exact_laws import draw, enumerate_pairs, stream
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from graphembed import DeepWalk, Node2Vec, sample_walks
from graphembed._kernels import _skipgram as kernels
from graphembed.estimators import _grid as grid_trainer
from graphembed.estimators import _skipgram as trainer
from graphembed.estimators._skipgram import NegativeSampling, SkipGramConfig
from graphembed.graph import Graph
from graphembed.samplers.corpus import WalkCorpus
from graphembed.samplers.walker import Walker

LEVEL = 1e-6  # of every statistical test
DIMENSIONS = [1, 5, 16, 31, 100, 128]
FASTEST = len(kernels.INSTRUCTION_SETS) - 1


@pytest.fixture
def eager_threads(monkeypatch):
    """Use all threads asked for, however little there is to do."""
    monkeypatch.setattr("graphembed._threads._WORK_PER_THREAD", 1)


# ---------------------------------------------------------------------------------------------
# References in plain Python
# ---------------------------------------------------------------------------------------------


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > 0 else math.exp(x) / (1.0 + math.exp(x))


def reference_blocks(pairs, most):
    """Blocks of pairs far apart in the bucket, each with its number.

    No node is 5 times in a block as a centre or as a context.
    """
    step = -(-len(pairs) // most)
    for first in range(step):
        block, number = pairs[first::step], first * most
        while block:
            size = len(block)
            for column in (0, 1):
                nodes = [pair[column] for pair in block]
                repeats = (i for i in range(size) if nodes[:i].count(nodes[i]) == 4)
                size = min(size, next(repeats, size))
            yield number, block[:size]
            block, number = block[size:], number + size


def reference_tiles(negative):
    """The negatives that are moved together: 5, and at the end one by one."""
    first = 0
    while first < negative:
        n = min(5, negative) if first == 0 else 5 if negative - first >= 5 else 1
        yield first, first + n
        first += n


def noise_draw(words, r):
    """A draw from an alias table with the nodes beside the threshold."""
    product = r * (len(words) // 2)
    own, position = 2 * (product >> 64), (product & (2**64 - 1)) >> 32
    cell, other = int(words[own]), int(words[own + 1])
    return cell >> 32 if position < cell & 0xFFFFFFFF else other


def reference_train(pairs, h, o, words, negative, most, rate, key):
    """Train the pairs of one bucket in float64; returns the negatives of each block."""
    drawn = []
    for number, block in reference_blocks(pairs, most):
        draws = [draw(key, number * negative + k) for k in range(negative)]
        nodes = [noise_draw(words, r) for r in draws]
        drawn.append(nodes)
        gains = [rate * (1 - sigmoid(float(h[u] @ o[v]))) for u, v in block]
        shared = [
            [0.0 if x == v else -rate * sigmoid(float(h[u] @ o[x])) for x in nodes]
            for u, v in block
        ]
        for begin, end in reference_tiles(negative):
            rows, moves = o[nodes[begin:end]].copy(), np.zeros((end - begin, o.shape[1]))
            for (u, v), gain, weights in zip(block, gains, shared, strict=True):
                centre, weights = h[u].copy(), np.array(weights[begin:end])
                if begin == 0:
                    h[u] += gain * o[v]
                    o[v] += gain * centre
                h[u] += weights @ rows
                moves += weights[:, None] * centre
            np.add.at(o, nodes[begin:end], moves)
    return drawn


class Bucket:
    """One part with all nodes: everything `train_diagonal` wants, filled at random."""

    def __init__(self, n_nodes: int, n_components: int, negative: int, block: int = 1):
        rng = np.random.default_rng(n_nodes + n_components)
        stride = -(-n_components // kernels.LANES) * kernels.LANES
        self.block, self.instructions = block, FASTEST
        self.input = np.zeros((n_nodes, stride), np.float32)
        self.output = np.zeros((n_nodes, stride), np.float32)
        for table in (self.input, self.output):
            values = rng.normal(0, n_components**-0.25, (n_nodes, n_components))
            table[:, :n_components] = values
        self.members = rng.permutation(n_nodes).astype(np.int32)[None, :]
        self.noise = rng.pareto(1.5, n_nodes) + 0.1
        self.cells = np.empty((1, 2 * n_nodes), np.uint64)
        kernels.build_noise(self.members, self.noise, np.empty((1, n_nodes)), self.cells, 0, 1, 1)
        self.negative = negative
        self.negatives = np.full((1, 2 * negative), -1, np.int32)
        self.scratch = np.zeros((1, kernels.scratch_size(negative, block)), np.float32)

    def train(self, pairs: list[tuple[int, int]], rate: float, seed: int = 3) -> None:
        centres, contexts = (np.array(c, np.int32) for c in zip(*pairs, strict=True))
        starts = np.array([0, len(pairs)], np.int64)
        kernels.train_diagonals(
            0, 1, starts, centres, contexts, self.input, self.output, self.members, self.cells,
            np.full(1, rate, np.float32), self.negatives, self.scratch, np.zeros(4, np.int32),
            self.block, self.instructions, seed, 0, 1, 1,
        )  # fmt: skip

    def reference(self, pairs: list[tuple[int, int]], rate: float, seed: int = 3):
        h, o = self.input.astype(np.float64), self.output.astype(np.float64)
        drawn = reference_train(
            pairs, h, o, self.cells[0], self.negative, self.block,
            rate, stream(seed, 0),
        )  # fmt: skip
        return h, o, drawn


# ---------------------------------------------------------------------------------------------
# One update
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_components", DIMENSIONS)
@pytest.mark.parametrize("negative", [1, 3, 5, 12])
def test_one_pair_equals_the_reference(n_components, negative):
    bucket = Bucket(200, n_components, negative)
    h, o, (nodes,) = bucket.reference([(17, 42)], 0.1)
    bucket.train([(17, 42)], 0.1)
    assert bucket.negatives[0, :negative].tolist() == nodes
    np.testing.assert_allclose(bucket.input, h, rtol=0, atol=1e-5)
    np.testing.assert_allclose(bucket.output, o, rtol=0, atol=1e-5)
    moved = np.abs(bucket.input - Bucket(200, n_components, negative).input).max()
    assert moved > 1e-3


@pytest.mark.parametrize("n_components", DIMENSIONS)
@pytest.mark.parametrize("negative", [2, 5, 11])
@pytest.mark.parametrize("block", [1, 2, 7, 8, 64])
@pytest.mark.parametrize("n_nodes", [3, 60])  # 3: nodes repeat, and blocks are cut short
def test_many_pairs_equal_the_reference(n_components, negative, block, n_nodes):
    bucket = Bucket(n_nodes, n_components, negative, block)
    rng = np.random.default_rng(1)
    pairs = [tuple(pair) for pair in rng.integers(0, n_nodes, (301, 2)).tolist()]
    h, o, _ = bucket.reference(pairs, 0.02)
    bucket.train(pairs, 0.02)
    np.testing.assert_allclose(bucket.input, h, rtol=0, atol=1e-4)
    np.testing.assert_allclose(bucket.output, o, rtol=0, atol=1e-4)


@pytest.mark.parametrize("instructions", range(len(kernels.INSTRUCTION_SETS)))
@pytest.mark.parametrize(("n_components", "negative"), [(16, 1), (100, 5), (128, 12), (200, 3)])
def test_all_instruction_sets_give_the_same_bits(instructions, n_components, negative):
    rng = np.random.default_rng(1)
    pairs = [tuple(pair) for pair in rng.integers(0, 60, (301, 2)).tolist()]
    slow, fast = (Bucket(60, n_components, negative, 8) for _ in range(2))
    slow.instructions, fast.instructions = 0, instructions
    slow.train(pairs, 0.05)
    fast.train(pairs, 0.05)
    assert np.array_equal(slow.input, fast.input)
    assert np.array_equal(slow.output, fast.output)


def test_the_negatives_of_a_block_are_shared_and_those_of_a_bucket_are_not():
    bucket = Bucket(1000, 16, 5, 8)
    *_, drawn = bucket.reference([(i, i) for i in range(80)], 0.1)
    assert len(drawn) == 10
    assert len({tuple(nodes) for nodes in drawn}) == 10


@pytest.mark.parametrize("n_components", DIMENSIONS)
def test_padding_stays_zero(n_components):
    bucket = Bucket(60, n_components, 5)
    bucket.train([(i, (7 * i) % 60) for i in range(60)], 0.5)
    assert not bucket.input[:, n_components:].any()
    assert not bucket.output[:, n_components:].any()


@pytest.mark.parametrize("n_components", DIMENSIONS)
def test_one_pair_descends_the_gradient_of_the_loss(n_components):
    bucket, rate, step = Bucket(5000, n_components, 5), 1e-2, 1e-5
    h0, o0 = bucket.input.astype(np.float64), bucket.output.astype(np.float64)
    *_, (nodes,) = bucket.reference([(17, 42)], rate)
    targets = [42, *nodes]
    assert len(set(targets)) == 6  # no negative twice
    bucket.train([(17, 42)], rate)

    def loss(h: NDArray[np.float64], o: NDArray[np.float64]) -> float:
        # Mikolov et al. 2013, eq. 4, with the sign of a loss
        signs = np.array([1.0] + [-1.0] * (len(targets) - 1))
        return float(np.logaddexp(0.0, -signs * (o @ h)).sum())

    def slope(at: NDArray[np.float64], j: int, f) -> float:
        up, down = at.copy(), at.copy()
        up.flat[j] += step
        down.flat[j] -= step
        return (f(up) - f(down)) / (2 * step)

    h, o = h0[17, :n_components], o0[targets, :n_components]
    h_slopes = [slope(h, j, lambda v: loss(v, o)) for j in range(h.size)]
    o_slopes = [slope(o, j, lambda v: loss(h, v)) for j in range(o.size)]
    h_moved = (bucket.input.astype(np.float64) - h0)[17, :n_components]
    o_moved = (bucket.output.astype(np.float64) - o0)[targets, :n_components]
    np.testing.assert_allclose(h_moved / -rate, h_slopes, rtol=0, atol=2e-4)
    np.testing.assert_allclose((o_moved / -rate).ravel(), o_slopes, rtol=0, atol=2e-4)
    assert np.abs(h_slopes).max() > 0.05


def test_only_the_rows_of_the_pair_move():
    bucket, before = Bucket(200, 16, 5), Bucket(200, 16, 5)
    *_, (nodes,) = bucket.reference([(17, 42)], 0.5)
    bucket.train([(17, 42)], 0.5)
    assert np.flatnonzero((bucket.input != before.input).any(axis=1)).tolist() == [17]
    moved = np.flatnonzero((bucket.output != before.output).any(axis=1))
    assert moved.tolist() == sorted({42, *nodes})


def sigmoid_of(x: float) -> float:
    """The kernel's sigmoid at x: what a negative with dot product x gets as its gain."""
    bucket = Bucket(2, 1, 1)
    bucket.input[0, 0], bucket.output[:, 0] = x, 1.0
    bucket.members, bucket.cells = np.array([[1]], np.int32), np.array([[0, 1]], np.uint64)
    bucket.train([(0, 0)], 1.0)
    return -float(bucket.scratch[0, 1])


def test_sigmoid():
    xs = np.concatenate([np.linspace(-40, 40, 8001), [-1e30, 1e30, -1e-30]]).astype(np.float32)
    assert max(abs(sigmoid_of(x) - sigmoid(float(x))) for x in xs) < 1.2e-7
    assert [sigmoid_of(x) for x in (30.0, 1e30, math.inf)] == [1.0] * 3
    assert [sigmoid_of(x) for x in (-30.0, -1e30, -math.inf)] == [sigmoid_of(-30.0)] * 3
    assert 0 < sigmoid_of(-30.0) < 1e-13
    assert math.isnan(sigmoid_of(math.nan))
    assert sigmoid_of(0.0) == 0.5


@pytest.mark.parametrize("centre", [0, 5])
def test_a_context_that_is_drawn_as_a_negative_stays(centre):
    bucket = Bucket(10, 16, 3)
    bucket.members = np.full((1, 1), 7, np.int32)
    bucket.cells = np.array([[0, 7]], np.uint64)
    o = bucket.output[7].astype(np.float64)
    h = bucket.input[centre].astype(np.float64)
    bucket.train([(centre, 7)], 0.1)
    assert not bucket.scratch[0, 1:4].any()
    gain = 0.1 * (1 - sigmoid(float(h @ o)))
    np.testing.assert_allclose(bucket.output[7], o + gain * h, rtol=0, atol=1e-6)
    np.testing.assert_allclose(bucket.input[centre], h + gain * o, rtol=0, atol=1e-6)


# ---------------------------------------------------------------------------------------------
# Negatives and parts
# ---------------------------------------------------------------------------------------------


def test_negatives_follow_the_noise():
    n_draws = 200_000
    bucket = Bucket(50, 1, n_draws)
    bucket.train([(3, 25)], 0.0)
    observed = np.bincount(bucket.negatives[0, :n_draws], minlength=50)
    expected = n_draws * bucket.noise / bucket.noise.sum()
    assert stats.chisquare(observed, expected).pvalue > LEVEL
    assert stats.chisquare(observed).pvalue < LEVEL  # the test has power


def split(order: NDArray[np.int32], n_parts: int, seed: int, n_threads: int = 1):
    n_strata = -(-len(order) // n_parts)
    part = np.full(len(order), -1, np.int32)
    members = np.full((n_parts, n_strata), -9, np.int32)
    kernels.draw_parts(order, part, members, seed, 0, n_strata, n_threads)
    return part, members


@pytest.mark.parametrize(
    ("n_nodes", "n_parts"), [(1, 1), (7, 1), (7, 7), (7, 3), (64, 16), (65, 16), (1003, 16)]
)
def test_every_node_is_in_one_part(n_nodes, n_parts):
    rng = np.random.default_rng(n_nodes)
    for seed in range(20):
        order = rng.permutation(n_nodes).astype(np.int32)
        part, members = split(order, n_parts, seed, n_threads=2)
        assert sorted(members[members >= 0].tolist()) == list(range(n_nodes))
        assert (members >= -1).all()
        for p in range(n_parts):
            assert (part[members[p][members[p] >= 0]] == p).all()
        sizes = np.bincount(part, minlength=n_parts)
        assert sizes.max() - sizes.min() <= 1
        # Only the last place of a part can be empty, and every stratum is dealt out evenly.
        assert (members[:, :-1] >= 0).all()
        for first in range(0, n_nodes, n_parts):
            stratum = part[order[first : first + n_parts]]
            assert len(set(stratum.tolist())) == len(stratum)


def test_parts_are_uniform_and_independent():
    order, n_parts, n_seeds = np.arange(22, dtype=np.int32), 4, 4000
    parts = np.array([split(order, n_parts, seed)[0] for seed in range(n_seeds)])
    for node in range(22):
        counts = np.bincount(parts[:, node], minlength=n_parts)
        assert stats.chisquare(counts).pvalue > LEVEL
    for a, b in ((0, 4), (3, 20), (7, 9)):
        together = int((parts[:, a] == parts[:, b]).sum())
        if a // 4 == b // 4:
            continue
        assert stats.binomtest(together, n_seeds, 1 / n_parts).pvalue > LEVEL
    # All 24 orders of one stratum
    codes = np.unique(parts[:, :4], axis=0, return_counts=True)[1]
    assert len(codes) == 24
    assert stats.chisquare(codes).pvalue > LEVEL


def make_grid(graph: Graph, *, seed: int = 0, n_threads: int = 1, **changes) -> NegativeSampling:
    config = {
        "n_components": 8, "window": 3, "loss": "ns", "negative": 3, "ns_exponent": 0.75,
        "epochs": 1,
        "learning_rate": 0.025, "min_learning_rate": 1e-4, "shrink_windows": True,
        "negative_sharing": 8, **changes,
    }  # fmt: skip
    corpus = WalkCorpus(Walker(graph), 10, 2, seed, n_threads)
    visits = trainer.count_corpus(corpus, trainer.TrainingStats(), 0)
    return NegativeSampling(corpus, SkipGramConfig(**config), visits, corpus.walk_length)


def test_parts_are_drawn_afresh_for_every_pool():
    grid = make_grid(ring_with_chords(1100))
    assert grid.n_parts == 16
    walks = sample_walks(ring_with_chords(1100), walk_length=10, n_walks=1, random_state=0)
    parts = []
    for _ in range(4):
        grid.train_pool(np.arange(1100), walks, (0, 10), (0.0, 1.0))
        parts.append(grid.part.copy())
    for a, b in itertools.combinations(parts, 2):
        assert stats.binomtest(int((a == b).sum()), 1100, 1 / 16).pvalue > LEVEL


def test_noise_is_visits_to_a_power():
    g = ring_with_chords(300)
    for exponent in (0.75, 0.0, -0.5):
        grid = make_grid(g, ns_exponent=exponent)
        corpus = WalkCorpus(Walker(g), 10, 2, 0, 1)
        rows = np.concatenate([walks.flatten() for _, walks in corpus.blocks(0, 10**6)])
        visits = np.bincount(rows[rows >= 0], minlength=300)
        np.testing.assert_allclose(grid.noise, visits.astype(float) ** exponent, rtol=1e-7)


def test_negatives_of_a_bucket_come_from_its_context_part():
    n_nodes, n_parts, n_draws = 400, 5, 20_000
    order = np.arange(n_nodes, dtype=np.int32)
    _, members = split(order, n_parts, 1)
    noise = np.random.default_rng(0).pareto(1.5, n_nodes) + 0.1
    cells = np.empty((len(members), 2 * members.shape[1]), np.uint64)
    kernels.build_noise(members, noise, np.empty(members.shape), cells, 0, n_parts, 1)
    diagonal = 2
    starts = np.zeros(n_parts**2 + 1, np.int64)
    for row in range(n_parts):
        starts[row * n_parts + (row + diagonal) % n_parts + 1 :] += 1
    buckets = np.flatnonzero(np.diff(starts))
    centres = members[buckets // n_parts, 0].copy()
    contexts = members[buckets % n_parts, 1].copy()
    tables = [np.zeros((n_nodes, 16), np.float32) for _ in range(2)]
    negatives = np.full((n_parts, 2 * n_draws), -1, np.int32)
    scratch = np.zeros((n_parts, kernels.scratch_size(n_draws, 1)), np.float32)
    schedule = np.zeros(2 + 2 * n_parts, np.int32)
    schedule[2 : 2 + n_parts] = diagonal
    kernels.train_diagonals(
        diagonal, diagonal + 1, starts, centres, contexts, *tables, members, cells,
        np.zeros(n_parts, np.float32), negatives, scratch, schedule, 1, FASTEST, 9, 0, 2, 2,
    )  # fmt: skip
    for row in range(n_parts):
        column = (row + diagonal) % n_parts
        nodes = members[column]
        drawn = negatives[row, :n_draws]
        assert set(drawn.tolist()) == set(nodes.tolist())
        observed = np.bincount(drawn, minlength=n_nodes)[nodes]
        expected = noise[nodes] / noise[nodes].sum() * observed.sum()
        assert stats.chisquare(observed, expected).pvalue > LEVEL


# ---------------------------------------------------------------------------------------------
# Pairs
# ---------------------------------------------------------------------------------------------


def sorted_pairs(walks, walk_ids, part, n_parts, window, shrink, seed, n_chunks=7, n_threads=2):
    """Pairs bucket by bucket, as the trainer collects them."""
    counts = np.empty((n_chunks, n_parts**2), np.int64)
    what = (n_parts, window, shrink, 0, walks.shape[1], seed, 0, n_chunks, n_threads)
    kernels.count_pairs(walks, walk_ids, part, counts, *what)
    ends = np.cumsum(counts.T).reshape(counts.T.shape)
    cursors = np.ascontiguousarray((ends - counts.T).T)
    centres, contexts = (np.full(counts.sum(), -1, np.int32) for _ in range(2))
    kernels.fill_pairs(walks, walk_ids, part, cursors, centres, contexts, *what)
    assert np.array_equal(cursors.T, ends)
    return np.split(np.column_stack([centres, contexts]), ends[:-1, -1])


@pytest.mark.parametrize("shrink", [True, False])
@pytest.mark.parametrize("window", [1, 3, 10, 50])
@pytest.mark.parametrize("n_parts", [1, 5])
def test_pairs_equal_the_enumeration(window, shrink, n_parts):
    g = Graph.from_any(
        np.random.default_rng(0).integers(0, 40, (60, 2)), directed=True, nodes=range(45)
    )
    walks = sample_walks(g, walk_length=12, n_walks=2, random_state=0)
    assert (walks < 0).any()
    walk_ids = np.random.default_rng(1).permutation(10**6)[: len(walks)]
    part = np.random.default_rng(2).integers(0, n_parts, g.n_nodes).astype(np.int32)
    buckets = sorted_pairs(walks, walk_ids, part, n_parts, window, shrink, seed=2**63 + 5)
    expected = enumerate_pairs(walks, walk_ids, window, shrink, seed=2**63 + 5)
    assert len(expected) > 300
    for b, bucket in enumerate(buckets):
        mine = [pair for pair in expected if part[pair[0]] * n_parts + part[pair[1]] == b]
        assert list(map(tuple, bucket.tolist())) == mine  # also in the order of the walks


def test_pairs_do_not_depend_on_threads_and_chunks():
    walks = sample_walks(ring_with_chords(300), walk_length=20, n_walks=2, random_state=0)
    part = (np.arange(300) % 3).astype(np.int32)
    arguments = (walks, np.arange(len(walks)), part, 3, 5, True, 1)
    expected = np.concatenate(sorted_pairs(*arguments, n_chunks=1, n_threads=1))
    for n_chunks, n_threads in ((1, 4), (64, 1), (64, 4), (1000, 2)):
        other = sorted_pairs(*arguments, n_chunks=n_chunks, n_threads=n_threads)
        assert np.array_equal(expected, np.concatenate(other))


@pytest.mark.parametrize("shrink", [True, False])
@pytest.mark.parametrize(("length", "window"), [(1, 3), (2, 1), (12, 5), (12, 40)])
def test_mean_pairs(length, window, shrink):
    reaches = range(1, window + 1) if shrink else [window]
    total = sum(
        0 < abs(i - j) <= reach for reach in reaches for i in range(length) for j in range(length)
    )
    assert grid_trainer._mean_pairs(length, window, shrink) == pytest.approx(total / len(reaches))


def test_reduced_windows_are_uniform():
    window, length, n_walks = 10, 60, 3000
    walks = np.tile(np.arange(length, dtype=np.int32), (n_walks, 1))
    part = np.zeros(length, np.int32)
    (pairs,) = sorted_pairs(walks, np.arange(n_walks), part, 1, window, True, seed=4)
    inner = pairs[(pairs[:, 0] >= window) & (pairs[:, 0] < length - window)]
    distances = np.abs(inner[:, 1] - inner[:, 0])
    at_least = np.array([(distances == d).sum() for d in range(1, window + 1)])
    # A centre with reach r has 2 contexts at each distance up to r.
    n_centres = n_walks * (length - 2 * window)
    reaches = at_least // 2 - np.append(at_least[1:] // 2, 0)
    assert reaches.sum() == n_centres
    assert stats.chisquare(reaches).pvalue > LEVEL


# ---------------------------------------------------------------------------------------------
# Start values and order
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_components", DIMENSIONS)
def test_start_values(n_components):
    stride = -(-n_components // kernels.LANES) * kernels.LANES
    one, two = (np.full((2000, stride), np.nan, np.float32) for _ in range(2))
    kernels.fill_uniform(one, n_components, 7, 0, 2000, 1)
    kernels.fill_uniform(two, n_components, 7, 0, 2000, 3)
    assert np.array_equal(one, two)
    assert not one[:, n_components:].any()
    values = one[:, :n_components].ravel() * n_components + 0.5
    assert stats.kstest(values, "uniform").pvalue > LEVEL


# ---------------------------------------------------------------------------------------------
# The whole training
# ---------------------------------------------------------------------------------------------


def ring_with_chords(n: int) -> Graph:
    rng = np.random.default_rng(n)
    ring = np.column_stack([np.arange(n), np.roll(np.arange(n), -1)])
    return Graph.from_any(np.vstack([ring, rng.integers(0, n, (2 * n, 2))]))


@pytest.mark.parametrize(("n_nodes", "n_parts"), [(100, 1), (400, 6), (1100, 16)])
@pytest.mark.parametrize("pairs_per_pool", [20_000, 2**23])
def test_any_number_of_threads(n_nodes, n_parts, pairs_per_pool, eager_threads, monkeypatch):
    monkeypatch.setattr(grid_trainer, "_ENTRIES_PER_POOL", pairs_per_pool)
    g = ring_with_chords(n_nodes)
    assert make_grid(g).n_parts == n_parts
    one, *others = (
        Node2Vec(20, walk_length=10, n_walks=2, window=4, q=0.5, epochs=2, random_state=0, n_jobs=n)
        .fit(g)
        .embedding_
        for n in (1, 2, 3, 4)
    )
    assert np.isfinite(one).all()
    for other in others:
        assert np.array_equal(one, other)


@pytest.mark.parametrize("pairs_per_pool", [20, 5_000, 2**23])  # 20: less than a walk has
def test_every_pair_is_trained_at_a_falling_rate(pairs_per_pool, monkeypatch):
    """Every pair of every walk is in one bucket of one pool, and the rates fall linearly."""
    monkeypatch.setattr(grid_trainer, "_ENTRIES_PER_POOL", pairs_per_pool)
    g = ring_with_chords(700)
    rates, trained, train = [], [], kernels.train_diagonals

    def spy(first, last, starts, centres, contexts, *rest):
        if rest[-3] == 0:  # the first worker
            n_parts = len(rest[4])
            for diagonal in range(first, last):
                for row in range(n_parts):
                    bucket = row * n_parts + (row + diagonal) % n_parts
                    here = slice(starts[bucket], starts[bucket + 1])
                    trained.append(np.column_stack([centres[here], contexts[here]]))
            rates.extend(rest[4][first:last].tolist())
        train(first, last, starts, centres, contexts, *rest)

    monkeypatch.setattr(kernels, "train_diagonals", spy)
    model = DeepWalk(
        8, walk_length=10, n_walks=3, window=2, shrink_windows=False, epochs=2,
        learning_rate=0.05, min_learning_rate=0.001, random_state=5, n_jobs=1,
    ).fit(g)  # fmt: skip
    walks = sample_walks(g, walk_length=10, n_walks=6, random_state=5)
    expected = enumerate_pairs(walks, np.arange(len(walks)), 2, False, 0)
    pairs = np.concatenate(trained)
    assert model.training_stats_["n_pairs"] == len(pairs) == len(expected)
    code = np.array(expected, np.int64) @ [1000, 1]
    assert np.array_equal(np.sort(pairs.astype(np.int64) @ [1000, 1]), np.sort(code))
    assert rates[0] == np.float32(0.05)
    line = 0.05 * (1 - np.arange(len(rates)) / len(rates))
    np.testing.assert_allclose(rates, np.maximum(0.001, line), atol=1e-3)


def random_grid(n_parts: int, n_pairs: int = 3000) -> dict[str, NDArray]:
    """Everything `train_diagonals` wants for n_parts parts of 20 nodes each."""
    rng = np.random.default_rng(n_parts)
    n_nodes = 20 * n_parts
    part, members = split(rng.permutation(n_nodes).astype(np.int32), n_parts, 1)
    pairs = rng.integers(0, n_nodes, (n_pairs, 2)).astype(np.int32)
    bucket = part[pairs[:, 0]] * n_parts + part[pairs[:, 1]]
    pairs = pairs[np.argsort(bucket, kind="stable")]
    cells = np.empty((n_parts, 2 * members.shape[1]), np.uint64)
    noise = rng.random(n_nodes) + 0.1
    kernels.build_noise(members, noise, np.empty(members.shape), cells, 0, n_parts, 1)
    starts = np.concatenate([[0], np.cumsum(np.bincount(bucket, minlength=n_parts**2))])
    tables = rng.normal(0, 0.3, (2, n_nodes, 16)).astype(np.float32)
    return {
        "starts": starts, "centres": pairs[:, 0].copy(), "contexts": pairs[:, 1].copy(),
        "input": tables[0], "output": tables[1], "members": members, "cells": cells,
        "rates": np.linspace(0.1, 0.05, n_parts, dtype=np.float32),
        "negatives": np.empty((n_parts, 10), np.int32),
        "scratch": np.empty((n_parts, kernels.scratch_size(5, 8)), np.float32),
    }  # fmt: skip


def train_grid(n_parts: int, calls: list[tuple[int, int]], workers: int, threads: int):
    grid = random_grid(n_parts)
    for first, last in calls:
        schedule = np.zeros(2 + 2 * n_parts, np.int32)
        schedule[2 : 2 + n_parts] = first
        kernels.train_diagonals(
            first, last, *grid.values(), schedule, 8, FASTEST, 3, 0, workers, threads
        )
        assert schedule[1] == n_parts * (last - first)  # every bucket was trained
        assert (schedule[2 : 2 + n_parts] == last).all()
    return grid["input"], grid["output"]


@pytest.mark.parametrize(
    ("n_nodes", "options"),
    [(150_000, {"walk_length": 40, "window": 5}), (2000, {"n_components": 512, "negative": 20})],
)
def test_all_threads_train(n_nodes, options, monkeypatch):
    """The work of a call is enough for every thread, on a large graph and with large vectors."""
    given, train = [], kernels.train_diagonals
    monkeypatch.setattr("graphembed._threads._use_openmp", True)

    def spy(*arguments):
        given.append((arguments[-2], arguments[-1]))
        if len(given) == 3:
            raise KeyboardInterrupt
        train(*arguments[:-1], 1)

    monkeypatch.setattr(kernels, "train_diagonals", spy)
    with pytest.raises(KeyboardInterrupt):
        DeepWalk(n_walks=1, random_state=0, n_jobs=4, **options).fit(ring_with_chords(n_nodes))
    assert set(given) == {(4, 4)}  # 4 workers in one call


@pytest.mark.parametrize("n_parts", [1, 2, 3, 7, 16])
def test_the_schedule_does_not_matter(n_parts):
    """However many workers and calls: as bucket after bucket, diagonal after diagonal."""
    one_by_one = train_grid(n_parts, [(d, d + 1) for d in range(n_parts)], 1, 1)
    half = n_parts // 2
    for calls in ([(0, n_parts)], [(0, half), (half, n_parts)] if half else [(0, 1)]):
        for workers, threads in ((1, 1), (2, 2), (3, 3), (4, 4), (8, 4), (4, 1)):
            for a, b in zip(one_by_one, train_grid(n_parts, calls, workers, threads), strict=True):
                assert np.array_equal(a, b)


def blocks(n_blocks=8, size=50, inside=0.2, outside=0.005, seed=0):
    rng = np.random.default_rng(seed)
    block = np.repeat(np.arange(n_blocks), size)
    chance = np.where(block[:, None] == block, inside, outside)
    edges = np.argwhere(np.triu(rng.random(chance.shape) < chance, 1))
    return edges, block


def cosines(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


@pytest.mark.parametrize("n_components", [3, 32])
def test_planted_blocks_are_separated(n_components):
    edges, block = blocks()
    g = Graph.from_any(edges, nodes=range(len(block)))
    model = Node2Vec(
        n_components, walk_length=20, n_walks=10, window=5, epochs=2, random_state=0, n_jobs=2
    ).fit(g)
    cosine = cosines(model.embedding_)
    pairs = np.triu_indices(len(block), 1)
    same = (block[:, None] == block)[pairs]
    assert cosine[pairs][same].mean() > cosine[pairs][~same].mean() + 0.3
    assert roc_auc_score(same, cosine[pairs]) > 0.9


def test_agrees_with_gensim():
    """Held-out links are ranked as well as by gensim, and the neighbourhoods are alike."""
    pytest.importorskip("gensim")
    n = 1200
    rng = np.random.default_rng(0)
    place = rng.random((n, 2))
    near = np.argwhere(np.triu(np.linalg.norm(place[:, None] - place, axis=2) < 0.06, 1))
    held_out = rng.random(len(near)) < 0.2
    g = Graph.from_any(near[~held_out], nodes=range(n))
    others = rng.integers(0, n, (int(held_out.sum()), 2))
    pairs = np.vstack([near[held_out], others])
    truth = np.arange(len(pairs)) < held_out.sum()
    cosine = {
        name: cosines(
            Node2Vec(
                32, walk_length=20, n_walks=10, window=5, trainer=name, random_state=seed, n_jobs=1
            )
            .fit(g)
            .embedding_
        )
        for name, seed in (("graphembed", 0), ("gensim", 0))
    }
    auc = {name: roc_auc_score(truth, c[pairs[:, 0], pairs[:, 1]]) for name, c in cosine.items()}
    assert auc["gensim"] > 0.9
    assert auc["graphembed"] > auc["gensim"] - 0.02
    nearest = {name: np.argsort(-c, axis=1)[:, 1:21] for name, c in cosine.items()}
    shared = [
        len(set(a) & set(b)) / 20
        for a, b in zip(nearest["graphembed"].tolist(), nearest["gensim"].tolist(), strict=True)
    ]
    assert np.mean(shared) > 0.5  # by chance: 0.017


# ---------------------------------------------------------------------------------------------
# Corner cases
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, 3])
@pytest.mark.parametrize(
    ("edges", "n", "options"),
    [
        ([(0, 1), (1, 2), (2, 3)], 4, {"walk_length": 5}),  # dead end
        ([(0, 1)], 200, {"walk_length": 5}),  # nearly all isolated
        ([(0, 0)], 1, {"walk_length": 5}),  # one node, its own context
        ([(0, 1), (1, 0)], 2, {"walk_length": 1}),  # no pairs
        ([(0, 1), (1, 0)], 2, {"walk_length": 5, "window": 100}),
        ([(0, 1), (1, 0)], 2, {"walk_length": 5, "negative": 50}),
    ],
)
def test_corner_cases_stay_finite(edges, n, options, n_jobs):
    model = DeepWalk(7, n_walks=2, random_state=0, n_jobs=n_jobs, **options)
    model.fit(Graph.from_any(edges, directed=True, nodes=range(n)))
    assert model.embedding_.shape == (n, 7)
    assert np.isfinite(model.embedding_).all()


def test_without_pairs_the_start_values_stay():
    model = DeepWalk(7, walk_length=1, n_walks=2, random_state=0, n_jobs=1)
    vectors = model.fit(Graph.from_any([(0, 1), (1, 2)])).embedding_
    assert model.training_stats_["n_pairs"] == 0
    assert 0 < np.abs(vectors).max() <= 0.5 / 7


def test_a_node_without_edges_keeps_its_start_value():
    small, large = (
        DeepWalk(6, walk_length=5, n_walks=2, epochs=epochs, random_state=0, n_jobs=1)
        .fit([(0, 1), (1, 2)], nodes=range(4))
        .embedding_
        for epochs in (1, 3)
    )
    assert np.array_equal(small[3], large[3])
    assert not np.array_equal(small[0], large[0])


@pytest.mark.parametrize(
    ("options", "digest"),
    [
        ({}, "0d5041190d5758bc"),
        (
            {"n_components": 100, "negative": 7, "negative_sharing": 16, "window": 7},
            "e0ddbd766baeb403",
        ),
        (
            {"q": 0.5, "negative_sharing": 1, "shrink_windows": False, "epochs": 2},
            "0c417c7a7f77b95f",
        ),
    ],
)
def test_vectors_are_those_of_other_processors_and_compilers(options, digest):
    """A change here is a change of what a seed gives: it belongs into CHANGELOG.md."""
    defaults = {"n_components": 32, "walk_length": 20, "n_walks": 2, "window": 4}
    model = Node2Vec(**{**defaults, **options}, random_state=7, n_jobs=2)
    vectors = model.fit(ring_with_chords(1100)).embedding_
    assert hashlib.sha256(vectors.astype("<f4").tobytes()).hexdigest()[:16] == digest
