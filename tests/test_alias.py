"""Alias cells hold exactly the distribution they were built from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from graphembed._kernels import _alias, _skipgram
from graphembed._threads import run_parallel

TOLERANCE = 1e-6
SMALLEST = float(np.finfo(np.float32).tiny)


def build(rows: list[NDArray[np.float32]], n_threads: int = 1) -> list[NDArray[np.uint64]]:
    """Alias cells of every row, built as one CSR structure."""
    indptr = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    cells = np.empty(indptr[-1], np.uint64)
    weights = np.concatenate(rows).astype(np.float32)

    def kernel(begin: int, end: int, n: int) -> None:
        _alias.build_alias(indptr, weights, cells, begin, end, n)

    run_parallel(kernel, len(rows), n_threads, work=2**20)
    return np.split(cells, indptr[1:-1])


def probabilities(cells: NDArray[np.uint64]) -> NDArray[np.float64]:
    """What a draw from the cells gives: a cell keeps threshold / 2^32 and hands on the rest."""
    n = len(cells)
    keep = (cells & np.uint64(0xFFFFFFFF)).astype(np.float64) / 2.0**32
    other = (cells >> np.uint64(32)).astype(np.int64)
    assert other.max() < n
    p = keep.copy()
    np.add.at(p, other, 1.0 - keep)
    return p / n


def assert_exact(weights: NDArray[np.floating], cells: NDArray[np.uint64]) -> None:
    w = weights.astype(np.float64)
    p = probabilities(cells)
    assert np.abs(p - w / w.sum()).max() < TOLERANCE
    assert p.sum() == pytest.approx(1.0, abs=1e-12)


def row_of(seed: int, kind: str, n: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    rows = {
        "equal": np.full(n, rng.uniform(1e-3, 1e3)),
        "uniform": rng.uniform(0.1, 10, n),
        "pareto": rng.pareto(1.0, n) + 1e-3,
        "wide": 10.0 ** rng.uniform(-15, 15, n),
        "two_sizes": np.where(rng.random(n) < 0.1, 1e30, 1.0),
        "one_heavy": np.where(np.arange(n) == rng.integers(n), 1e30, 1.0),
        "one_light": np.where(np.arange(n) == rng.integers(n), 1e-30, 1.0),
        "rising": np.arange(1.0, n + 1),
        "falling": np.arange(n, 0.0, -1),
    }
    return rows[kind].astype(np.float32)


KINDS = [
    "equal",
    "uniform",
    "pareto",
    "wide",
    "two_sizes",
    "one_heavy",
    "one_light",
    "rising",
    "falling",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 3, 10, 257, 5000])
def test_cells_hold_the_distribution(kind, n):
    for seed in range(5):
        row = row_of(seed, kind, n)
        assert_exact(row, build([row])[0])


@settings(max_examples=1000, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.integers(1, 60),
        elements=st.floats(SMALLEST, 2.0**100, width=32, allow_subnormal=False),
    )
)
def test_any_row(row):
    assert_exact(row, build([row])[0])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.sampled_from(KINDS), st.integers(1, 40)),
        min_size=1,
        max_size=30,
    )
)
def test_rows_do_not_disturb_each_other(described):
    rows = [row_of(seed, kind, n) for seed, kind, n in described]
    for row, cells in zip(rows, build(rows), strict=True):
        assert_exact(row, cells)
        assert np.array_equal(cells, build([row])[0])


@settings(max_examples=300, deadline=None)
@given(
    hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(2.0**-20, 2.0**20, width=32)),
    st.integers(-60, 60),
)
def test_a_power_of_two_changes_nothing(row, exponent):
    scaled = np.ldexp(row, exponent)
    assert np.array_equal(build([row])[0], build([scaled])[0])


def test_equal_weights_are_exactly_uniform():
    for value in (1.0, 0.1, 3.0, 1e-20, 1e20):
        for n in (1, 2, 3, 7, 100, 4999):
            p = probabilities(build([np.full(n, value, np.float32)])[0])
            assert np.abs(p - 1.0 / n).max() < 1e-15


def test_subnormal_weights():
    row = np.array([1e-45, 2.8e-45, 1e-44], np.float32)
    assert_exact(row, build([row])[0])


def test_empty_rows_are_passed_over():
    indptr = np.array([0, 0, 2, 2, 3, 3], np.int64)
    cells = np.empty(3, np.uint64)
    weights = np.array([1, 3, 5], np.float32)
    _alias.build_alias(indptr, weights, cells, 0, 5, 1)
    assert_exact(weights[:2], cells[:2])
    assert_exact(weights[2:], cells[2:])


def test_any_number_of_threads():
    rows = [row_of(seed, KINDS[seed % len(KINDS)], 1 + seed % 50) for seed in range(2000)]
    one = np.concatenate(build(rows, 1))
    assert np.array_equal(one, np.concatenate(build(rows, 4)))


def test_noise_tables_hold_the_noise_of_their_part():
    rng = np.random.default_rng(0)
    n, n_parts = 1003, 10
    noise = rng.pareto(0.8, n) + 1e-4
    order = np.argsort(-noise).astype(np.int32)
    part = np.empty(n, np.int32)
    members = np.empty((n_parts, 101), np.int32)
    words = np.empty((n_parts, 2 * 101), np.uint64)
    _skipgram.draw_parts(order, part, members, 5, 0, 101, 1)
    _skipgram.build_noise(members, noise, np.empty(members.shape), words, 0, n_parts, 2)
    for p in range(n_parts):
        mine = members[p][members[p] >= 0]
        # (own node << 32 | threshold, other node) for every node of the part
        own, other = words[p, : 2 * len(mine)].reshape(-1, 2).T
        assert np.array_equal(own >> np.uint64(32), mine)
        place = np.full(n, -1)
        place[mine] = np.arange(len(mine))
        assert (place[other] >= 0).all()
        threshold = own & np.uint64(0xFFFFFFFF)
        assert_exact(noise[mine], place[other].astype(np.uint64) << np.uint64(32) | threshold)


def test_the_check_finds_wrong_cells():
    row = row_of(0, "pareto", 50)
    cells = build([row])[0].copy()
    cells[3], cells[4] = cells[4], cells[3]
    with pytest.raises(AssertionError):
        assert_exact(row, cells)
