"""Walks obey their law: counts against exact enumeration, and the test has power.

Every accepted walk stands a test at ALPHA / N_TESTS (Bonferroni); the wrong samplers at the end
must fail the same test at the same level.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import exact_laws as exact
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from graphembed import sample_walks
from graphembed.graph import Graph
from graphembed.samplers.walker import Walker

ALPHA = 1e-6  # of the whole file: what a correct sampler may fail with
N_TESTS = 500  # more than there are p-values below
LEVEL = ALPHA / N_TESTS
N_STEPS = 300_000  # of a setting
STRATEGIES = ("rejection", "alias")


@dataclass(frozen=True)
class Case:
    """A graph as its dense weight matrix."""

    name: str
    weights: tuple[tuple[float, ...], ...]
    directed: bool = False

    @property
    def matrix(self) -> NDArray[np.float64]:
        return np.array(self.weights, np.float32).astype(np.float64)

    @property
    def graph(self) -> Graph:
        return Graph.from_any(self.matrix, directed=self.directed)


def make_case(
    name: str,
    n: int,
    arcs: list[tuple[int, int]],
    *,
    weights: Callable[[int], float] = lambda k: 1.0,
    directed: bool = False,
) -> Case:
    matrix = np.zeros((n, n), np.float32)
    for k, (i, j) in enumerate(arcs):
        matrix[i, j] = weights(k)
        if not directed:
            matrix[j, i] = matrix[i, j]
    return Case(name, tuple(map(tuple, matrix.tolist())), directed)


def random_arcs(n: int, share: float, seed: int, *, directed: bool) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed)
    return [
        (i, j)
        for i, j in product(range(n), repeat=2)
        if (directed or i <= j) and rng.random() < share
    ]


def random_weights(low: float, high: float, seed: int) -> Callable[[int], float]:
    logs = np.random.default_rng(seed).uniform(np.log(low), np.log(high), 100)
    return lambda k: float(np.exp(logs[k]))


COMPLETE = [(i, j) for i in range(5) for j in range(i)]
STAR = [(0, i) for i in range(1, 7)]
PATH = [(i, i + 1) for i in range(5)]
CYCLE = [(i, (i + 1) % 6) for i in range(6)]
BARBELL = [(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (4, 5), (5, 6), (4, 6)]
HOUSE = [(0, 1), (1, 2), (2, 3), (3, 0), (2, 4), (3, 4)]
LOOPS = [*random_arcs(6, 0.5, 1, directed=False), (0, 0), (3, 3), (5, 0)]
# One-way arcs, both-way arcs, a self-loop, the dead ends 5 and 6.
ONE_WAY = [(0, 1), (1, 0), (1, 2), (2, 0), (2, 3), (3, 1), (3, 3), (3, 5), (4, 2), (0, 4), (4, 6)]
DENSE_ONE_WAY = random_arcs(6, 0.6, 2, directed=True)

# Two hubs that share some leaves.
TWO_HUBS = [(0, 1), *((0, i) for i in range(2, 7)), *((1, i) for i in range(4, 9))]

CASES = [
    make_case("complete", 5, COMPLETE),
    make_case("star", 7, STAR),
    make_case("path", 6, PATH),
    make_case("cycle", 6, CYCLE),
    make_case("barbell", 7, BARBELL),
    make_case("house", 5, HOUSE),
    make_case("loops", 6, LOOPS),
    make_case("one_way", 7, ONE_WAY, directed=True),
    make_case("dense_one_way", 6, DENSE_ONE_WAY, directed=True),
    make_case("complete_weighted", 5, COMPLETE, weights=random_weights(0.2, 5, 3)),
    make_case("star_weighted", 7, STAR, weights=random_weights(0.1, 10, 4)),
    make_case("barbell_weighted", 7, BARBELL, weights=random_weights(1e-2, 1e2, 5)),
    make_case("loops_weighted", 6, LOOPS, weights=random_weights(0.2, 5, 6)),
    make_case("one_way_weighted", 7, ONE_WAY, weights=random_weights(0.1, 10, 7), directed=True),
    make_case("extreme", 6, random_arcs(6, 0.7, 8, directed=False),
              weights=random_weights(1e-4, 1e4, 9)),
    make_case("astronomic", 6, DENSE_ONE_WAY, weights=random_weights(1e-30, 1e30, 10),
              directed=True),
]  # fmt: skip
BY_NAME = {case.name: case for case in CASES}

LAWS = [
    (0.25, 0.25), (0.25, 4.0), (4.0, 0.25), (4.0, 4.0), (0.5, 2.0), (2.0, 0.5), (1.0, 0.5),
    (1.0, 4.0), (0.5, 1.0), (2.0, 1.0), (0.25, 0.5), (4.0, 2.0), (1e-3, 1.0), (1e3, 1.0),
    (1.0, 1e-3), (1.0, 1e3), (1e-3, 1e3), (1e3, 1e-3), (1e3, 1e3), (1e-3, 1e-3),
]  # fmt: skip
# Every graph meets five of the laws, every law four of the graphs.
SETTINGS = [
    (case, *LAWS[(5 * i + k) % len(LAWS)]) for i, case in enumerate(CASES) for k in range(5)
]
# Where many steps of the rejection sampler fall back to enumeration, see the test.
FALL_BACK = [
    (make_case("star_leaving", 7, STAR), 1e3, 200.0),
    (make_case("heavy_return", 5, COMPLETE, weights=lambda k: 1e4 if k in (0, 5) else 1.0),
     1e3, 1.0),
    (make_case("wide_star", 40, [(0, i) for i in range(1, 40)]), 1e3, 500.0),
    (make_case("all_common", 5, COMPLETE), 2.0, 1e-3),
    (make_case("all_common_weighted", 5, COMPLETE, weights=random_weights(0.2, 5, 11)), 5.0, 1e-3),
    (make_case("rare_common", 9, TWO_HUBS, weights=random_weights(0.5, 2, 12)), 500.0, 1e3),
    (make_case("rare_common_return", 9, TWO_HUBS), 1.0, 1e3),
    (make_case("rare_common_one_way", 8, random_arcs(8, 0.4, 13, directed=True),
               weights=random_weights(0.2, 5, 14), directed=True), 1e3, 300.0),
    (make_case("light_others", 8, [*STAR, (1, 7)],
               weights=lambda k: 1e4 if k == 0 else 1.0), 1e3, 2.0),
    (make_case("heavy_tail_common", 4, [(0, 1), (0, 2), (0, 3), (1, 2)],
               weights=lambda k: 1e4 if k in (0, 3) else 1.0), 1e3, 2.0),
]  # fmt: skip


def label(value: object) -> str:
    return value.name if isinstance(value, Case) else str(value)


def walk(case: Case, p: float, q: float, *, seed: int, **options: object) -> NDArray[np.int32]:
    """Walks of N_STEPS steps: short ones, so that every first step is taken often."""
    return sample_walks(
        case.graph,
        p=p,
        q=q,
        walk_length=21,
        n_walks=N_STEPS // 20 // len(case.weights),
        random_state=seed,
        n_jobs=2,
        **options,
    )


def first_order_p(walks: NDArray[np.int32], case: Case) -> float:
    n = len(case.weights)
    return exact.law_p_value(exact.step_counts(walks, n), exact.first_order_law(case.matrix))


def second_order_p(walks: NDArray[np.int32], case: Case, p: float, q: float) -> float:
    law = exact.second_order_law(case.matrix, p, q)
    return exact.law_p_value(exact.transition_counts(walks, len(case.weights)), law)


def assert_law(walks: NDArray[np.int32], case: Case, p: float, q: float) -> None:
    assert first_order_p(walks[:, :2], case) > LEVEL
    assert second_order_p(walks, case, p, q) > LEVEL


# ---------------------------------------------------------------------------------------------
# The laws hold
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("case", "p", "q"), SETTINGS, ids=label)
def test_second_order_law(case, p, q, strategy):
    assert_law(walk(case, p, q, seed=1, strategy=strategy), case, p, q)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_first_order_law(case):
    walks = walk(case, 1.0, 1.0, seed=2)
    assert first_order_p(walks, case) > LEVEL
    # No memory: the step before says nothing about the next one.
    assert second_order_p(walks, case, 1.0, 1.0) > LEVEL


@pytest.mark.parametrize("budget", [0, 2**20])
@pytest.mark.parametrize("name", ["barbell_weighted", "one_way"])
def test_auto_obeys_the_law_with_either_choice(name, budget):
    case = BY_NAME[name]
    walks = walk(case, 0.5, 2.0, seed=3, strategy="auto", memory_budget=budget)
    assert_law(walks, case, 0.5, 2.0)


@pytest.mark.parametrize("name", ["house", "loops_weighted", "one_way_weighted", "extreme"])
def test_both_strategies_have_one_law(name):
    case, n = BY_NAME[name], len(BY_NAME[name].weights)
    a, b = (
        exact.transition_counts(walk(case, 0.25, 2.0, seed=4, strategy=s), n).reshape(-1, n + 1)
        for s in STRATEGIES
    )
    assert not np.array_equal(a, b)  # two samples, not one
    statistic, freedom = 0.0, 0
    for x, y in zip(a, b, strict=True):
        seen = (x + y) >= 20
        if seen.sum() < 2:
            continue
        table = np.array([x[seen], y[seen]])
        statistic += stats.chi2_contingency(table, correction=False).statistic
        freedom += int(seen.sum()) - 1
    assert freedom > 5
    assert stats.chi2.sf(statistic, freedom) > LEVEL


def test_there_are_enough_settings():
    assert len({(c.name, p, q) for c, p, q in SETTINGS}) >= 60
    assert {c.directed for c, *_ in SETTINGS} == {True, False}
    n_law = 4 * (len(SETTINGS) + len(FALL_BACK)) + 2 * len(CASES)
    n_auto, n_same, n_hub, n_controls = 8, 4, 20, 20
    n_tests = n_law + n_auto + n_same + n_hub + n_controls
    assert n_tests <= N_TESTS


# ---------------------------------------------------------------------------------------------
# The fall-back of the rejection sampler
# ---------------------------------------------------------------------------------------------


def refused_share(case: Case, p: float, q: float, walks: NDArray[np.int32]) -> float:
    """Share of the second-order steps at which every trial is refused.

    A trial is accepted with the mass of the law over the mass of its envelope: the largest factor
    of any x other than t, and the return arc's own mass where it is larger still.
    """
    n, weights = len(case.weights), case.matrix
    visits = exact.transition_counts(walks, n)[..., :-1].sum(axis=-1)
    envelope, share = max(1.0, 1.0 / q), 0.0
    for t, v in product(range(n), repeat=2):
        if visits[t, v]:
            factors = [exact.paper_factor(weights, t, x, p, q) for x in range(n)]
            bounds = [max(envelope, f) for f in factors]
            accepted = float(weights[v] @ factors) / float(weights[v] @ bounds)
            degrees = [int((weights[node] > 0).sum()) for node in (t, v)]
            trials = 2 + (min(degrees) if q > 1.0 else degrees[1]) // 2
            if degrees[1] > 1:  # one arc needs no trial
                share += visits[t, v] * (1.0 - accepted) ** trials
    return share / visits.sum()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("case", "p", "q"), FALL_BACK, ids=label)
def test_law_where_many_steps_are_enumerated(case, p, q, strategy):
    walks = walk(case, p, q, seed=5, strategy=strategy)
    assert refused_share(case, p, q, walks) > 0.1
    assert_law(walks, case, p, q)


def test_a_first_order_fall_back_would_be_found():
    # What a sampler does that takes its last proposal instead of enumerating.
    for case, p, q in FALL_BACK:
        n, first = len(case.weights), exact.first_order_law(case.matrix)
        right = exact.second_order_law(case.matrix, p, q)
        walks = walk(case, p, q, seed=6, strategy="rejection")
        refused = refused_share(case, p, q, walks)
        wrong = (1 - refused) * right + refused * first[None, :, :]
        starts = np.tile(np.arange(n, dtype=np.int32), N_STEPS // 20 // n)
        walks = exact.table_walks(first, wrong, starts, 21, np.random.default_rng(0))
        assert second_order_p(walks, case, p, q) < LEVEL


# ---------------------------------------------------------------------------------------------
# A hub with thousands of leaves: grouped cells
# ---------------------------------------------------------------------------------------------

N_LEAVES = 3000


def wheel() -> Graph:
    """A hub, node 0, and a ring of N_LEAVES around it."""
    leaf = np.arange(1, N_LEAVES + 1)
    ring = np.column_stack([leaf, np.roll(leaf, -1)])
    return Graph.from_any(np.vstack([np.column_stack([0 * leaf, leaf]), ring]))


def group_p_value(observed: list[int], masses: list[float]) -> float:
    total, n = sum(masses), sum(observed)
    assert n > 10_000
    return float(stats.chisquare(observed, [n * m / total for m in masses]).pvalue)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("p", "q"), [(0.002, 0.5), (4.0, 2.0)])
def test_law_at_a_hub(strategy, p, q):
    walks = sample_walks(
        wheel(), p=p, q=q, strategy=strategy, walk_length=50, n_walks=10, random_state=7, n_jobs=2
    )
    t, v, x = (walks[:, k : 48 + k].ravel() for k in range(3))
    gap = np.abs(t - x)
    beside = (gap == 1) | (gap == N_LEAVES - 1)
    at_hub = v == 0
    back, near = (x == t) & at_hub, beside & at_hub
    groups = [int(back.sum()), int(near.sum()), int((at_hub & ~back & ~near).sum())]
    assert group_p_value(groups, [1 / p, 2, (N_LEAVES - 3) / q]) > LEVEL
    from_hub = (t == 0) & (v > 0)
    groups = [int((from_hub & (x == 0)).sum()), int((from_hub & (x > 0)).sum())]
    assert group_p_value(groups, [1 / p, 2]) > LEVEL
    on_ring = (t > 0) & (v > 0)
    groups = [int((on_ring & m).sum()) for m in (x == t, x == 0, (x != t) & (x > 0))]
    assert group_p_value(groups, [1 / p, 1, 1 / q]) > LEVEL


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_leaf_of_a_weighted_hub_in_proportion(strategy):
    leaf = np.arange(1, N_LEAVES + 1)
    weights = 1.0 + leaf % 3
    g = Graph.from_any(np.column_stack([0 * leaf, leaf, weights]))
    walks = sample_walks(
        g, p=0.5, q=2.0, strategy=strategy, walk_length=40, n_walks=12, random_state=8, n_jobs=2,
    )  # fmt: skip
    t, v, x = (walks[:, k : 38 + k].ravel() for k in range(3))
    away = (v == 0) & (x != t)
    # Given that the walk does not return, from t = 1 mod 3: the other leaves by their weights.
    for remainder in range(3):
        chosen = away & (t % 3 == remainder)
        masses = [(1 + k) * (N_LEAVES // 3 - (k == remainder)) for k in range(3)]
        observed = [int((chosen & (x % 3 == k)).sum()) for k in range(3)]
        assert group_p_value(observed, masses) > LEVEL


@pytest.mark.parametrize("weighted", [False, True])
def test_every_leaf_of_a_hub_in_proportion(weighted):
    leaf = np.arange(1, N_LEAVES + 1)
    weights = 1.0 + leaf % 7 if weighted else np.ones(N_LEAVES)
    g = Graph.from_any(np.column_stack([0 * leaf, leaf, weights]))
    walks = sample_walks(
        g, start_nodes=[0] * 1000, walk_length=2, n_walks=N_STEPS // 1000, random_state=9
    )
    observed = np.bincount(walks[:, 1], minlength=N_LEAVES + 1)[1:]
    assert stats.chisquare(observed, N_STEPS * weights / weights.sum()).pvalue > LEVEL


# ---------------------------------------------------------------------------------------------
# Power: wrong samplers fail the same test
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["barbell", "house", "loops_weighted", "one_way"])
def test_swapped_p_and_q_are_found(name, strategy):
    case = BY_NAME[name]
    walks = walk(case, 0.5, 2.0, seed=9, strategy=strategy)
    assert second_order_p(walks, case, 0.5, 2.0) > LEVEL
    assert second_order_p(walks, case, 2.0, 0.5) < LEVEL


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["complete_weighted", "star_weighted", "one_way_weighted"])
def test_ignored_weights_are_found(name, strategy):
    case = BY_NAME[name]
    flat = Case(name, tuple(tuple(float(w > 0) for w in row) for row in case.weights),
                case.directed)  # fmt: skip
    walks = walk(flat, 0.5, 2.0, seed=10, strategy=strategy)
    assert second_order_p(walks, case, 0.5, 2.0) < LEVEL
    assert first_order_p(walks[:, :2], case) < LEVEL
    assert first_order_p(walk(flat, 1.0, 1.0, seed=10), case) < LEVEL


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_ignored_direction_is_found(strategy):
    case = BY_NAME["dense_one_way"]
    backwards = Case("", tuple(zip(*case.weights, strict=True)), directed=True)
    walks = walk(backwards, 0.5, 2.0, seed=11, strategy=strategy)
    assert second_order_p(walks, case, 0.5, 2.0) == 0.0  # steps that are no arcs


def no_return_with_self_loop(weights, t, x, p, q):
    return 1.0 if x == t and weights[t][t] > 0 else exact.paper_factor(weights, t, x, p, q)


def distance_against_the_arcs(weights, t, x, p, q):
    return 1.0 / p if x == t else (1.0 if weights[x][t] > 0 else 1.0 / q)


def distance_in_both_directions(weights, t, x, p, q):
    near = weights[t][x] > 0 or weights[x][t] > 0
    return 1.0 / p if x == t else (1.0 if near else 1.0 / q)


def distance_from_v(weights, t, x, p, q):
    return 1.0 / p if x == t else 1.0


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("loops", no_return_with_self_loop),
        ("loops_weighted", no_return_with_self_loop),
        ("one_way", distance_against_the_arcs),
        ("dense_one_way", distance_against_the_arcs),
        ("one_way", distance_in_both_directions),
        ("dense_one_way", distance_in_both_directions),
        ("barbell", distance_from_v),
    ],
)
def test_a_wrong_distance_is_found(name, factor):
    case = BY_NAME[name]
    first = exact.first_order_law(case.matrix)
    starts = np.tile(np.arange(len(first), dtype=np.int32), N_STEPS // 20 // len(first))
    p_values = [
        second_order_p(
            exact.table_walks(
                first,
                exact.second_order_law(case.matrix, 0.5, 2.0, f),
                starts,
                21,
                np.random.default_rng(1),
            ),
            case,
            0.5,
            2.0,
        )
        for f in (exact.paper_factor, factor)
    ]
    assert p_values[0] > LEVEL
    assert p_values[1] < LEVEL


def test_a_second_order_first_step_would_be_found():
    # Later steps are not drawn by the weights alone: the test tells them from first steps.
    case = BY_NAME["barbell_weighted"]
    walks = walk(case, 0.25, 4.0, seed=12, strategy="rejection")
    assert first_order_p(walks[:, :2], case) > LEVEL
    assert first_order_p(walks[:, 10:12], case) < LEVEL


def test_walks_that_end_too_early_are_found():
    case = BY_NAME["cycle"]
    walks = walk(case, 0.5, 2.0, seed=13).copy()
    walks[0, -1] = -1
    assert second_order_p(walks, case, 0.5, 2.0) == 0.0


def test_strategies_asked_for_are_used():
    g = BY_NAME["barbell"].graph
    assert [Walker(g, p=2.0, strategy=s).strategy for s in STRATEGIES] == list(STRATEGIES)
