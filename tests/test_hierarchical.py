"""Hierarchical softmax: the tree, its columns, the steps, the update and the whole training."""

import hashlib
import heapq
import itertools
import math

import numpy as np
import pytest
from exact_laws import enumerate_pairs
from numpy.typing import NDArray

from graphembed import DeepWalk, Node2Vec, sample_walks
from graphembed._kernels import _hierarchical as kernels
from graphembed._kernels._skipgram import INSTRUCTION_SETS, LANES
from graphembed.estimators import _grid as grid_trainer
from graphembed.estimators import _skipgram as trainer
from graphembed.estimators._hierarchical import HierarchicalSoftmax, huffman_tree
from graphembed.graph import Graph
from graphembed.samplers.corpus import WalkCorpus
from graphembed.samplers.walker import Walker

DIMENSIONS = [1, 5, 16, 31, 100, 128]
FASTEST = len(INSTRUCTION_SETS) - 1
FIBONACCI = [1, 1]
while len(FIBONACCI) < 80:
    FIBONACCI.append(FIBONACCI[-1] + FIBONACCI[-2])


def random_visits(n: int) -> NDArray[np.int64]:
    return (10 * np.random.default_rng(n).pareto(1.2, n)).astype(np.int64)


VISITS = {
    "2": np.array([5, 3]),
    "equal": np.full(64, 7),
    "zeros": np.array([0, 0, 0, 0, 0, 9, 1, 0]),
    "nothing": np.zeros(9, np.int64),
    "fibonacci": np.array(FIBONACCI),
    "pareto 3": random_visits(3),
    "pareto 17": random_visits(17),
    "pareto 1000": random_visits(1000),
}


@pytest.fixture(params=VISITS)
def visits(request):
    return VISITS[request.param]


def path(up: NDArray[np.uint32], node: int) -> list[tuple[int, int]]:
    """Inner nodes and bits from a node upwards."""
    n_nodes, place, steps = len(up) // 2 + 1, node, []
    while place < len(up):
        steps.append((int(up[place]) >> 1, int(up[place]) & 1))
        place = n_nodes + steps[-1][0]
    return steps


def sigmoid(x):
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, np.float64)))


# ---------------------------------------------------------------------------------------------
# Tree
# ---------------------------------------------------------------------------------------------


def huffman_cost(visits: NDArray[np.int64]) -> int:
    """Sum of visits times the length of the code, by the textbook's heap."""
    heap, cost = visits.tolist(), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        cost += joined
        heapq.heappush(heap, joined)
    return cost


def test_the_code_is_optimal(visits):
    up, _, sums = huffman_tree(visits)
    lengths = [len(path(up, node)) for node in range(len(visits))]
    assert int(visits @ lengths) == huffman_cost(visits) == sums[-1]


def test_every_inner_node_has_two_children(visits):
    up, weights, sums = huffman_tree(visits)
    n = len(visits)
    assert sorted(up.tolist()) == list(range(2 * n - 2))
    below, cost = np.zeros(n - 1, np.int64), np.zeros(n - 1, np.int64)
    for node in range(n):
        for depth, (inner, _) in enumerate(path(up, node), 1):
            below[inner] += visits[node]
            cost[inner] += depth * visits[node]
    assert np.array_equal(weights, below)
    assert np.array_equal(sums, cost)


def test_leaf_probabilities_sum_to_1(visits):
    up, *_ = huffman_tree(visits)
    rng = np.random.default_rng(0)
    centre, inner = rng.normal(0, 1, 16), rng.normal(0, 1, (len(visits) - 1, 16))
    total = sum(
        math.prod(sigmoid((1 - 2 * bit) * (inner[i] @ centre)) for i, bit in path(up, node))
        for node in range(len(visits))
    )
    assert total == pytest.approx(1.0, abs=1e-12)


def test_ties():
    """The leaf before the inner node, the smaller index first; the lighter tree has bit 0."""
    up, weights, _ = huffman_tree(np.array([2, 1, 1, 2]))
    assert weights.tolist() == [2, 4, 6]
    assert path(up, 1) == [(0, 0), (2, 0)]
    assert path(up, 2) == [(0, 1), (2, 0)]
    assert path(up, 0) == [(1, 0), (2, 1)]
    assert path(up, 3) == [(1, 1), (2, 1)]
    lengths = [len(path(huffman_tree(np.zeros(8, np.int64))[0], node)) for node in range(8)]
    assert lengths == [3] * 8  # the least depth


def test_a_path_can_be_longer_than_64_steps():
    up, *_ = huffman_tree(VISITS["fibonacci"])
    assert len(path(up, 0)) == 79


@pytest.mark.parametrize("n", [0, 1])
def test_no_tree(n):
    up, weights, sums = huffman_tree(np.full(n, 3)) if n else huffman_tree(np.array([0]))
    assert len(up) == len(weights) == len(sums) == 0


def test_a_tree_may_be_built_piece_by_piece():
    visits = VISITS["pareto 1000"]
    up, weights, sums = (np.zeros(n, d) for n, d in ((1998, "u4"), (999, "i8"), (999, "i8")))
    order = np.argsort(visits, kind="stable").astype(np.int32)
    leaf = np.zeros(1, np.int64)
    for begin, end in itertools.pairwise([0, 1, 2, 500, 500, 999]):
        kernels.build_tree(visits, order, up, weights, sums, leaf, begin, end, 1)
    for mine, whole in zip((up, weights, sums), huffman_tree(visits), strict=True):
        assert np.array_equal(mine, whole)


@pytest.mark.parametrize("n_parts", [1, 3, 16])
def test_columns_are_balanced_and_keep_subtrees_together(visits, n_parts):
    up, weights, sums = huffman_tree(visits)
    n, limit = len(visits), int(sums[-1]) // (4 * n_parts)
    column, loads = np.full(n - 1, -1, np.int32), np.zeros(n_parts, np.int64)
    for begin, end in itertools.pairwise([0, 1, n // 2, n - 1]):
        kernels.deal_columns(up, weights, sums, limit, column, loads, begin, end, 1)
    assert set(column.tolist()) <= set(range(n_parts))
    for c in range(n_parts):
        assert loads[c] == weights[column == c].sum()
    # A column was the lightest before it got its last piece: one node, or a subtree.
    assert loads.max() <= sums[-1] / n_parts + max(limit, weights[-1])
    for i in range(n - 2):
        parent = up[n + i] >> 1
        if sums[parent] <= limit:
            assert column[i] == column[parent]


# ---------------------------------------------------------------------------------------------
# Steps
# ---------------------------------------------------------------------------------------------


def sorted_steps(walks, walk_ids, part, up, column, n_parts, n_chunks=7, n_threads=2):
    """Steps bucket by bucket, as the trainer collects them, and the number of pairs."""
    counts, n_pairs = np.empty((n_chunks, n_parts**2), np.int64), np.empty(n_chunks, np.int64)
    what = (n_parts, 4, True, 0, walks.shape[1], 5, 0, n_chunks, n_threads)
    kernels.count_steps(walks, walk_ids, part, up, column, n_pairs, counts, *what)
    ends = np.cumsum(counts.T).reshape(counts.T.shape)
    cursors = np.ascontiguousarray((ends - counts.T).T)
    centres, steps = np.full(counts.sum(), -1, np.int32), np.zeros(counts.sum(), np.uint32)
    kernels.fill_steps(walks, walk_ids, part, up, column, cursors, centres, steps, *what)
    assert np.array_equal(cursors.T, ends)
    found = np.column_stack([centres, steps >> 1, steps & 1])
    return np.split(found, ends[:-1, -1]), int(n_pairs.sum())


@pytest.mark.parametrize("n_parts", [1, 5])
def test_steps_equal_the_enumeration(n_parts):
    rng = np.random.default_rng(0)
    g = Graph.from_any(rng.integers(0, 40, (60, 2)), directed=True, nodes=range(45))
    walks = sample_walks(g, walk_length=12, n_walks=2, random_state=0)
    assert (walks < 0).any()
    walk_ids = rng.permutation(10**6)[: len(walks)]
    up, *_ = huffman_tree(np.bincount(walks[walks >= 0], minlength=45))
    part = rng.integers(0, n_parts, 45).astype(np.int32)
    column = rng.integers(0, n_parts, 44).astype(np.int32)
    pairs = enumerate_pairs(walks, walk_ids, 4, True, seed=5)
    expected = [(u, *step) for u, v in pairs for step in path(up, v)]
    for n_chunks, n_threads in ((1, 1), (7, 2), (64, 4)):
        buckets, n_pairs = sorted_steps(
            walks, walk_ids, part, up, column, n_parts, n_chunks, n_threads
        )
        assert n_pairs == len(pairs)
        for b, bucket in enumerate(buckets):
            mine = [s for s in expected if part[s[0]] * n_parts + column[s[1]] == b]
            assert list(map(tuple, bucket.tolist())) == mine  # also in the order of the walks


# ---------------------------------------------------------------------------------------------
# The update
# ---------------------------------------------------------------------------------------------


def tables(n_nodes: int, n_components: int) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(n_nodes + n_components)
    both = [np.zeros((n_nodes, -(-n_components // LANES) * LANES), np.float32) for _ in range(2)]
    for table in both:
        table[:, :n_components] = rng.normal(0, n_components**-0.25, (n_nodes, n_components))
    return both


def train(steps, tables, rate, instructions=FASTEST):
    """Train (centre, inner node, bit) in place, as one bucket."""
    centres = np.array([u for u, _, _ in steps], np.int32)
    words = np.array([i << 1 | bit for _, i, bit in steps], np.uint32)
    kernels.train_diagonals(
        0, 1, np.array([0, len(steps)]), centres, words, *tables, np.full(1, rate, np.float32),
        np.zeros(4, np.int32), instructions, 0, 1, 1,
    )  # fmt: skip


def reference(steps, tables, rate):
    """The same in float64: lots of steps of one centre, at 6 nodes, 4 at each, at most."""
    h, c = (table.astype(np.float64) for table in tables)
    steps = list(steps)
    while steps:
        lot, seen = [], {}
        for u, i, bit in steps:
            if u != steps[0][0] or (i not in seen and len(seen) == 6) or seen.get(i) == 4:
                break
            seen[i] = seen.get(i, 0) + 1
            lot.append((i, bit))
        centre, rows = h[steps[0][0]].copy(), c.copy()
        for i, bit in lot:
            gain = rate * (1 - bit - sigmoid(centre @ rows[i]))
            h[steps[0][0]] += gain * rows[i]
            c[i] += gain * centre
        steps = steps[len(lot) :]
    return h, c


def random_steps(n_steps: int, n_nodes: int) -> list[tuple[int, int, int]]:
    rng = np.random.default_rng(n_steps)
    centres = np.repeat(rng.integers(0, n_nodes, n_steps), rng.integers(1, 12, n_steps))[:n_steps]
    others = rng.integers(0, n_nodes - 1, n_steps), rng.integers(0, 2, n_steps)
    return list(zip(centres.tolist(), *(a.tolist() for a in others), strict=True))


@pytest.mark.parametrize("n_components", DIMENSIONS)
@pytest.mark.parametrize("n_nodes", [2, 4, 60])  # few: inner nodes repeat
@pytest.mark.parametrize("n_steps", [1, 2, 3, 301])
def test_steps_equal_the_reference(n_components, n_nodes, n_steps):
    steps, given = random_steps(n_steps, n_nodes), tables(n_nodes, n_components)
    expected = reference(steps, given, 0.05)
    before = given[0].copy()
    train(steps, given, 0.05)
    for mine, right in zip(given, expected, strict=True):
        np.testing.assert_allclose(mine, right, rtol=0, atol=1e-4)
        assert not mine[:, n_components:].any()
    assert np.abs(given[0] - before).max() > 1e-3


@pytest.mark.parametrize("instructions", range(len(INSTRUCTION_SETS)))
@pytest.mark.parametrize("n_components", [16, 100, 128, 200])
def test_all_instruction_sets_give_the_same_bits(instructions, n_components):
    steps = random_steps(301, 20)
    slow, fast = tables(20, n_components), tables(20, n_components)
    train(steps, slow, 0.05, 0)
    train(steps, fast, 0.05, instructions)
    for a, b in zip(slow, fast, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("n_components", DIMENSIONS)
def test_a_pair_descends_the_gradient_of_the_loss(n_components):
    up, *_ = huffman_tree(VISITS["pareto 17"])
    rate, step, context = 1e-2, 1e-5, next(v for v in range(17) if len(path(up, v)) == 5)
    inner, bits = map(list, zip(*path(up, context), strict=True))
    given = tables(17, n_components)
    h0, c0 = (table.astype(np.float64) for table in given)
    train([(3, i, bit) for i, bit in path(up, context)], given, rate)

    def loss(h, c):
        # -log of the product over the path, Mikolov et al. 2013, eq. 3
        return float(-np.log(sigmoid((1 - 2 * np.array(bits)) * (c @ h))).sum())

    def slopes(at, f):
        found = np.empty(at.size)
        for j in range(at.size):
            up_, down = at.copy(), at.copy()
            up_.flat[j] += step
            down.flat[j] -= step
            found[j] = (f(up_) - f(down)) / (2 * step)
        return found

    h, c = h0[3, :n_components], c0[inner, :n_components]
    moved_h, moved_c = given[0][3] - h0[3], (given[1] - c0)[inner]
    of_h, of_c = slopes(h, lambda x: loss(x, c)), slopes(c, lambda x: loss(h, x))
    np.testing.assert_allclose(moved_h[:n_components] / -rate, of_h, rtol=0, atol=2e-4)
    np.testing.assert_allclose(moved_c[:, :n_components].ravel() / -rate, of_c, rtol=0, atol=2e-4)
    assert np.abs(of_h).max() > 0.02
    others = np.setdiff1d(np.arange(17), inner)
    assert np.array_equal(given[1][others], tables(17, n_components)[1][others])


# ---------------------------------------------------------------------------------------------
# The whole training
# ---------------------------------------------------------------------------------------------


@pytest.fixture
def eager_threads(monkeypatch):
    """Use all threads asked for, however little there is to do."""
    monkeypatch.setattr("graphembed._threads._WORK_PER_THREAD", 1)


def ring_with_chords(n: int) -> Graph:
    rng = np.random.default_rng(n)
    ring = np.column_stack([np.arange(n), np.roll(np.arange(n), -1)])
    return Graph.from_any(np.vstack([ring, rng.integers(0, n, (2 * n, 2))]))


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.parametrize("n_nodes", [100, 400, 1100])  # 1, 6, 16 parts
@pytest.mark.parametrize("entries_per_pool", [2_000, 2**22])
@pytest.mark.parametrize("openmp", [True, False])
def test_any_number_of_threads(n_nodes, entries_per_pool, openmp, monkeypatch):
    monkeypatch.setattr(grid_trainer, "_ENTRIES_PER_POOL", entries_per_pool)
    g = ring_with_chords(n_nodes)
    vectors = []
    for n in (1, 2, 3, 4):
        monkeypatch.setattr("graphembed._threads._use_openmp", openmp or n == 1)
        model = Node2Vec(
            20, walk_length=10, n_walks=2, window=4, q=0.5, loss="hs", random_state=0, n_jobs=n
        )
        vectors.append(model.fit(g).embedding_)
    assert np.isfinite(vectors[0]).all()
    for other in vectors[1:]:
        assert np.array_equal(vectors[0], other)


def train_grid(n_parts, calls, workers, threads):
    """Random steps of 20 rows a part, in these calls."""
    rng = np.random.default_rng(n_parts)
    n, n_steps = 20 * n_parts, 3000
    part, column = (rng.permutation(np.arange(n) % n_parts) for _ in range(2))
    centres, inner = rng.integers(0, n, (2, n_steps))
    bucket = part[centres] * n_parts + column[inner]
    order = np.argsort(bucket, kind="stable")
    words = (2 * inner + rng.integers(0, 2, n_steps))[order].astype(np.uint32)
    starts = np.concatenate([[0], np.cumsum(np.bincount(bucket, minlength=n_parts**2))])
    given = tables(n, 16)
    rates = np.linspace(0.1, 0.05, n_parts, dtype=np.float32)
    for first, last in calls:
        schedule = np.zeros(2 + 2 * n_parts, np.int32)
        schedule[2 : 2 + n_parts] = first
        kernels.train_diagonals(
            first, last, starts, centres[order].astype(np.int32), words, *given, rates, schedule,
            FASTEST, 0, workers, threads,
        )  # fmt: skip
        assert schedule[1] == n_parts * (last - first)  # every bucket was trained
    return given


@pytest.mark.parametrize("n_parts", [1, 2, 7, 16])
def test_the_schedule_does_not_matter(n_parts):
    one_by_one = train_grid(n_parts, [(d, d + 1) for d in range(n_parts)], 1, 1)
    for workers, threads in ((1, 1), (2, 2), (4, 4), (8, 4), (4, 1)):
        for a, b in zip(
            one_by_one, train_grid(n_parts, [(0, n_parts)], workers, threads), strict=True
        ):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("entries_per_pool", [20, 50_000, 2**22])  # 20: less than a walk has
def test_every_pair_is_trained(entries_per_pool, monkeypatch):
    """The pairs are those of negative sampling, however they are cut into pools."""
    options = {"walk_length": 10, "n_walks": 3, "window": 2, "epochs": 2, "random_state": 5}
    g = ring_with_chords(700)
    expected = DeepWalk(8, **options).fit(g).training_stats_["n_pairs"]
    monkeypatch.setattr(grid_trainer, "_ENTRIES_PER_POOL", entries_per_pool)
    model = DeepWalk(8, loss="hs", **options).fit(g)
    assert model.training_stats_["n_pairs"] == expected


def test_a_pool_has_about_as_many_entries_as_it_should():
    g = ring_with_chords(2000)
    corpus = WalkCorpus(Walker(g), 40, 1, 0, 1)
    config = trainer.SkipGramConfig(8, 5, "hs", 5, 0.75, 1, 0.025, 1e-4, True, 8)
    visits = trainer.count_corpus(corpus, trainer.TrainingStats(), 0)
    grid = HierarchicalSoftmax(corpus, config, visits, corpus.walk_length)
    walk_ids, walks = next(corpus.blocks(0, 10**6))
    grid.train_pool(walk_ids, walks, (0, 40), (0.0, 1.0))
    planned = grid_trainer._ENTRIES_PER_POOL * len(walks) / grid.walks_per_pool
    assert len(grid.centres) / (1 + 1 / 16) == pytest.approx(planned, rel=0.02)


@pytest.mark.parametrize("trainer_name", ["graphembed", "gensim"])
def test_planted_blocks_are_separated(trainer_name):
    if trainer_name == "gensim":
        pytest.importorskip("gensim")
    block = np.repeat(np.arange(8), 50)
    chance = np.where(block[:, None] == block, 0.2, 0.005)
    edges = np.argwhere(np.triu(np.random.default_rng(0).random(chance.shape) < chance, 1))
    vectors = DeepWalk(
        32, walk_length=20, n_walks=10, window=5, epochs=2, loss="hs", trainer=trainer_name,
        random_state=0, n_jobs=1,
    ).fit(Graph.from_any(edges, nodes=range(400))).embedding_  # fmt: skip
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = np.triu_indices(400, 1)
    cosine, same = (unit @ unit.T)[pairs], (block[:, None] == block)[pairs]
    assert cosine[same].mean() > cosine[~same].mean() + 0.3


def test_gensim_trains_by_hierarchical_softmax(monkeypatch):
    word2vec = pytest.importorskip("gensim.models.word2vec")
    made = []

    class Spy(word2vec.Word2Vec):
        def __init__(self, **options):
            super().__init__(**options)
            made.append(self)

    monkeypatch.setattr(word2vec, "Word2Vec", Spy)
    g = ring_with_chords(300)
    for loss, expected in (("ns", (0, 5)), ("hs", (1, 0))):
        DeepWalk(8, n_walks=2, loss=loss, trainer="gensim", random_state=0, n_jobs=1).fit(g)
        assert (made[-1].hs, made[-1].negative) == expected
    keyed = made[-1].wv
    visits = np.array([keyed.get_vecattr(node, "count") for node in range(300)])
    lengths = [len(keyed.get_vecattr(node, "code")) for node in range(300)]
    assert visits @ lengths == huffman_tree(visits)[2][-1]


@pytest.mark.parametrize("n_jobs", [1, 3])
@pytest.mark.parametrize(
    ("edges", "n", "options"),
    [
        ([(0, 1), (1, 2), (2, 3)], 4, {"walk_length": 5}),  # dead end
        ([(0, 1)], 200, {"walk_length": 5}),  # nearly all isolated
        ([(0, 0)], 1, {"walk_length": 5}),  # one node: no inner node
        ([(0, 1), (1, 0)], 2, {"walk_length": 1}),  # no pairs
        ([(0, 1), (1, 0)], 2, {"walk_length": 5, "window": 100}),
        ([(0, i) for i in range(1, 300)], 300, {"walk_length": 9, "learning_rate": 0.5}),  # star
    ],
)
def test_corner_cases_stay_finite(edges, n, options, n_jobs):
    model = DeepWalk(7, n_walks=2, loss="hs", random_state=0, n_jobs=n_jobs, **options)
    model.fit(Graph.from_any(edges, directed=True, nodes=range(n)))
    assert model.embedding_.shape == (n, 7)
    assert np.isfinite(model.embedding_).all()


def test_what_negative_sampling_needs_does_not_matter():
    g = ring_with_chords(100)
    plain, other = (
        DeepWalk(8, n_walks=1, loss="hs", random_state=0, **options).fit(g).embedding_
        for options in ({}, {"negative": 9, "ns_exponent": 0.0, "negative_sharing": 1})
    )
    assert np.array_equal(plain, other)


@pytest.mark.parametrize(
    ("options", "digest"),
    [
        ({}, "f7df892250d13229"),
        (
            {"n_components": 100, "window": 7, "shrink_windows": False, "epochs": 2},
            "d4d594c0c472383a",
        ),
    ],
)
def test_vectors_are_those_of_other_processors_and_compilers(options, digest):
    """A change here is a change of what a seed gives: it belongs into CHANGELOG.md."""
    defaults = {"n_components": 32, "walk_length": 20, "n_walks": 2, "window": 4}
    model = DeepWalk(**{**defaults, **options}, loss="hs", random_state=7, n_jobs=2)
    vectors = model.fit(ring_with_chords(1100)).embedding_
    assert hashlib.sha256(vectors.astype("<f4").tobytes()).hexdigest()[:16] == digest
