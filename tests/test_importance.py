"""Importance neighbourhoods: the law against enumeration in numpy, ties, threads, errors.

The visits of one walk depend on each other, so shares are compared with their law by their exact
covariance; and the nodes that a single walk visits with the exact law of such sets. Wrong laws must
be refused at the level at which the right ones pass.
"""

from itertools import pairwise, product

import numpy as np
import pytest
import scipy.sparse as sp
from exact_laws import merge_rare
from scipy import stats

from graphembed import _threads
from graphembed.graph import Graph
from graphembed.samplers import importance_neighbors

LEVEL = 1e-6 / 50
N_WALKS = 200_000


def dense(kind):
    """Small matrices; row v holds the weights of the arcs from v."""
    rng = np.random.default_rng(5)
    if kind.startswith("bipartite"):
        upper = np.zeros((7, 7))
        upper[:3, 3:] = [[1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 1, 0]]
    else:
        upper = np.triu(rng.random((7, 7)) < 0.55, 1).astype(float)
        upper[0, 1] = upper[1, 2] = 1
    if kind.endswith("weighted"):
        upper *= rng.integers(1, 40, upper.shape) / 4
    if kind.startswith("directed"):
        matrix = upper + np.where(rng.random((7, 7)) < 0.3, upper.T, 0)
        matrix[2, 2] = 1
        return matrix  # the last row is a dead end
    return upper + upper.T


KINDS = {
    "plain": False,
    "plain weighted": False,
    "bipartite": False,
    "bipartite weighted": False,
    "directed": True,
    "directed weighted": True,
}


def graph_of(matrix, directed):
    return Graph.from_scipy(sp.csr_array(matrix), directed=directed)


def traversal(matrix, stride):
    """Probability that a traversal from v ends at x; less than 1 in all where walks end."""
    total = matrix.sum(axis=1, keepdims=True)
    step = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    return np.linalg.matrix_power(step, stride)


def paths(matrix, seed, *, length, restart, stride):
    """Every sequence of nodes that a walk may visit, and its probability."""
    moves, n = traversal(matrix, stride), len(matrix)
    found = {}
    for t in range(length + 1):
        for path in product(range(n), repeat=t):
            chance = (1 - restart) ** max(t - 1, 0)
            for v, x in pairwise((seed, *path)):
                chance *= moves[v, x]
            last = path[-1] if path else seed
            ends = 1 - moves[last].sum()  # at a dead end
            if 0 < t < length:
                ends = restart + (1 - restart) * ends
            elif t == length:
                ends = 1.0
            if chance * ends > 0:
                found[path] = chance * ends
    assert np.isclose(sum(found.values()), 1)
    return found


def moments(law, seed, n, *, count_seed=False):
    """Mean and covariance of a walk's visits."""
    mean, second = np.zeros(n), np.zeros((n, n))
    for path, chance in law.items():
        visits = np.bincount(path, minlength=n).astype(float) if path else np.zeros(n)
        if not count_seed:
            visits[seed] = 0
        mean += chance * visits
        second += chance * np.outer(visits, visits)
    return mean, second - np.outer(mean, mean)


def shares_of(row, weights, n):
    shares = np.zeros(n)
    shares[row[row >= 0]] = weights[row >= 0]
    return shares


def p_of_shares(shares, law, seed, n_walks, **options):
    """Wald's test of shares of the visits of n_walks walks (delta method)."""
    mean, covariance = moments(law, seed, len(shares), **options)
    slope = (np.eye(len(mean)) - np.outer(mean, np.ones(len(mean))) / mean.sum()) / mean.sum()
    spread = slope @ covariance @ slope.T
    rank = np.linalg.matrix_rank(spread, tol=1e-9)
    apart = shares - mean / mean.sum()
    inverse = np.linalg.pinv(spread, rcond=1e-9)
    beside = np.abs(apart - spread @ (inverse @ apart)).max()  # what has no variance is exact
    if beside > 1e-5:
        return 0.0
    return float(stats.chi2.sf(n_walks * apart @ inverse @ apart, rank))


SETTINGS = [
    {"length": 1, "restart": 0.5},
    {"length": 2, "restart": 0.5},
    {"length": 3, "restart": 0.2},
    {"length": 2, "restart": 0.0},
]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_shares_of_visits(kind, setting):
    matrix, n = dense(kind), 7
    stride = 2 if kind.startswith("bipartite") else 1
    rows, weights = importance_neighbors(
        graph_of(matrix, KINDS[kind]), [0, 1, 2], n_walks=N_WALKS, top=n, random_state=3,
        walk_length=setting["length"], restart=setting["restart"],
    )  # fmt: skip
    for seed in range(3):
        shares = shares_of(rows[seed], weights[seed], n)
        assert shares[seed] == 0
        assert shares.sum() == pytest.approx(1, abs=1e-6)
        law = paths(matrix, seed, stride=stride, **setting)
        assert p_of_shares(shares, law, seed, N_WALKS) > LEVEL


@pytest.mark.parametrize(
    "wrong", ["seed counted", "no restart", "one more", "one step", "unweighted", "other seed"]
)
def test_wrong_laws_are_refused(wrong):
    kind, stride = ("bipartite weighted", 2) if wrong == "one step" else ("plain weighted", 1)
    matrix, seed, right = dense(kind), 0, {"length": 2, "restart": 0.5, "stride": stride}
    rows, weights = importance_neighbors(
        graph_of(matrix, False), [seed], n_walks=N_WALKS, top=7, random_state=0
    )
    shares = shares_of(rows[0], weights[0], 7)
    assert p_of_shares(shares, paths(matrix, seed, **right), seed, N_WALKS) > LEVEL
    law = {
        "no restart": right | {"restart": 0.0},
        "one more": right | {"length": 3},
        "one step": right | {"stride": 1},
    }.get(wrong, right)
    other = (matrix > 0).astype(float) if wrong == "unweighted" else matrix
    expected = paths(other, 1 if wrong == "other seed" else seed, **law)
    p = p_of_shares(shares, expected, seed, N_WALKS, count_seed=wrong == "seed counted")
    assert p < LEVEL


@pytest.mark.parametrize("kind", ["plain weighted", "bipartite", "directed"])
def test_single_walks_from_many_seeds(kind):
    """Copies of a graph, one walk in each: walks of different seeds are independent."""
    matrix, n, copies = dense(kind), 7, 30_000
    graph = graph_of(sp.kron(sp.eye_array(copies), sp.csr_array(matrix)), KINDS[kind])
    seeds = np.arange(copies) * n + 1
    rows, weights = importance_neighbors(graph, seeds, n_walks=1, top=3, random_state=1)
    stride = 2 if kind == "bipartite" else 1
    law = {}
    for path, chance in paths(matrix, 1, length=2, restart=0.5, stride=stride).items():
        nodes = frozenset(path) - {1}
        law[nodes] = law.get(nodes, 0.0) + chance
    counts = dict.fromkeys(law, 0)
    for row in np.where(rows < 0, -1, rows - seeds[:, None] + 1).tolist():
        counts[frozenset(row) - {-1}] += 1  # a KeyError is an impossible walk
    visited = (rows >= 0).sum(axis=1)
    np.testing.assert_allclose(weights[visited == 2][:, :2], 0.5)
    expected = np.array(list(law.values())) * copies
    observed, expected = merge_rare(np.array(list(counts.values())), expected)
    p = stats.chi2.sf(((observed - expected) ** 2 / expected).sum(), len(expected) - 1)
    assert p > LEVEL


# ----- The exact law ------------------------------------------------------------------------------


def expected_scores(matrix, *, length, restart, stride, beta=0.0):
    """Row v holds the scores of all nodes for the seed v."""
    moves = traversal(matrix, stride)
    scores, power = np.zeros(matrix.shape), np.eye(len(matrix))
    for t in range(length):
        power = power @ moves
        scores += (1 - restart) ** t * power
    into = matrix.sum(axis=0)
    scores *= np.where(into > 0, into, 1.0) ** -beta
    np.fill_diagonal(scores, 0)
    return scores


def large(kind, n=90, m=300, seed=0):
    """Heavy tail; with an isolated node and a separate pair."""
    rng = np.random.default_rng(seed)
    rows, columns = (n * rng.random(m) ** 2).astype(int), (n * rng.random(m) ** 2).astype(int)
    if kind.startswith("bipartite"):
        rows, columns = rows // 2 * 2, columns // 2 * 2 + 1
    matrix = np.zeros((n, n))
    values = rng.exponential(size=m) + 0.1 if kind.endswith("weighted") else np.ones(m)
    matrix[rows, columns] = values
    if not KINDS[kind]:
        matrix = np.maximum(matrix, matrix.T)
    for v in (10, 20, 21):
        matrix[v] = matrix[:, v] = 0
    matrix[20, 21] = matrix[21, 20] = 1
    return matrix


@pytest.mark.parametrize("beta", [0.0, 0.7])
@pytest.mark.parametrize(
    "law",
    [
        {"length": 1, "restart": 0.5},
        {"length": 2, "restart": 0.5},
        {"length": 5, "restart": 0.1},
        {"length": 4, "restart": 0.0},
        {"length": 3, "restart": 1.0},
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_exact_mode(kind, law, beta):
    matrix = large(kind)
    stride = 2 if kind.startswith("bipartite") else 1
    rows, weights = importance_neighbors(
        graph_of(matrix, KINDS[kind]), walk_length=law["length"], restart=law["restart"],
        beta=beta, top=len(matrix), exact=True, random_state=0,
    )  # fmt: skip
    expected = expected_scores(matrix.astype(np.float32), stride=stride, beta=beta, **law)
    for seed, scores in enumerate(expected):
        found = rows[seed][rows[seed] >= 0]
        assert set(found.tolist()) == set(np.flatnonzero(scores).tolist())
        assert (np.diff(weights[seed]) <= 0).all()
        if scores.any():
            shares = shares_of(rows[seed], weights[seed], len(matrix))
            np.testing.assert_allclose(shares, scores / scores.sum(), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("exact", [False, True])
def test_the_top_is_the_first_of_all(exact):
    graph = graph_of(large("plain weighted"), False)
    options = {"n_walks": 400, "random_state": 0, "exact": exact}
    every, all_weights = importance_neighbors(graph, top=90, **options)
    for top in (1, 4, 30):
        rows, weights = importance_neighbors(graph, top=top, **options)
        np.testing.assert_array_equal(rows, every[:, :top])
        kept = all_weights[:, :top].astype(float)
        total = np.maximum(kept.sum(axis=1, keepdims=True), 1e-30)
        np.testing.assert_allclose(weights, kept / total, rtol=1e-5)


@pytest.mark.parametrize("exact", [False, True])
def test_nodes_without_neighbours(exact):
    """Isolated; or whose walks come back to it alone; or that lead nowhere."""
    graph = Graph.from_edges([("u", "only"), ("v", "a"), ("v", "b")], nodes=["alone"])
    seeds = [graph.node_ids.tolist().index(name) for name in ("alone", "only", "a")]
    rows, weights = importance_neighbors(graph, seeds, top=2, exact=exact, random_state=0)
    assert rows[:2].tolist() == [[-1, -1], [-1, -1]]
    assert not weights[:2].any()
    assert graph.node_ids[rows[2, 0]] == "b"
    assert weights[2].tolist() == [1, 0]
    chain = Graph.from_edges([(0, 1), (1, 2)], directed=True)
    rows, weights = importance_neighbors(chain, top=2, restart=0, exact=exact, random_state=0)
    assert np.sort(rows[0]).tolist() == [1, 2]
    assert weights[0].tolist() == [0.5, 0.5]
    assert rows[1:].tolist() == [[2, -1], [-1, -1]]
    empty = Graph.from_edges(np.empty((0, 2), np.int64), nodes=range(3))
    assert (importance_neighbors(empty, exact=exact)[0] == -1).all()
    assert importance_neighbors(graph, [], exact=exact)[0].shape == (0, 50)


def test_stride_may_be_chosen():
    graph = graph_of(dense("bipartite"), False)
    sides = [set(importance_neighbors(graph, [0], top=7, stride=s, exact=True)[0][0].tolist())
             for s in (1, 2)]  # fmt: skip
    assert sides[1] <= {-1, 1, 2}
    assert sides[0] & {3, 4, 5, 6}
    default = importance_neighbors(graph, [0], top=7, exact=True)[0]
    assert set(default[0].tolist()) == sides[1]


def test_more_walks_come_closer_to_the_exact_top():
    graph = graph_of(large("bipartite", n=600, m=4000), False)
    exact = importance_neighbors(graph, top=10, exact=True, random_state=0)[0]
    overlaps = []
    for n_walks in (10, 100, 1000, 10_000):
        rows = importance_neighbors(graph, top=10, n_walks=n_walks, random_state=0)[0]
        pairs = zip(rows.tolist(), exact.tolist(), strict=True)
        overlaps.append(np.mean([len(set(a) & set(b) - {-1}) / 10 for a, b in pairs]))
    assert (np.diff(overlaps) > 0.03).all()


# ----- Ties, and what a row depends on ------------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
def test_ties_favour_no_index(exact):
    """In copies of a star every two leaves are a tie."""
    n, copies = 6, 4000
    leaves = np.arange(n * copies).reshape(copies, n)
    star = np.column_stack([np.repeat(leaves[:, 0], n - 1), leaves[:, 1:].ravel()])
    graph = Graph.from_edges(star)
    rows, _ = importance_neighbors(
        graph, leaves[:, 1], top=4, n_walks=40, random_state=0, exact=exact
    )
    counts = np.bincount(rows[:, 0] % n, minlength=n)
    assert counts[:2].tolist() == [0, 0]
    assert stats.chisquare(counts[2:]).pvalue > LEVEL
    other = importance_neighbors(graph, leaves[:, 1], top=4, random_state=1, exact=exact)[0]
    assert (rows[:, 0] != other[:, 0]).mean() > 0.5


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("kind", ["bipartite weighted", "directed"])
def test_a_row_is_a_function_of_its_seed(kind, exact, monkeypatch):
    graph = graph_of(large(kind), KINDS[kind])
    options = {"n_walks": 700, "top": 8, "random_state": 5, "exact": exact}
    expected = importance_neighbors(graph, **options)
    order = np.random.default_rng(0).permutation(graph.n_nodes)
    order = np.append(order, order[:5])
    found = importance_neighbors(graph, order, **options)
    alone = [importance_neighbors(graph, [seed], **options) for seed in range(0, 90, 7)]
    for k in range(2):
        np.testing.assert_array_equal(found[k], expected[k][order])
        np.testing.assert_array_equal(np.concatenate([a[k] for a in alone]), expected[k][::7])
    monkeypatch.setattr(_threads, "_WORK_PER_THREAD", 1)
    monkeypatch.setattr(_threads, "_WORK_PER_CALL", 2**14)
    for openmp in {_threads._use_openmp, False}:
        monkeypatch.setattr(_threads, "_use_openmp", openmp)
        for n_jobs in (2, 4):
            rows, weights = importance_neighbors(graph, n_jobs=n_jobs, **options)
            np.testing.assert_array_equal(rows, expected[0])
            np.testing.assert_array_equal(weights, expected[1])
    other = importance_neighbors(graph, **(options | {"random_state": 6}))
    assert exact or (other[1] != expected[1]).any()


def test_errors():
    graph = Graph.from_edges([(0, 1), (1, 2)])
    for name, value in [
        ("n_walks", 0), ("walk_length", 0), ("walk_length", 65), ("restart", 1.5), ("top", 0),
        ("beta", -1.0), ("stride", 0), ("exact", "yes"), ("n_jobs", 0), ("random_state", -1),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=f"importance_neighbors: {name} must be"):
            importance_neighbors(graph, **{name: value})
    with pytest.raises(IndexError, match=r"seeds must be in \[0, 3\), got 3 at position 1"):
        importance_neighbors(graph, [0, 3])
    with pytest.raises(ValueError, match="seeds must be node indices"):
        importance_neighbors(graph, [0.5])


@pytest.mark.parametrize("exact", [False, True])
def test_extreme_penalties_leave_weights_finite(exact):
    matrix = np.zeros((5, 5))
    matrix[0, 1] = matrix[1, 0] = 1e13
    matrix[2, 3] = matrix[3, 2] = matrix[3, 4] = matrix[4, 3] = 1
    graph = graph_of(matrix, False)
    nodes, weights = importance_neighbors(
        graph, [0, 1, 3], beta=4, stride=1, top=3, random_state=0, exact=exact, n_walks=5000
    )
    assert nodes[:2].tolist() == [[1, -1, -1], [0, -1, -1]]
    assert weights[:2].tolist() == [[1, 0, 0], [1, 0, 0]]
    np.testing.assert_allclose(weights[2], [0.5, 0.5, 0], atol=0.05)


def test_walks_that_would_not_end_are_refused():
    graph = graph_of(dense("plain"), False)
    options = {"n_walks": 10**6, "walk_length": 64, "stride": 16, "restart": 0.0}
    with pytest.raises(ValueError, match="must be at most 50000000, got 1000000 \\* 64 \\* 16"):
        importance_neighbors(graph, [0], **options)
    importance_neighbors(graph, [0], exact=True, **options)
