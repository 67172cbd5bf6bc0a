"""Sampled neighbourhoods: laws against enumeration, structure against a slow reference, errors.

A law is tested on a graph in which many targets have the same sources, so that one batch is many
samples. Every p-value stands at ALPHA / N_TESTS; wrong samplers must fail at the same level.
"""

from itertools import combinations, permutations, product
from math import comb

import numpy as np
import pytest
import scipy.sparse as sp
from exact_laws import merge_rare
from scipy import stats

from graphembed import _threads
from graphembed.graph import Graph
from graphembed.samplers import NeighborSampler

ALPHA = 1e-6
N_TESTS = 100
LEVEL = ALPHA / N_TESTS
N_TARGETS = 60_000

SKEWED = (0.2, 1.0, 2.5, 0.4, 1.7)
NINE = (0.5, 1.0, 2.0, 0.3, 1.1, 0.9, 1.6, 0.7, 0.2)
DOMINATED = (0.5, 1000.0, 2.0, 0.3, 1.1, 0.9, 1.6, 0.7, 0.2)


# ----- Laws ---------------------------------------------------------------------------------------


def star(n_sources, n_targets=N_TARGETS, weights=None):
    """Every target has an arc from each of the sources 0 .. n_sources - 1, in this order."""
    row = np.ones(n_sources) if weights is None else np.array(weights)
    top = sp.csr_array(np.repeat(row[:, None], n_targets, axis=1))
    n = n_sources + n_targets
    shape = sp.csr_array((top.data, top.indices + n_sources, top.indptr), shape=(n_sources, n))
    return Graph.from_csr(
        np.append(shape.indptr, np.full(n_targets, shape.indptr[-1])),
        shape.indices,
        None if weights is None else shape.data,
        directed=True,
    )


def draws(graph, n_sources, k, *, batch=0, seed=0, **options):
    """Sources drawn for every target, shape (n_targets, k), and the block."""
    sampler = NeighborSampler(graph, [k], random_state=seed, **options)
    found = sampler.sample(np.arange(n_sources, graph.n_nodes), batch)
    (block,) = found.blocks
    assert (np.diff(block.indptr) == k).all()
    return found.node_index[block.indices].reshape(-1, k), block


def count_sets(sets, outcomes):
    codes = {outcome: i for i, outcome in enumerate(outcomes)}
    rows, times = np.unique(sets, axis=0, return_counts=True)
    counts = np.zeros(len(outcomes), np.int64)
    for row, n in zip(rows.tolist(), times, strict=True):
        counts[codes[tuple(row)]] += n  # a KeyError is an impossible outcome
    return counts


def p_value(counts, law):
    """Chi-square of counts under their law, rare outcomes merged."""
    assert np.isclose(law.sum(), 1)
    observed, expected = merge_rare(counts, law * counts.sum())
    statistic = ((observed - expected) ** 2 / expected).sum()
    return float(stats.chi2.sf(statistic, len(expected) - 1))


def successive_law(weights, k):
    """Subsets of size k and their probabilities under successive draws by weight."""
    subsets = list(combinations(range(len(weights)), k))
    law = dict.fromkeys(subsets, 0.0)
    for order in permutations(range(len(weights)), k):
        chance, rest = 1.0, sum(weights)
        for i in order:
            chance *= weights[i] / rest
            rest -= weights[i]
        law[tuple(sorted(order))] += chance
    return subsets, np.array([law[subset] for subset in subsets])


@pytest.mark.parametrize(
    ("n", "k"), [(2, 1), (5, 2), (6, 3), (8, 7), (64, 2), (64, 62), (65, 2), (70, 68), (300, 1)]
)
def test_every_subset_is_equally_likely(n, k):
    sets, _ = draws(star(n), n, k)
    subsets = list(combinations(range(n), k))
    counts = count_sets(np.sort(sets, axis=1), subsets)
    assert p_value(counts, np.full(len(subsets), 1 / comb(n, k))) > LEVEL


def test_with_replacement():
    sets, _ = draws(star(5), 5, 3, replace=True)
    outcomes = list(product(range(5), repeat=3))
    assert p_value(count_sets(sets, outcomes), np.full(125, 1 / 125)) > LEVEL


@pytest.mark.parametrize("k", [1, 3])
def test_by_weight_with_replacement(k):
    sets, block = draws(star(5, weights=SKEWED), 5, k, replace=True)
    shares = np.array(SKEWED) / sum(SKEWED)
    outcomes = list(product(range(5), repeat=k))
    law = np.array([shares[list(outcome)].prod() for outcome in outcomes])
    assert p_value(count_sets(sets, outcomes), law) > LEVEL
    np.testing.assert_allclose(block.weights, np.mean(SKEWED), rtol=1e-6)


@pytest.mark.parametrize(
    ("weights", "k"),
    [(SKEWED, 1), (SKEWED, 2), (SKEWED, 3), (SKEWED, 4), (NINE, 2), (NINE, 7), (DOMINATED, 2)],
)
def test_by_weight_without_replacement(weights, k):
    """Most of them: by arrivals; fewer: by refusals; where one dominates: by both."""
    sets, _ = draws(star(len(weights), weights=weights), len(weights), k)
    subsets, law = successive_law(weights, k)
    assert p_value(count_sets(np.sort(sets, axis=1), subsets), law) > LEVEL


def test_weights_may_be_left_aside():
    sets, block = draws(star(5, weights=SKEWED), 5, 2, weighted=False)
    subsets = list(combinations(range(5), 2))
    assert p_value(count_sets(np.sort(sets, axis=1), subsets), np.full(10, 0.1)) > LEVEL
    np.testing.assert_array_equal(block.weights, np.float32(SKEWED)[sets.ravel()])


@pytest.mark.parametrize("options", [{}, {"replace": True}, {"weighted": False}])
@pytest.mark.parametrize(("weights", "k"), [(SKEWED, 3), (NINE, 2), (DOMINATED, 3)])
def test_weighted_means_are_unbiased(weights, k, options):
    graph = star(len(weights), weights=weights)
    sets, block = draws(graph, len(weights), k, **options)
    x = np.arange(1, len(weights) + 1) ** 2.0
    exact = (np.float32(weights) * x).mean()

    def sigmas(values):
        means = (values.reshape(sets.shape) * x[sets]).mean(axis=1)
        return (means.mean() - exact) / (means.std() / np.sqrt(len(means)))

    limit = stats.norm.isf(LEVEL / 2)
    assert abs(sigmas(block.weights.astype(float))) < limit
    if options.get("weighted", True):  # the weights themselves would count the heavy ones twice
        assert abs(sigmas(np.float32(weights)[sets.ravel()].astype(float))) > limit


def joint_p_value(first, second, n):
    outcomes = list(product(combinations(range(n), 2), repeat=2))
    pairs = np.hstack([np.sort(first, axis=1), np.sort(second, axis=1)])
    counts = count_sets(pairs, [(*a, *b) for a, b in outcomes])
    return p_value(counts, np.full(len(outcomes), 1 / len(outcomes)))


def test_targets_batches_layers_and_seeds_are_independent():
    graph, n = star(5), 5
    here, _ = draws(graph, n, 2)
    assert joint_p_value(here[::2], here[1::2], n) > LEVEL
    for other in ({"batch": 1}, {"seed": 1}, {"batch": 2**62}):
        assert joint_p_value(here, draws(graph, n, 2, **other)[0], n) > LEVEL
    sampler = NeighborSampler(graph, [2, 2], random_state=0)
    found = sampler.sample(np.arange(n, graph.n_nodes))
    layers = [
        found.node_index[block.indices[: 2 * N_TARGETS]].reshape(-1, 2) for block in found.blocks
    ]
    np.testing.assert_array_equal(layers[1], here)
    assert joint_p_value(*layers, n) > LEVEL
    assert joint_p_value(here, here, n) < LEVEL  # the test has power


def test_the_tests_refuse_wrong_samplers():
    rng = np.random.default_rng(0)
    weights = np.array(SKEWED)
    subsets, law = successive_law(SKEWED, 2)
    # Keys u * w instead of u ** (1 / w)
    wrong = np.sort(np.argsort(-rng.random((N_TARGETS, 5)) * weights, axis=1)[:, :2], axis=1)
    assert p_value(count_sets(wrong, subsets), law) < LEVEL
    # A pair is refused as a whole if it is twice the same
    pairs = rng.choice(5, (4 * N_TARGETS, 2), p=weights / weights.sum())
    wrong = np.sort(pairs[pairs[:, 0] != pairs[:, 1]][:N_TARGETS], axis=1)
    assert p_value(count_sets(wrong, subsets), law) < LEVEL
    # Floyd's algorithm that never draws the last place
    first, second = rng.integers(0, 4, N_TARGETS), rng.integers(0, 4, N_TARGETS)
    second = np.where(second == first, 4, second)
    wrong = np.sort(np.column_stack([first, second]), axis=1)
    assert p_value(count_sets(wrong, subsets), np.full(10, 0.1)) < LEVEL


# ----- Structure ----------------------------------------------------------------------------------


def random_graph(*, directed=True, weighted=False, n=300, m=2500, seed=0):
    rng = np.random.default_rng(seed)
    dense = np.zeros((n, n), np.float32)
    tails, heads = rng.integers(0, n, m), (n * rng.random(m) ** 3).astype(int)
    dense[tails, heads] = rng.exponential(size=m) + 0.01 if weighted else 1
    dense[7] = dense[:, 7] = 0  # isolated
    dense[3, 3] = 1
    if not directed:
        dense = np.maximum(dense, dense.T)
    return Graph.from_any(sp.csr_array(dense), directed=directed)


def in_neighbours(graph, v):
    source = np.repeat(np.arange(graph.n_nodes), np.diff(graph.indptr))
    return set(source[graph.indices == v].tolist())


KINDS = [
    {"directed": directed, "weighted": weighted}
    for directed in (True, False)
    for weighted in (True, False)
]
OPTIONS = [{}, {"replace": True}, {"weighted": False}]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_blocks(kind, options):
    graph = random_graph(**kind)
    fanouts = [5, 3, 2]
    batch = NeighborSampler(graph, fanouts, random_state=0, **options).sample([9, 3, 7, 200])
    assert batch.node_index[:4].tolist() == [9, 3, 7, 200]
    assert len(np.unique(batch.node_index)) == len(batch.node_index)
    assert batch.blocks[-1].n_target == 4
    assert batch.blocks[0].n_source == len(batch.node_index)
    tails = np.repeat(np.arange(graph.n_nodes), np.diff(graph.indptr))
    for block, following in zip(batch.blocks, batch.blocks[1:], strict=False):
        assert block.n_target == following.n_source
    for block, fanout in zip(batch.blocks[::-1], fanouts, strict=True):
        assert block.indptr.dtype == np.int64
        assert block.indices.dtype == np.int32
        # First appearance: the new sources count upwards
        new = block.indices[np.sort(np.unique(block.indices, return_index=True)[1])]
        new = new[new >= block.n_target]
        assert new.tolist() == list(range(block.n_target, block.n_source))
        for i in range(block.n_target):
            v = int(batch.node_index[i])
            mine = slice(block.indptr[i], block.indptr[i + 1])
            sources = batch.node_index[block.indices[mine]].tolist()
            neighbours, arcs = in_neighbours(graph, v), block.arcs[mine]
            assert set(sources) <= neighbours
            if options.get("replace"):
                assert len(sources) == (fanout if neighbours else 0)
            else:
                assert len(set(sources)) == len(sources) == min(fanout, len(neighbours))
            ends = (tails[arcs], graph.indices[arcs]) if graph.directed else (
                graph.indices[arcs], tails[arcs]
            )  # fmt: skip
            assert ends[0].tolist() == sources
            assert set(ends[1].tolist()) <= {v}
            if graph.is_weighted and len(sources) == len(neighbours) and not options.get("replace"):
                np.testing.assert_array_equal(block.weights[mine], graph.weights[arcs])
    assert all((block.weights is not None) == graph.is_weighted for block in batch.blocks)


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_all_neighbours(kind, replace):
    graph = random_graph(**kind)
    seeds = np.arange(0, graph.n_nodes, 2)
    (block,), index = vars(NeighborSampler(graph, [-1], replace=replace).sample(seeds)).values()
    local = np.ones(len(block.indices)) if block.weights is None else block.weights
    found = sp.csr_array((local, index[block.indices], block.indptr), (len(seeds), graph.n_nodes))
    weights = np.ones(graph.n_arcs) if graph.weights is None else graph.weights
    matrix = sp.csr_array((weights, graph.indices, graph.indptr)).T.tocsr()
    assert abs(found - matrix[seeds]).max() == 0


def arrays(batch):
    yield batch.node_index
    for block in batch.blocks:
        yield from (block.indptr, block.indices, block.arcs)
        yield np.empty(0) if block.weights is None else block.weights


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("openmp", [True, False])
def test_threads_do_not_matter(options, openmp, monkeypatch):
    graph = random_graph(weighted=True, n=3000, m=40_000)
    seeds = np.random.default_rng(0).permutation(3000)[:1000]
    alone = NeighborSampler(graph, [8, 4], random_state=3, **options).sample(seeds, 5)
    monkeypatch.setattr(_threads, "_WORK_PER_THREAD", 1)
    monkeypatch.setattr(_threads, "_WORK_PER_CALL", 2000)
    monkeypatch.setattr(_threads, "_use_openmp", openmp and _threads._use_openmp)
    for n_jobs in (2, 3):
        sampler = NeighborSampler(graph, [8, 4], random_state=3, n_jobs=n_jobs, **options)
        for _ in range(3):
            for one, other in zip(arrays(alone), arrays(sampler.sample(seeds, 5)), strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_sample_depends_on_seed_batch_layer_and_target_alone():
    sampler = NeighborSampler(random_graph(m=9000), [4, 3], random_state=0)

    def rows(seeds, batch=0):
        found = sampler.sample(seeds, batch)
        return [
            {
                int(found.node_index[i]): found.node_index[
                    block.indices[block.indptr[i] : block.indptr[i + 1]]
                ].tolist()
                for i in range(block.n_target)
            }
            for block in found.blocks
        ]

    many = rows(np.arange(100))
    for few in (rows([5]), rows([90, 5, 3])):
        for one, other in zip(few, many, strict=True):
            assert one == {target: other[target] for target in one}
    assert many[0][5] != many[1][5][:3]
    assert many != rows(np.arange(100), 1)


@pytest.mark.parametrize("weighted", [True, False])
def test_subgraph(weighted):
    graph = random_graph(weighted=weighted)
    sampler = NeighborSampler(graph, [4, 3], random_state=0)
    found, blocks = sampler.sample_subgraph([9, 3, 7]), sampler.sample([9, 3, 7]).blocks
    (block,) = found.blocks
    assert block.n_target == block.n_source == len(found.node_index)
    seeds = block.indptr[3]
    np.testing.assert_array_equal(block.indices[:seeds], blocks[1].indices)
    np.testing.assert_array_equal(block.indptr[:4], blocks[1].indptr)
    n_inner = blocks[1].n_source
    assert (np.diff(block.indptr[n_inner:]) == 0).all()
    for i in range(3, n_inner):
        expected = min(3, len(in_neighbours(graph, int(found.node_index[i]))))
        assert block.indptr[i + 1] - block.indptr[i] == expected
    assert (block.weights is not None) == weighted
    assert len(block.arcs) == len(block.indices)


def test_no_seeds_no_arcs():
    for graph in (random_graph(), random_graph(weighted=True, directed=False)):
        batch = NeighborSampler(graph, [4, 3]).sample([])
        assert len(batch.node_index) == 0
        assert [block.indptr.tolist() for block in batch.blocks] == [[0], [0]]
    empty = Graph.from_csr(np.zeros(4, int), np.zeros(0, int), directed=True)
    for replace in (False, True):
        batch = NeighborSampler(empty, [2, -1], replace=replace).sample([2, 0])
        assert batch.node_index.tolist() == [2, 0]
        assert [block.indptr.tolist() for block in batch.blocks] == [[0, 0, 0]] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fanouts": []}, "fanouts must be"),
        ({"fanouts": [3, 0]}, "fanouts must be"),
        ({"fanouts": [3, -2]}, "fanouts must be"),
        ({"fanouts": [2.5]}, "fanouts must be"),
        ({"fanouts": 5}, "fanouts must be"),
        ({"fanouts": [True]}, "fanouts must be"),
        ({"replace": "no"}, "replace must be"),
        ({"weighted": True}, "no weights"),
        ({"random_state": -1}, "random_state must be"),
        ({"n_jobs": 0}, "n_jobs must be"),
    ],
)
def test_bad_parameters(changes, message):
    with pytest.raises(ValueError, match=message):
        NeighborSampler(random_graph(), **{"fanouts": [2], **changes})


@pytest.mark.parametrize(
    ("seeds", "error", "message"),
    [
        ([1, 300], IndexError, r"seeds must be in \[0, 300\), got 300 at position 1"),
        ([-1], IndexError, "got -1 at position 0"),
        (np.array([2**40]), IndexError, "position 0"),
        ([4, 2, 4, 2], ValueError, "got 4 at positions 0 and 2"),
        ([0.5], ValueError, "float64"),
        ([True, False], ValueError, "flatnonzero"),
        ([[1], [2]], ValueError, r"\(2, 1\)"),
    ],
)
def test_bad_seeds(seeds, error, message):
    with pytest.raises(error, match=message):
        NeighborSampler(random_graph(), [2]).sample(seeds)


@pytest.mark.parametrize("batch", [-1, 2**64, 1.5])
def test_bad_batch(batch):
    with pytest.raises(ValueError, match="batch must be"):
        NeighborSampler(random_graph(), [2]).sample([1], batch)
