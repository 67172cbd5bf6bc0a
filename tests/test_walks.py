"""Walks are paths, depend on the seed alone, and can be interrupted."""

import hashlib
import logging
import math
import subprocess
import sys
import textwrap

import exact_laws as exact
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from graphembed import _walks, sample_walks
from graphembed._kernels._build import SANITIZED
from graphembed._validation import draw_seed
from graphembed.graph import Graph
from graphembed.samplers import walker as walker_module
from graphembed.samplers import walks as walks_module
from graphembed.samplers.corpus import WalkCorpus
from graphembed.samplers.walker import DEFAULT_MEMORY_BUDGET, Walker, walk_seed

KERNELS = [
    {},
    {"p": 0.5, "q": 2.0, "strategy": "rejection"},
    {"p": 0.5, "q": 2.0, "strategy": "alias"},
]
KERNEL_NAMES = ["first", "rejection", "alias"]


def random_graph(n=300, m=1500, *, directed=False, weighted=False, seed=0) -> Graph:
    """A graph with self-loops, isolated nodes and, if directed, dead ends."""
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, n - 10, (m, 2))
    if directed:
        edges = edges[edges[:, 0] % 10 != 0]
    if weighted:  # sums of these are exact in any order
        edges = np.column_stack([edges, 2.0 ** rng.integers(-3, 4, len(edges))])
    return Graph.from_any(edges, directed=directed, nodes=range(n))


GRAPHS = {
    "plain": random_graph(),
    "weighted": random_graph(weighted=True),
    "directed": random_graph(directed=True),
    "directed_weighted": random_graph(directed=True, weighted=True),
}


@pytest.fixture
def eager_threads(monkeypatch):
    """Use all threads asked for, however little there is to do."""
    monkeypatch.setattr("graphembed._threads._WORK_PER_THREAD", 1)


def assert_paths(walks: np.ndarray, graph: Graph) -> None:
    """Every step is an arc, and a walk ends exactly where there is none."""
    assert walks.dtype == np.int32
    assert walks.max() < graph.n_nodes
    assert walks.min() >= -1
    v, x = walks[:, :-1].ravel(), walks[:, 1:].ravel()
    assert (x[v < 0] == -1).all()
    v, x = v[v >= 0], x[v >= 0]
    has_arcs = graph.degrees[v] > 0
    assert ((x >= 0) == has_arcs).all()
    arcs = np.repeat(np.arange(graph.n_nodes), graph.degrees) * graph.n_nodes + graph.indices
    assert np.isin(v[has_arcs].astype(np.int64) * graph.n_nodes + x[has_arcs], arcs).all()


# ---------------------------------------------------------------------------------------------
# The same seed, the same walks
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", KERNELS, ids=KERNEL_NAMES)
@pytest.mark.parametrize("name", GRAPHS)
def test_any_number_of_threads(name, options, eager_threads):
    one, two, four = (
        sample_walks(GRAPHS[name], walk_length=30, n_walks=5, random_state=1, n_jobs=n, **options)
        for n in (1, 2, 4)
    )
    assert np.array_equal(one, two)
    assert np.array_equal(one, four)


@pytest.mark.parametrize("options", KERNELS, ids=KERNEL_NAMES)
def test_any_size_of_the_blocks(options, monkeypatch):
    expected = sample_walks(GRAPHS["weighted"], walk_length=20, random_state=1, **options)
    for nodes_per_block in (1, 61, 20 * 300, 2**30):
        monkeypatch.setattr(walks_module, "_ROWS_PER_BLOCK", 1)
        monkeypatch.setattr(walker_module, "_NODES_PER_BLOCK", nodes_per_block)
        walks = sample_walks(GRAPHS["weighted"], walk_length=20, random_state=1, **options)
        assert np.array_equal(walks, expected)


@pytest.mark.parametrize("options", KERNELS, ids=KERNEL_NAMES)
@pytest.mark.parametrize("name", GRAPHS)
def test_walks_in_parts_of_any_number_of_steps(name, options, monkeypatch, eager_threads):
    expected = sample_walks(GRAPHS[name], walk_length=21, random_state=1, **options)
    monkeypatch.setattr(walker_module, "_NODES_PER_BLOCK", 1)
    for steps_per_call in (1, 2, 3, 20, 21):
        monkeypatch.setattr(walker_module, "_STEPS_PER_CALL", steps_per_call)
        walks = sample_walks(GRAPHS[name], walk_length=21, random_state=1, n_jobs=2, **options)
        assert np.array_equal(walks, expected)


@pytest.mark.parametrize("options", KERNELS, ids=KERNEL_NAMES)
def test_one_long_walk(options):
    graph = GRAPHS["plain"]
    long, short = (
        sample_walks(graph, start_nodes=[7], n_walks=1, walk_length=n, random_state=0, **options)
        for n in (200_000, 100)
    )
    assert_paths(long, graph)
    assert np.array_equal(long[:, :100], short)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize(("p", "q"), [(0.5, 2.0), (1e3, 1e3), (4.0, 0.25), (1e-3, 1e-3)])
def test_the_filter_changes_nothing(name, p, q):
    graph = GRAPHS[name]
    starts = np.arange(graph.n_nodes, dtype=np.int32)
    walks = []
    for n_steps in (0, 10**6):
        walker = Walker(graph, p=p, q=q, strategy="rejection", n_steps=n_steps)
        walks.append(np.empty((len(starts), 40), np.int32))
        walker.walk(starts, starts.astype(np.int64), walks[-1], seed=1)
    assert np.array_equal(*walks)


def test_the_filter_rules_out_most_missing_arcs_and_no_other():
    graph = random_graph(n=2000, m=40_000)
    bits = np.empty(graph.n_arcs, np.uint8)
    _walks.build_filter(graph.indptr, graph.indices, bits, 0, graph.n_nodes, 2)
    # The same bytes by the definition, for every pair of nodes.
    x = np.arange(graph.n_nodes, dtype=np.uint64)
    hashes = x * np.uint64(exact.GOLDEN)
    masks = np.uint8(1) << (hashes >> 23 & 7).astype(np.uint8)
    masks |= np.uint8(1) << (hashes >> 29 & 7).astype(np.uint8)
    maybe = np.zeros((graph.n_nodes, graph.n_nodes), bool)
    for t in range(graph.n_nodes):
        first, degree = int(graph.indptr[t]), int(graph.degrees[t])
        if degree:
            places = [int(h) * degree >> 64 for h in hashes]
            maybe[t] = (bits[first : first + degree][places] & masks) == masks
    arcs = graph.to_scipy().toarray() > 0
    assert maybe[arcs].all()
    assert maybe[~arcs].mean() < 0.1


def test_a_walk_is_a_function_of_its_number():
    g = GRAPHS["plain"]
    whole = sample_walks(g, walk_length=15, n_walks=3, p=0.5, random_state=2)
    walker = Walker(g, p=0.5, n_steps=whole.size)
    ids = np.array([700, 3, 3, 450], np.int64)
    rows = np.empty((4, 15), np.int32)
    walker.walk((ids % g.n_nodes).astype(np.int32), ids, rows, seed=walk_seed(draw_seed(2)))
    assert np.array_equal(rows, whole[ids])


def test_shorter_walks_are_beginnings_of_longer_ones():
    for options in KERNELS:
        long = sample_walks(GRAPHS["directed_weighted"], walk_length=40, random_state=3, **options)
        short = sample_walks(GRAPHS["directed_weighted"], walk_length=7, random_state=3, **options)
        assert np.array_equal(long[:, :7], short)


@pytest.mark.parametrize("max_rows", [1, 64, 10**9])
def test_the_corpus_holds_the_rows_of_sample_walks(max_rows):
    g = GRAPHS["weighted"]
    expected = sample_walks(g, walk_length=9, n_walks=4, q=0.5, random_state=4)
    walker = Walker(g, q=0.5, n_steps=expected.size)
    corpus = WalkCorpus(walker, walk_length=9, n_walks=2, seed=draw_seed(4), n_threads=2)
    for epoch in range(2):
        seen = []
        for walk_ids, walks in corpus.blocks(epoch, max_rows):
            assert walk_ids.dtype == np.int64
            assert len(walks) <= max_rows
            assert np.array_equal(walks, expected[walk_ids])
            seen.append(walk_ids.copy())
        seen = np.concatenate(seen)
        half = 2 * g.n_nodes
        assert np.array_equal(np.sort(seen), np.arange(half * epoch, half * (epoch + 1)))
        assert not np.array_equal(seen, np.sort(seen))  # in random order


def start_order(n: int, seed: int, begin: int = 0, end: int | None = None) -> np.ndarray:
    order = np.empty((n if end is None else end) - begin, np.int32)
    _walks.permute(order, begin, n, seed, 0, len(order), 2)
    return order


@pytest.mark.parametrize("n", [*range(1, 40), 63, 64, 65, 1023, 1025, 4095, 4097, 99_999])
def test_every_node_is_a_start_once(n):
    for seed in range(3):
        order = start_order(n, seed)
        assert np.array_equal(np.sort(order), np.arange(n))
        middle = n // 3
        parts = [start_order(n, seed, 0, middle), start_order(n, seed, middle, n)]
        assert np.array_equal(np.concatenate(parts), order)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_every_order_of_few_nodes_is_equally_likely(n):
    orders = np.array([start_order(n, seed) for seed in range(20_000)])
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == math.factorial(n)
    assert stats.chisquare(counts).pvalue > 1e-6


@pytest.mark.parametrize("n", [100, 4097, 30_000])
def test_the_order_of_many_nodes_looks_random(n):
    p_values = []
    for seed in range(200):
        order = start_order(n, seed).astype(np.int64)
        # Rank correlation with the places, and of a start with the next one.
        p_values.append(stats.spearmanr(order, np.arange(n)).pvalue)
        p_values.append(stats.spearmanr(order[:-1], order[1:]).pvalue)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-6
    # The first start, and the distance of two neighbours, over the seeds.
    firsts = [start_order(n, seed, 0, 2) for seed in range(5000)]
    first, second = np.array(firsts, np.int64).T
    assert stats.kstest((first + 0.5) / n, "uniform").pvalue > 1e-6
    assert stats.kstest(((second - first) % n) / n, "uniform").pvalue > 1e-6


def test_an_affine_order_would_be_found():
    # 7919 i + c mod n is a bijection too, but neighbours keep their distance.
    n, seeds = 30_000, np.arange(5000)
    first, second = seeds * 104_729 % n, (seeds * 104_729 + 7919) % n
    assert stats.kstest(((second - first) % n) / n, "uniform").pvalue < 1e-6


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4])
def test_visits_are_counted_exactly(n_threads, eager_threads):
    graph = GRAPHS["directed"]
    walker = Walker(graph)
    corpus = WalkCorpus(walker, walk_length=30, n_walks=1, seed=0, n_threads=n_threads)
    counts = np.full(graph.n_nodes, 5, np.int64)
    expected = counts.copy()
    for n_walks in (1, 40):  # less and more walks than it takes to count in parallel
        walks = sample_walks(graph, walk_length=30, n_walks=n_walks, random_state=0)
        corpus.add_visits(walks, counts)
        expected += np.bincount(walks[walks >= 0], minlength=graph.n_nodes)
        assert np.array_equal(counts, expected)


def test_seeds_differ():
    a, b = (sample_walks(GRAPHS["plain"], random_state=s) for s in (0, 1))
    assert (a[:, 1:] != b[:, 1:]).mean() > 0.5
    a, b = (sample_walks(GRAPHS["plain"]) for _ in range(2))
    assert not np.array_equal(a, b)


def test_rounds_differ():
    walks = sample_walks(GRAPHS["plain"], walk_length=10, n_walks=2, random_state=0)
    assert (walks[:300, 1:] != walks[300:, 1:]).mean() > 0.5


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_generators_are_advanced(make):
    generator = make(7)
    a, b = (sample_walks(GRAPHS["plain"], random_state=generator) for _ in range(2))
    assert not np.array_equal(a, b)
    assert np.array_equal(a, sample_walks(GRAPHS["plain"], random_state=make(7)))


def test_the_global_generator_is_left_alone():
    before = np.random.get_state()  # noqa: NPY002
    sample_walks(GRAPHS["plain"], p=0.5)
    after = np.random.get_state()  # noqa: NPY002
    assert before[2:] == after[2:]
    assert np.array_equal(before[1], after[1])


# Walks are part of what a version promises: a change here belongs into the CHANGELOG.
DIGESTS = {
    ("plain", "first"): "da96ede4559a7782bfcaa681980c43a00bac0529b63f622825a8fdbbe963800b",
    ("plain", "rejection"): "b6c721322e7948b4db0db4278f5953ddde708b25dd51c97c5c1fcf3b9aca9a35",
    ("plain", "alias"): "141ee5f2ab36e0ae7c78ce7113b71211cb3d9487aab04cafe9615aebf0a9bc02",
    ("weighted", "first"): "5982d79c611ce41a17c61e853d228b5b487a4df55db1147897c631698f63a968",
    ("weighted", "rejection"): "ef70c77b65398ae2cfb291fcef9c480106a8cec46118be2f491f5bd331a6f801",
    ("weighted", "alias"): "d726f25c17f9d92ebdd02350d764f9698adec310a24559340576b358b1e0ed3b",
    ("directed", "first"): "3fc5458ed611ccc51fb0b53984a7e1e3682a8b9da9ea2733b61414aa6c8389ab",
    ("directed", "rejection"): "99f71e78363531f3b2e3e5b852a40dea4319ad95bf3dbeb73b2a05b2cc17ea97",
    ("directed", "alias"): "b8805d4321ccd8dda78d97771ebf38ad04fc6a3fd17890676da782def45eaaaa",
    (
        "directed_weighted",
        "first",
    ): "9673ae1f9b785821e7e7783f0d20a8c9f21a026c9cac301a7c31e03787deaa0c",
    (
        "directed_weighted",
        "rejection",
    ): "b6fb3a5f153481a186ed524c9086570127a1e9d30319b0246624cb048a94a15d",
    (
        "directed_weighted",
        "alias",
    ): "585a1fd5b90f7d3def2ec8d548412ec190f7ed70c56a4680794964bdc4034d81",
}


@pytest.mark.parametrize(("graph", "kernel"), DIGESTS)
def test_walks_of_a_seed_never_change(graph, kernel):
    options = dict(zip(KERNEL_NAMES, KERNELS, strict=True))[kernel]
    walks = sample_walks(GRAPHS[graph], walk_length=25, n_walks=3, random_state=42, **options)
    assert hashlib.sha256(walks.astype("<i4").tobytes()).hexdigest() == DIGESTS[graph, kernel]


# ---------------------------------------------------------------------------------------------
# Walks are paths
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", KERNELS, ids=KERNEL_NAMES)
@pytest.mark.parametrize("name", GRAPHS)
def test_every_step_is_an_arc(name, options):
    walks = sample_walks(GRAPHS[name], walk_length=30, n_walks=4, random_state=0, **options)
    assert_paths(walks, GRAPHS[name])
    assert np.array_equal(walks[:, 0], np.tile(np.arange(300), 4))


@pytest.mark.parametrize("options", KERNELS, ids=KERNEL_NAMES)
def test_special_nodes(options):
    # 0 -> 1 -> 2 is a dead end, 3 is isolated, 4 has a self-loop only.
    g = Graph.from_any([(0, 1), (1, 2), (4, 4)], directed=True, nodes=range(5))
    walks = sample_walks(g, walk_length=4, n_walks=2, random_state=0, **options)
    expected = [[0, 1, 2, -1], [1, 2, -1, -1], [2] + [-1] * 3, [3] + [-1] * 3, [4] * 4]
    assert walks.tolist() == expected * 2


@pytest.mark.parametrize("options", KERNELS, ids=KERNEL_NAMES)
@pytest.mark.parametrize("directed", [False, True])
def test_a_graph_without_arcs(options, directed):
    g = Graph.from_dense(np.zeros((3, 3)), directed=directed)
    walks = sample_walks(g, walk_length=3, n_walks=1, random_state=0, **options)
    assert walks.tolist() == [[i, -1, -1] for i in range(3)]


@pytest.mark.parametrize("options", KERNELS, ids=KERNEL_NAMES)
def test_a_graph_whose_arcs_all_end_dead(options):
    g = Graph.from_any([(0, 1), (2, 1)], directed=True)
    walks = sample_walks(g, walk_length=3, n_walks=1, random_state=0, **options)
    assert walks[:, 1:].tolist() == [[1, -1], [-1, -1], [1, -1]]


@pytest.mark.parametrize("options", KERNELS, ids=KERNEL_NAMES)
def test_walks_of_one_node(options):
    walks = sample_walks(GRAPHS["plain"], walk_length=1, n_walks=3, random_state=0, **options)
    assert np.array_equal(walks[:, 0], np.tile(np.arange(300), 3))


def test_start_nodes():
    walks = sample_walks(GRAPHS["plain"], start_nodes=[5, 9, 5], n_walks=4, random_state=0)
    assert walks.shape == (12, 80)
    assert np.array_equal(walks[:, 0], [5, 9, 5] * 4)
    assert not np.array_equal(walks[0], walks[2])  # two walks, not one twice
    for dtype in (np.uint8, np.int64, np.uint64):
        same = sample_walks(
            GRAPHS["plain"], start_nodes=np.array([5, 9, 5], dtype), n_walks=4, random_state=0
        )
        assert np.array_equal(walks, same)
    none = sample_walks(GRAPHS["plain"], start_nodes=np.empty(0, np.int64), walk_length=6)
    assert none.shape == (0, 6)
    default = sample_walks(GRAPHS["plain"], random_state=0)
    asked = sample_walks(GRAPHS["plain"], start_nodes=np.arange(300), random_state=0)
    assert np.array_equal(default, asked)


@pytest.mark.parametrize(
    ("start_nodes", "message"),
    [
        ([0, 300], r"in \[0, 300\), got 300 at position 1"),
        ([-1], r"got -1 at position 0"),
        ([0.0], "dtype float64"),
        ([[0]], r"shape \(1, 1\)"),
        (3, r"shape \(\)"),
        ([True], "dtype bool"),
        (["0"], "1-D array of node indices"),
    ],
)
def test_wrong_start_nodes(start_nodes, message):
    with pytest.raises(ValueError, match=message):
        sample_walks(GRAPHS["plain"], start_nodes=start_nodes)


def test_node_ids_do_not_matter():
    numbers = [(0, 1), (1, 2), (2, 0), (2, 3)]
    names = [("abcd"[i], "abcd"[j]) for i, j in numbers]
    a, b = (sample_walks(g, p=0.5, random_state=0) for g in (numbers, names))
    assert np.array_equal(a, b)


@st.composite
def any_graph(draw):
    """A small graph with power-of-two weights (or none), and its edges."""
    n = draw(st.integers(1, 9))
    node = st.integers(0, n - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=20, unique=True))
    directed = draw(st.booleans())
    if not directed:
        edges = list({(min(e), max(e)) for e in edges})
    exponents = st.lists(st.integers(-3, 3), min_size=len(edges), max_size=len(edges))
    matrix = np.zeros((n, n))
    for (i, j), exponent in zip(edges, draw(exponents), strict=True):
        matrix[i, j] = 2.0**exponent
        if not directed:
            matrix[j, i] = matrix[i, j]
    return matrix, directed


any_law = st.sampled_from(
    [
        {"p": p, "q": q, "strategy": s}
        for p in (1e-3, 0.5, 1.0, 1e3)
        for q in (1e-3, 1.0, 2.0, 1e3)
        for s in ("rejection", "alias")
    ]
)


@settings(max_examples=200, deadline=None)
@given(any_graph(), any_law)
def test_walks_are_paths(described, law):
    matrix, directed = described
    g = Graph.from_dense(matrix, directed=directed)
    assert_paths(sample_walks(g, walk_length=12, n_walks=5, random_state=0, **law), g)


@settings(max_examples=100, deadline=None)
@given(any_graph(), any_law, st.integers(-40, 40))
def test_the_scale_of_the_weights_does_not_matter(described, law, exponent):
    matrix, directed = described
    # One more weight, so that neither graph loses its weights for being all ones.
    matrix[0, 0] = 3.0
    a, b = (
        sample_walks(
            Graph.from_dense(m, directed=directed), walk_length=12, n_walks=5, random_state=0, **law
        )
        for m in (matrix, np.ldexp(matrix, exponent))
    )
    assert np.array_equal(a, b)


@settings(max_examples=100, deadline=None)
@given(any_graph(), any_law, st.integers(1, 5))
def test_isolated_nodes_do_not_matter(described, law, n_more):
    matrix, directed = described
    n = len(matrix)
    larger = np.zeros((n + n_more, n + n_more))
    larger[:n, :n] = matrix
    a, b = (
        sample_walks(
            Graph.from_dense(m, directed=directed),
            walk_length=12,
            n_walks=5,
            start_nodes=np.arange(n),
            random_state=0,
            **law,
        )
        for m in (matrix, larger)
    )
    assert np.array_equal(a, b)


# ---------------------------------------------------------------------------------------------
# The choice of the strategy
# ---------------------------------------------------------------------------------------------


def table_cells(g: Graph) -> int:
    return int(g.degrees[g.indices].sum())


def table_bytes(g: Graph) -> int:
    scratch = 64 * int(g.degrees.max(initial=1))  # work space while they are built
    return 8 * (table_cells(g) + g.n_arcs + 1 + scratch)


def test_alias_beyond_the_budget_names_the_figures():
    g = GRAPHS["plain"]
    needed = table_bytes(g)
    sample_walks(g, p=2, strategy="alias", memory_budget=needed, walk_length=2)
    message = rf"strategy='alias' needs {needed:,} bytes .* memory_budget={needed - 1:,}: raise"
    with pytest.raises(MemoryError, match=message):
        sample_walks(g, p=2, strategy="alias", memory_budget=needed - 1)


def test_auto_takes_tables_that_fit_and_pay():
    g = GRAPHS["plain"]
    needed, cells = table_bytes(g), table_cells(g)
    chosen = {
        (budget, n_steps): Walker(g, q=2.0, memory_budget=budget, n_steps=n_steps).strategy
        for budget in (0, needed - 1, needed, DEFAULT_MEMORY_BUDGET)
        for n_steps in (cells - 1, cells)
    }
    for (budget, n_steps), strategy in chosen.items():
        pays = budget >= needed and n_steps >= cells
        assert strategy == ("alias" if pays else "rejection")


def test_auto_says_what_it_chose(caplog):
    with caplog.at_level(logging.INFO, logger="graphembed"):
        sample_walks(GRAPHS["plain"], q=2.0)
    assert "second-order walks by alias" in caplog.text
    assert str(table_bytes(GRAPHS["plain"])) in caplog.text


def test_auto_gives_the_walks_of_what_it_chose():
    for budget, strategy in ((0, "rejection"), (2**30, "alias")):
        auto, named = (
            sample_walks(GRAPHS["weighted"], q=2.0, strategy=s, memory_budget=b, random_state=0)
            for s, b in (("auto", budget), (strategy, 2**30))
        )
        assert np.array_equal(auto, named)


@pytest.mark.parametrize("strategy", ["auto", "rejection", "alias"])
def test_first_order_walks_need_no_tables(strategy):
    g = GRAPHS["weighted"]
    walker = Walker(g, p=1, q=1, strategy=strategy, memory_budget=0)
    assert walker.strategy == "first-order"


# ---------------------------------------------------------------------------------------------
# Graphs as they come
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", KERNELS, ids=KERNEL_NAMES)
@pytest.mark.parametrize("name", ["plain", "directed_weighted"])
def test_memory_mapped_graphs(name, options, tmp_path):
    g = GRAPHS[name]
    g.save(tmp_path / "graph.bin")
    mapped = Graph.load(tmp_path / "graph.bin", mmap=True)
    assert not mapped.indices.flags.writeable
    a, b = (sample_walks(x, walk_length=20, random_state=0, **options) for x in (g, mapped))
    assert np.array_equal(a, b)


def test_the_graph_is_left_alone():
    matrix = GRAPHS["weighted"].to_scipy()
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    before = matrix.copy()
    sample_walks(matrix, p=0.5, random_state=0)
    assert (matrix != before).nnz == 0


def test_a_progress_bar_only_if_asked(capsys):
    sample_walks(GRAPHS["plain"], random_state=0)
    assert capsys.readouterr() == ("", "")
    sample_walks(GRAPHS["plain"], random_state=0, verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "walks" in err
    assert "steps/s" in err


# ---------------------------------------------------------------------------------------------
# Ctrl-C
# ---------------------------------------------------------------------------------------------

INTERRUPT = """
    import os, signal, sys, threading, time, traceback
    import numpy as np
    from graphembed import DeepWalk, Node2Vec, sample_walks
    from graphembed.estimators import _skipgram
    from graphembed.graph import Graph
    from graphembed.samplers import walks
    from graphembed.samplers.corpus import WalkCorpus

    sent = []

    def interrupt():
        sent.append(time.process_time())
        os.kill(os.getpid(), signal.SIGINT)

    def armed(function):
        def wrapper(*args, **kwargs):
            if not sent and not timer.is_alive():
                timer.start()
            return function(*args, **kwargs)
        return wrapper

    timer = threading.Timer(0.2, interrupt)
    rng = np.random.default_rng(0)
    graph = Graph.from_any(rng.integers(0, 100_000, (1_000_000, 2)), nodes=range(100_000))
    owner, name = {
        "sample_walks": (walks, "effective_n_threads"),
        "count_corpus": (WalkCorpus, "add_visits"),
        "train_pool": (_skipgram.Grid, "train_pool"),
    }[sys.argv[1]]
    setattr(owner, name, armed(getattr(owner, name)))
    try:
        if sys.argv[1] == "sample_walks":
            sample_walks(graph, n_walks=40, p=0.5, q=2.0, strategy="rejection", n_jobs=2)
        else:
            n_walks = 100 if sys.argv[1] == "count_corpus" else 2
            model = Node2Vec(n_walks=n_walks, q=0.5, loss=sys.argv[2], random_state=0, n_jobs=2)
            model.fit(graph)
        raise SystemExit("the work ended before the interrupt")
    except KeyboardInterrupt as error:
        latency = time.process_time() - sent[0]
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    if sys.argv[1] not in frames:
        raise SystemExit(f"interrupted elsewhere: {frames}")
    small = [(0, 1), (1, 2), (2, 0)]
    if sample_walks(small, n_jobs=2, random_state=0).shape != (30, 80):
        raise SystemExit("sample_walks does not work any more")
    if not np.isfinite(DeepWalk(8, n_jobs=2).fit(small).embedding_).all():
        raise SystemExit("fit does not work any more")
    print(latency)
"""


@pytest.mark.parametrize(
    ("phase", "loss"),
    [("sample_walks", ""), ("count_corpus", "ns"), ("train_pool", "ns"), ("train_pool", "hs")],
)
def test_ctrl_c(phase, loss):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(INTERRUPT), phase, loss],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # CPU seconds of two threads: half of it has passed, and a busy machine does not count.
    assert float(done.stdout) < (20.0 if SANITIZED else 1.5)
