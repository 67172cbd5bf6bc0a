"""Exact laws of walks and the pairs of skip-gram, computed slowly, and the test of counts.

Written from Grover and Leskovec 2016, eq. 2, in plain Python; nothing here knows the kernels.
A matrix is a list of rows, entry [v][x] the weight of the arc v -> x, 0 where there is none.
"""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Matrix = Sequence[Sequence[float]]
Factor = Callable[[Matrix, int, int, float, float], float]


def paper_factor(weights: Matrix, t: int, x: int, p: float, q: float) -> float:
    """Eq. 2: 1/p at distance 0 from t, 1 at distance 1, 1/q at distance 2."""
    if x == t:
        return 1.0 / p
    return 1.0 if weights[t][x] > 0 else 1.0 / q


def first_order_law(weights: Matrix) -> NDArray[np.float64]:
    """Probability of v -> x, shape (n, n); the row of a dead end is zero."""
    n = len(weights)
    law = np.zeros((n, n))
    for v in range(n):
        total = sum(float(w) for w in weights[v])
        for x in range(n):
            law[v, x] = weights[v][x] / total if weights[v][x] > 0 else 0.0
    return law


def second_order_law(
    weights: Matrix, p: float, q: float, factor: Factor = paper_factor
) -> NDArray[np.float64]:
    """Probability of v -> x after t -> v, shape (n, n, n); zero where t -> v is no arc."""
    n = len(weights)
    law = np.zeros((n, n, n))
    for t, v in product(range(n), repeat=2):
        if not weights[t][v] > 0:
            continue
        masses = [
            weights[v][x] * factor(weights, t, x, p, q) if weights[v][x] > 0 else 0.0
            for x in range(n)
        ]
        total = sum(masses)
        for x in range(n):
            law[t, v, x] = masses[x] / total if masses[x] > 0 else 0.0
    return law


def step_counts(walks: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    """How often v was followed by x, shape (n, n + 1); the last column is the end of the walk."""
    v, x = walks[:, :-1].ravel(), walks[:, 1:].ravel()
    return _histogram((v, x), n)


def transition_counts(walks: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    """How often t, v was followed by x, shape (n, n, n + 1); the last x is the end of the walk."""
    t, v, x = (walks[:, k : walks.shape[1] - 2 + k].ravel() for k in range(3))
    return _histogram((t, v, x), n)


def _histogram(columns: tuple[NDArray[np.int32], ...], n: int) -> NDArray[np.int64]:
    alive = columns[-2] >= 0
    code = np.zeros(int(alive.sum()), np.int64)
    for column in columns[:-1]:
        code = code * n + column[alive]
    last = columns[-1][alive].astype(np.int64)
    code = code * (n + 1) + np.where(last < 0, n, last)
    shape = (n,) * (len(columns) - 1) + (n + 1,)
    return np.bincount(code, minlength=int(np.prod(shape))).reshape(shape)


def law_p_value(counts: NDArray[np.int64], law: NDArray[np.float64]) -> float:
    """P-value of counted steps under their law; 0 if something impossible was seen.

    The counts have one column more than the law, the walks that ended there. Rows are conditioned
    on their totals; in each row the cells with an expectation below 5 are merged for a chi-square
    test over all rows. The same rare cells of all rows together are one Poisson test more.
    """
    counts = counts.reshape(-1, counts.shape[-1])
    law = law.reshape(-1, law.shape[-1])
    dead = law.sum(axis=1) == 0
    moved, ended = counts[:, :-1], counts[:, -1]
    if moved[law == 0].any() or ended[~dead].any():
        return 0.0
    expected = law * moved.sum(axis=1, keepdims=True)
    statistic, freedom = 0.0, 0
    for row in np.flatnonzero(moved.any(axis=1)):
        o, e = merge_rare(moved[row], expected[row])
        statistic += float(((o - e) ** 2 / e).sum())
        freedom += len(e) - 1
    common = float(stats.chi2.sf(statistic, freedom)) if freedom else 1.0
    rare = expected < 5.0
    n_rare, mean = int(moved[rare].sum()), float(expected[rare].sum())
    tails = stats.poisson.cdf(n_rare, mean), stats.poisson.sf(n_rare - 1, mean)
    return min(1.0, 2 * common, 4 * float(min(tails)))


def merge_rare(
    observed: NDArray[np.int64], expected: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Merge cells, the rarest first, until every expectation is 5 or there is one cell left."""
    order = np.argsort(expected, kind="stable")
    order = order[expected[order] > 0]
    o, e = observed[order].astype(np.float64), expected[order]
    n_merged = 1 + int(np.searchsorted(np.cumsum(e), 5.0))
    while n_merged < len(e) and e[n_merged] < 5.0:
        n_merged += 1
    n_merged = min(n_merged, len(e))
    return (
        np.concatenate([[o[:n_merged].sum()], o[n_merged:]]),
        np.concatenate([[e[:n_merged].sum()], e[n_merged:]]),
    )


def table_walks(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    starts: NDArray[np.int32],
    walk_length: int,
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Walk by given tables: a slow sampler of any law, right or wrong, to try the test with."""
    walks = np.full((len(starts), walk_length), -1, np.int32)
    walks[:, 0] = starts
    for k in range(1, walk_length):
        alive = np.flatnonzero(walks[:, k - 1] >= 0)
        v = walks[alive, k - 1]
        law = first[v] if k == 1 else second[walks[alive, k - 2], v]
        cumulative = np.cumsum(law, axis=1)
        has_arcs = cumulative[:, -1] > 0
        point = rng.random(len(alive)) * cumulative[:, -1]
        x = (cumulative <= point[:, None]).sum(axis=1)
        walks[alive[has_arcs], k] = x[has_arcs]
    return walks


# ---------------------------------------------------------------------------------------------
# The random numbers of _rng.h, and the pairs of skip-gram
# ---------------------------------------------------------------------------------------------

GOLDEN, MASK = 0x9E3779B97F4A7C15, 2**64 - 1


def mix64(z: int) -> int:
    """SplitMix64's finaliser."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def stream(seed: int, task: int) -> int:
    """Key of one task under a seed."""
    return mix64(seed + GOLDEN * mix64(task + GOLDEN & MASK) & MASK)


def draw(key: int, counter: int) -> int:
    """The counter-th 64 random bits of a key."""
    return mix64(key + (counter + 1) * GOLDEN & MASK)


def enumerate_pairs(
    walks: NDArray[np.int32], walk_ids: NDArray[np.int64], window: int, shrink: bool, seed: int
) -> list[tuple[int, int]]:
    """All (centre, context) pairs in the order of the walks."""
    pairs = []
    for walk, walk_id in zip(walks.tolist(), walk_ids.tolist(), strict=True):
        nodes = [v for v in walk if v >= 0]
        for j, centre in enumerate(nodes):
            reach = window
            if shrink:
                reach = 1 + (draw(stream(seed, walk_id), j) * window >> 64)
            for k in range(len(nodes)):
                if k != j and abs(k - j) <= reach:
                    pairs.append((centre, nodes[k]))
    return pairs
