"""LINE: the sampler of edges against exact laws, the one-table trainer, the estimator."""

import hashlib
import itertools
import math

import numpy as np
import pytest
from exact_laws import draw, stream
from scipy import stats
from test_skipgram import FASTEST, LEVEL, Bucket, noise_draw, sigmoid

from graphembed import LINE, Graph
from graphembed._kernels import _skipgram as kernels
from graphembed.estimators import _skipgram as trainer
from graphembed.samplers.edges import EdgeSampler, expand_low_degrees


def random_graph(n_nodes=40, n_edges=120, *, directed=False, weighted=False, seed=0) -> Graph:
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, n_nodes, (n_edges, 2)).astype(float)
    if weighted:
        edges = np.column_stack([edges, rng.pareto(1.0, n_edges) + 0.1])
    return Graph.from_edges(edges, directed=directed, nodes=range(n_nodes))


def arcs_of(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Tail and head of every arc, and its probability."""
    pairs = np.column_stack([np.repeat(np.arange(graph.n_nodes), graph.degrees), graph.indices])
    weights = np.ones(graph.n_arcs) if graph.weights is None else graph.weights.astype(np.float64)
    return pairs, weights / weights.sum()


def sampled(graph: Graph, count: int, *, n_threads=1, max_rows=10**6, seed=0) -> np.ndarray:
    sampler = EdgeSampler(graph, seed, n_threads)
    return np.concatenate([arcs.copy() for _, arcs in sampler.blocks(count, max_rows)])


@pytest.fixture
def eager_threads(monkeypatch):
    monkeypatch.setattr("graphembed._threads._WORK_PER_THREAD", 1)


# ---------------------------------------------------------------------------------------------
# The sampler
# ---------------------------------------------------------------------------------------------


def p_value(graph: Graph, draws: np.ndarray, law: np.ndarray) -> float:
    pairs, _ = arcs_of(graph)
    keys = pairs[:, 0] * graph.n_nodes + pairs[:, 1]
    drawn = draws[:, 0].astype(np.int64) * graph.n_nodes + draws[:, 1]
    counts = np.bincount(np.searchsorted(keys, drawn), minlength=len(keys))
    assert np.isin(drawn, keys).all()
    return float(stats.chisquare(counts, law * len(draws)).pvalue)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_edges_are_drawn_in_proportion_to_their_weights(directed, weighted):
    graph = random_graph(directed=directed, weighted=weighted)
    draws = sampled(graph, 200_000)
    _, law = arcs_of(graph)
    assert p_value(graph, draws, law) > LEVEL
    wrong = np.full(len(law), 1 / len(law))  # the test must tell a wrong sampler
    if weighted:
        assert p_value(graph, draws, wrong) < LEVEL
    tails = np.repeat(1 / (graph.n_nodes * np.maximum(graph.degrees, 1)), graph.degrees)
    assert p_value(graph, draws, tails / tails.sum()) < LEVEL


def test_draws_are_independent():
    graph = random_graph(4, 5)
    pairs, law = arcs_of(graph)
    keys = pairs[:, 0] * 4 + pairs[:, 1]
    draws = sampled(graph, 100_000)
    places = np.searchsorted(keys, draws[:, 0] * 4 + draws[:, 1])
    counts = np.bincount(places[:-1] * len(law) + places[1:], minlength=len(law) ** 2)
    assert stats.chisquare(counts, np.outer(law, law).ravel() * 99_999).pvalue > LEVEL


def test_edges_do_not_depend_on_threads_and_blocks(eager_threads):
    graph = random_graph(weighted=True)
    expected = sampled(graph, 1000)
    for n_threads, max_rows in itertools.product((1, 2, 4), (7, 1000, 4096)):
        got = sampled(graph, 1000, n_threads=n_threads, max_rows=max_rows)
        np.testing.assert_array_equal(got, expected)
    assert not np.array_equal(sampled(graph, 1000, seed=1), expected)


def test_frequencies_are_weighted_degrees():
    directed = Graph.from_edges([(0, 1, 2.0), (1, 2, 0.5)], directed=True, nodes=range(4))
    np.testing.assert_allclose(EdgeSampler(directed, 0, 1).frequencies, [2.0, 2.5, 0.5, 0.0])
    undirected = Graph.from_edges([(0, 1), (1, 2)], nodes=range(4))
    np.testing.assert_allclose(EdgeSampler(undirected, 0, 1).frequencies, [1, 2, 1, 0])


# ---------------------------------------------------------------------------------------------
# One table
# ---------------------------------------------------------------------------------------------


class OneTableBucket(Bucket):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.output = self.input


@pytest.mark.parametrize("n_components", [1, 16, 31, 64])
def test_one_pair_descends_the_gradient_of_the_first_order_loss(n_components):
    """-log sigma(u_i . u_j) - sum of log sigma(-u_i . u_n), by central differences in float64."""
    bucket = OneTableBucket(200, n_components, 3)
    before = bucket.input.astype(np.float64)

    def drawn(seed):
        return [noise_draw(bucket.cells[0], draw(stream(seed, 0), k)) for k in range(3)]

    seed = next(seed for seed in range(100) if len({17, 42, *drawn(seed)}) == 5)
    negatives = drawn(seed)

    def loss(table):
        value = -math.log(sigmoid(float(table[17] @ table[42])))
        return value - sum(math.log(sigmoid(-float(table[17] @ table[n]))) for n in negatives)

    rate = 1e-3
    bucket.train([(17, 42)], rate, seed)
    moved = (bucket.input.astype(np.float64) - before) / rate
    gradient = np.zeros_like(before)
    for row, column in itertools.product((17, 42, *negatives), range(n_components)):
        shifted = before.copy()
        shifted[row, column] += 1e-5
        up = loss(shifted)
        shifted[row, column] -= 2e-5
        gradient[row, column] = (up - loss(shifted)) / 2e-5
    np.testing.assert_allclose(moved, -gradient, rtol=0, atol=2e-3)
    assert np.abs(gradient).max() > 0.05


def test_a_node_is_neither_context_nor_negative_of_its_own():
    bucket = OneTableBucket(3, 16, 5)
    before = bucket.input.copy()
    bucket.train([(1, 1)] * 50, 0.05)  # a self-loop, and negatives 0, 1 and 2
    gone = before.copy()
    key = stream(3, 0)
    for number in range(50):
        old = gone.astype(np.float64)
        nodes = [noise_draw(bucket.cells[0], draw(key, 5 * number + k)) for k in range(5)]
        for n in nodes:
            if n != 1:
                gain = -0.05 * sigmoid(float(old[1] @ old[n]))
                gone[1] += gain * old[n]
                gone[n] += gain * old[1]
    np.testing.assert_allclose(bucket.input, gone, rtol=0, atol=1e-3)


@pytest.mark.parametrize("n_parts", [1, 2, 3, 4, 7, 16])
@pytest.mark.parametrize("n_calls", [1, 2])
@pytest.mark.parametrize("workers", [1, 4])
def test_every_bucket_of_one_table_is_trained_once(n_parts, n_calls, workers):
    """One pair in each bucket, of nodes that are in no other: each pair moves its rows, once."""
    n_nodes = 2 * n_parts**2
    centres = np.arange(0, n_nodes, 2, dtype=np.int32)
    contexts = centres + 1
    table = np.full((n_nodes, 16), 0.1, np.float32)
    # A part's only negative is one more node, whose row of zeros hardly moves the others
    table = np.vstack([table, np.zeros((n_parts, 16), np.float32)])
    members = np.arange(n_nodes, n_nodes + n_parts, dtype=np.int32)[:, np.newaxis]
    cells = np.empty((n_parts, 2), np.uint64)
    kernels.build_noise(members, np.ones(len(table)), np.empty((n_parts, 1)), cells, 0, n_parts, 1)
    before = table.copy()
    for first in range(0, n_parts, -(-n_parts // n_calls)):
        last = min(n_parts, first + -(-n_parts // n_calls))
        schedule = np.zeros(2 + 2 * n_parts, np.int32)
        schedule[2 : 2 + n_parts] = first
        kernels.train_diagonals(
            first, last, np.arange(n_parts**2 + 1), centres, contexts, table, table, members, cells,
            np.full(n_parts, 1e-3, np.float32), np.empty((n_parts, 2), np.int32),
            np.empty((n_parts, kernels.scratch_size(1, 1)), np.float32), schedule, 1, FASTEST, 3,
            0, workers, workers,
        )  # fmt: skip
        assert (schedule[2 : 2 + n_parts] == last).all()
        assert not schedule[2 + n_parts :].any()
    moved = table[:n_nodes] - before[:n_nodes]
    np.testing.assert_allclose(moved, 0.1 * 1e-3 * (1 - sigmoid(16 * 0.01)), rtol=0.1)


def test_all_rows_with_edges_move():
    graph = random_graph(3000, 18_000)
    model = LINE(8, order="first", n_samples=4 * graph.n_arcs, random_state=0).fit(graph)
    start = LINE(8, order="first", n_samples=1, random_state=0).fit(graph)
    moved = np.abs(model.embedding_ - start.embedding_).sum(axis=1) > 1e-3
    assert moved[graph.degrees > 0].all()
    assert not moved[graph.degrees == 0].any()


# ---------------------------------------------------------------------------------------------
# The estimator
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["first", "second", "both"])
@pytest.mark.parametrize(("n_nodes", "weighted"), [(50, False), (1500, True)])
def test_any_number_of_threads(order, n_nodes, weighted, eager_threads):
    graph = random_graph(n_nodes, 5 * n_nodes, weighted=weighted)
    options = {"order": order, "n_samples": 50_000, "random_state": 5}
    expected = LINE(16, n_jobs=1, **options).fit(graph).embedding_
    for n_jobs in (2, 3, 4):
        got = LINE(16, n_jobs=n_jobs, **options).fit(graph).embedding_
        np.testing.assert_array_equal(got, expected)


def test_python_threads_give_the_same_bits(eager_threads, monkeypatch):
    graph = random_graph(1500, 7500)
    expected = LINE(16, n_samples=50_000, random_state=5, n_jobs=1).fit(graph).embedding_
    monkeypatch.setattr("graphembed._threads._use_openmp", False)
    got = LINE(16, n_samples=50_000, random_state=5, n_jobs=3).fit(graph).embedding_
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("instructions", range(FASTEST + 1))
def test_all_instruction_sets_give_the_same_bits(instructions, monkeypatch):
    graph = random_graph(1500, 7500)
    expected = LINE(20, n_samples=50_000, random_state=5).fit(graph).embedding_
    monkeypatch.setattr(trainer, "INSTRUCTIONS", instructions)
    got = LINE(20, n_samples=50_000, random_state=5).fit(graph).embedding_
    np.testing.assert_array_equal(got, expected)


def planted_partition(n_blocks=4, size=40, inside=0.3, outside=0.01, seed=0):
    rng = np.random.default_rng(seed)
    block = np.repeat(np.arange(n_blocks), size)
    chance = np.where(block[:, None] == block, inside, outside)
    adjacency = np.triu(rng.random(chance.shape) < chance, 1).astype(float)
    return adjacency + adjacency.T, block


@pytest.mark.parametrize("order", ["first", "second", "both"])
def test_communities_are_found(order):
    adjacency, block = planted_partition()
    vectors = LINE(16, order=order, n_samples=2**20, random_state=0).fit_transform(adjacency)
    cosines = vectors @ vectors.T
    same = block[:, None] == block
    np.fill_diagonal(same, False)
    assert cosines[same].mean() > cosines[block[:, None] != block].mean() + 0.2


def test_both_are_the_two_orders_side_by_side():
    graph = random_graph()
    options = {"n_samples": 10_000, "random_state": 3}
    both = LINE(9, **options).fit(graph).embedding_
    first = LINE(5, order="first", **options).fit(graph).embedding_
    second = LINE(4, order="second", **options).fit(graph).embedding_
    np.testing.assert_array_equal(both, np.hstack([first, second]))
    each = LINE(4, components="each", **options).fit(graph).embedding_
    assert each.shape == (40, 8)
    np.testing.assert_array_equal(each[:, 4:], second)
    for part in (both[:, :5], both[:, 5:]):
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1.0, rtol=1e-5)


def test_parameters_are_obeyed():
    graph = random_graph()
    options = {"n_samples": 5000, "random_state": 3}
    usual = LINE(8, **options).fit(graph).embedding_
    for changed in (
        {"negative": 2}, {"ns_exponent": 0.0}, {"learning_rate": 0.05}, {"negative_sharing": 1},
        {"n_samples": 6000}, {"order": "second"},
    ):  # fmt: skip
        other = LINE(8, **{**options, **changed}).fit(graph).embedding_
        assert not np.array_equal(usual, other), changed


def test_the_rate_falls_to_a_ten_thousandth(monkeypatch):
    rates = []
    original = kernels.train_diagonals

    def spy(*args):
        rates.append(args[9].copy())
        original(*args)

    monkeypatch.setattr(kernels, "train_diagonals", spy)
    LINE(8, order="first", n_samples=100_000, learning_rate=0.02, random_state=0).fit(
        random_graph()
    )
    rates = np.concatenate(rates)
    assert rates[0] == np.float32(0.02)
    assert (np.diff(rates) <= 0).all()
    assert rates[-1] < 0.02 * 0.05
    assert (rates >= np.float32(0.02e-4)).all()


def test_divergence_is_an_error():
    with pytest.raises(ValueError, match="lower learning_rate"):
        LINE(8, order="first", learning_rate=1e6, n_samples=100_000).fit(random_graph())


def test_an_unseen_node_is_an_error_that_says_so():
    model = LINE(8, n_samples=5000, random_state=0).fit(random_graph())
    with pytest.raises(KeyError, match="777"):
        model.transform([(0, 777), (0, 1)])


@pytest.mark.parametrize("order", ["first", "both"])
def test_files(order, tmp_path):
    model = LINE(8, order=order, n_samples=5000, random_state=0).fit(random_graph())
    model.save(tmp_path / "line.gemb")
    loaded = LINE.load(tmp_path / "line.gemb")
    np.testing.assert_array_equal(loaded.embedding_, model.embedding_)
    assert loaded.get_params() == model.get_params()


def test_weights_are_obeyed():
    heavy = [(0, 1, 100.0), (2, 3, 100.0), (0, 2, 0.01), (1, 3, 0.01)]
    vectors = LINE(8, order="first", n_samples=100_000, random_state=0).fit(heavy).embedding_
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.5


def test_a_directed_graph_has_second_order_only():
    graph = random_graph(directed=True)
    for order in ("first", "both"):
        with pytest.raises(ValueError, match="order='second'"):
            LINE(order=order).fit(graph)
    vectors = LINE(8, order="second", n_samples=10_000, random_state=0).fit(graph).embedding_
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"order": "third"}, "order must be"),
        ({"components": "half"}, "components must be"),
        ({"n_samples": 0}, "n_samples must be"),
        ({"expand_below": 0}, "expand_below must be"),
        ({"n_components": 1}, "n_components must be >= 2 with order='both'"),
        ({"negative": 0}, "negative must be"),
        ({"negative_sharing": 65}, "negative_sharing must be"),
    ],
)
def test_wrong_parameters(params, words):
    with pytest.raises(ValueError, match=words):
        LINE(**params).fit([(0, 1)])


@pytest.mark.parametrize("order", ["first", "second", "both"])
@pytest.mark.parametrize(
    "edges", [[(0, 1)], [(0, 0)], [(0, 0), (0, 1)], [(0, i) for i in range(1, 300)]]
)
def test_corner_cases_stay_finite(edges, order):
    graph = Graph.from_edges(edges, nodes=range(301))
    for rate in (0.025, 0.1):
        model = LINE(4, order=order, n_samples=20_000, learning_rate=rate, random_state=0)
        assert np.isfinite(model.fit(graph).embedding_).all()


def test_without_edges_the_start_values_stay():
    graph = Graph.from_edges(np.empty((0, 2)), nodes=range(5))
    model = LINE(4, random_state=0).fit(graph)
    assert model.training_stats_["n_pairs"] == model.training_stats_["n_samples"] == 0
    np.testing.assert_allclose(np.linalg.norm(model.embedding_, axis=1), np.sqrt(2), rtol=1e-5)


def test_samples_by_default():
    graph = random_graph(200, 10_000)
    model = LINE(4, order="second", random_state=0).fit(graph)
    stats = model.training_stats_
    assert stats["n_samples"] == stats["n_pairs"] == max(2**20, 75 * graph.n_arcs)


def test_vectors_are_those_of_other_processors_and_compilers():
    i = np.arange(1200)
    edges = np.concatenate([np.column_stack([i, (i + s) % 1200]) for s in (1, 7, 90)])
    weighted = np.column_stack([edges, 1.0 + edges[:, 0] % 5])
    digest = hashlib.sha256()
    for edge_list in (edges, weighted):
        graph = Graph.from_any(edge_list)
        for order in ("first", "second"):
            vectors, _ = LINE(20, n_samples=40_000)._train_order(graph, order, 1, 2)
            digest.update(vectors)
    assert digest.hexdigest()[:16] == "ef475006346d2b6b"


# ---------------------------------------------------------------------------------------------
# Low-degree nodes
# ---------------------------------------------------------------------------------------------


def expanded_by_hand(graph: Graph, below: int) -> dict[tuple[int, int], float]:
    """Eq. 9 of the paper in plain Python."""
    pairs, _ = arcs_of(graph)
    weights = np.ones(graph.n_arcs) if graph.weights is None else graph.weights
    arcs = {(int(i), int(j)): float(w) for (i, j), w in zip(pairs, weights, strict=True)}
    out = [sum(w for (i, _), w in arcs.items() if i == v) for v in range(graph.n_nodes)]
    result = dict(arcs)
    for i in range(graph.n_nodes):
        own = [j for (v, j) in arcs if v == i]
        if not 0 < len(own) < below:
            continue
        proximity: dict[int, float] = {}
        for k in own:
            for v, j in arcs:
                if v == k and j != i and j not in own:
                    proximity[j] = proximity.get(j, 0.0) + arcs[i, k] * arcs[k, j] / out[k]
        best = sorted(proximity, key=lambda j: (-round(proximity[j], 9), j))
        for j in best[: below - len(own)]:
            result[i, j] = proximity[j]
    return result


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("below", [1, 4, 12, 100])
@pytest.mark.parametrize("terms", [1, 2**22])
def test_expansion_equals_the_formula(directed, below, terms, monkeypatch):
    monkeypatch.setattr("graphembed.samplers.edges._TERMS_PER_BLOCK", terms)
    graph = random_graph(directed=directed, weighted=True, n_edges=90)
    expanded = expand_low_degrees(graph, below)
    pairs, _ = arcs_of(expanded)
    weights = np.ones(expanded.n_arcs) if expanded.weights is None else expanded.weights
    got = {(int(i), int(j)): float(w) for (i, j), w in zip(pairs, weights, strict=True)}
    expected = expanded_by_hand(graph, below)
    assert got.keys() == expected.keys()
    for arc, weight in expected.items():
        assert got[arc] == pytest.approx(weight, rel=1e-5)


def test_expansion_is_used():
    graph = random_graph()
    options = {"n_samples": 10_000, "random_state": 0, "order": "second"}
    plain = LINE(8, **options).fit(graph)
    expanded = LINE(8, expand_below=10, **options).fit(graph)
    assert not np.array_equal(plain.embedding_, expanded.embedding_)
    np.testing.assert_array_equal(
        plain.embedding_, LINE(8, expand_below=1, **options).fit(graph).embedding_
    )
