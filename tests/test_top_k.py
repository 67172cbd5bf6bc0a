"""Exact top k against a plain reference, ties, masks, equal bits on all processors, errors."""

import numpy as np
import pytest
import scipy.sparse as sp

from graphembed import _threads
from graphembed._kernels import _topk
from graphembed.recsys.top_k import top_k, top_k_scores


def reference(scores, k, exclude=None, candidates=None):
    """Sorted by (score descending, index ascending), in plain numpy."""
    n, m = scores.shape
    allowed = np.zeros((n, m), bool)
    allowed[:, np.arange(m) if candidates is None else candidates] = True
    if exclude is not None:
        mask = exclude.tocoo()
        allowed[mask.row, mask.col] = False
    top, best = np.full((n, k), -1, np.int32), np.full((n, k), -np.inf, np.float32)
    for i in range(n):
        columns = np.flatnonzero(allowed[i] & (scores[i] > -np.inf))
        order = columns[np.lexsort((columns, -scores[i, columns]))][:k]
        top[i, : len(order)], best[i, : len(order)] = order, scores[i, order]
    return top, best


def products(queries, targets):
    """Components added one after the other in float32."""
    total = np.zeros((len(queries), len(targets)), np.float32)
    for j in range(queries.shape[1]):
        total += queries[:, j, None] * targets[None, :, j]
    return total


def vectors(n, d, seed=0, *, whole=False):
    rng = np.random.default_rng(seed)
    values = rng.integers(-2, 3, (n, d)) if whole else rng.normal(size=(n, d))
    return values.astype(np.float32)


def mask(n, m, density=0.3, seed=0):
    return sp.random_array((n, m), density=density, format="csr", rng=np.random.default_rng(seed))


SIZES = [(1, 1, 1), (7, 33, 1), (6, 16, 3), (13, 257, 8), (200, 70, 20), (3, 1000, 65)]


@pytest.mark.parametrize("k", [1, 5, 40])
@pytest.mark.parametrize(("n", "m", "d"), SIZES)
@pytest.mark.parametrize("whole", [False, True])
def test_against_the_reference(n, m, d, k, whole):
    """Whole numbers give many ties."""
    queries, targets = vectors(n, d, whole=whole), vectors(m, d, 1, whole=whole)
    scores = products(queries, targets)
    candidates = np.random.default_rng(0).permutation(m)[: m // 2 + 1]
    for exclude in (None, mask(n, m)):
        for allowed in (None, candidates):
            top, best = top_k(queries, targets, k, exclude=exclude, candidates=allowed)
            expected = reference(scores, k, exclude, allowed)
            np.testing.assert_array_equal(top, expected[0])
            np.testing.assert_array_equal(best, expected[1])
        top, best = top_k_scores(scores, k, exclude=exclude)
        expected = reference(scores, k, exclude)
        np.testing.assert_array_equal(top, expected[0])
        np.testing.assert_array_equal(best, expected[1])
    assert top.dtype == np.int32
    assert best.dtype == np.float32


@pytest.mark.parametrize("order", ["rising", "falling", "equal", "organ pipe"])
@pytest.mark.parametrize("k", [1, 16, 100])
def test_orders_that_are_hard_on_selection(order, k):
    m = 5000
    line = {
        "rising": np.arange(m), "falling": -np.arange(m), "equal": np.zeros(m),
        "organ pipe": np.minimum(np.arange(m), m - np.arange(m)),
    }[order].astype(np.float32)  # fmt: skip
    expected = reference(line[None], k)
    for found in (top_k(np.ones((1, 1)), line[:, None], k), top_k_scores(line[None], k)):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_zeros_of_either_sign_are_a_tie():
    top, best = top_k_scores(np.array([[-0.0, 0.0, -0.0]]), 3)
    assert top.tolist() == [[0, 1, 2]]
    assert not np.signbit(best).any()


@pytest.mark.parametrize("instructions", range(len(_topk.INSTRUCTION_SETS)))
@pytest.mark.parametrize("d", [1, 5, 64, 256, 700])
def test_all_instruction_sets_give_the_same_bits(instructions, d):
    queries, targets = vectors(29, d), vectors(1003, d, 1)
    scores = products(queries, targets)
    top, best = np.empty((29, 7), np.int32), np.empty((29, 7), np.float32)
    none, nobody = np.empty(0, np.int64), np.empty(0, np.int32)
    _topk.top_products(
        queries, targets, nobody, none, nobody, top, best,
        np.empty((2, _topk.work_size(12, d)), np.float32), np.empty((2, 12, 8), np.uint64),
        np.empty((2, 12), np.float32), np.empty((2, 2, 12), np.int64), instructions, 0, 29, 2,
    )  # fmt: skip
    expected = reference(scores, 7)
    np.testing.assert_array_equal(top, expected[0])
    np.testing.assert_array_equal(best, expected[1])


@pytest.mark.parametrize("n_jobs", [2, 4, -1])
@pytest.mark.parametrize("openmp", [True, False])
def test_threads_do_not_change_a_bit(n_jobs, openmp, monkeypatch):
    queries, targets, exclude = vectors(1500, 32), vectors(3000, 32, 1), mask(1500, 3000, 0.01)
    expected = top_k(queries, targets, 10, exclude=exclude)
    ready = products(queries[:300], targets)
    expected_ready = top_k_scores(ready, 10, exclude=exclude[:300])
    monkeypatch.setattr(_threads, "_use_openmp", openmp and _threads._use_openmp)
    monkeypatch.setattr(_threads, "_WORK_PER_THREAD", 1)
    monkeypatch.setattr(_threads, "_WORK_PER_CALL", 2**15)
    found = top_k(queries, targets, 10, exclude=exclude, n_jobs=n_jobs)
    found_ready = top_k_scores(ready, 10, exclude=exclude[:300], n_jobs=n_jobs)
    for a, b in zip((*expected, *expected_ready), (*found, *found_ready), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_score_does_not_depend_on_what_is_asked_beside_it():
    queries, targets = vectors(50, 17), vectors(300, 17, 1)
    top, best = top_k(queries, targets, 9)
    alone = [top_k(queries[i : i + 1], targets, 9) for i in range(50)]
    np.testing.assert_array_equal(top, np.concatenate([found for found, _ in alone]))
    np.testing.assert_array_equal(best, np.concatenate([values for _, values in alone]))
    chosen = np.unique(top[0])[::-1]
    np.testing.assert_array_equal(top_k(queries[:1], targets, 9, candidates=chosen)[0], top[:1])


def test_too_few_targets():
    scores = np.array([[1.0, -np.inf, 3.0], [-np.inf] * 3])
    top, best = top_k_scores(scores, 5)
    assert top.tolist() == [[2, 0, -1, -1, -1], [-1] * 5]
    assert best[0].tolist() == [3.0, 1.0] + [-np.inf] * 3
    everything = sp.csr_array(np.ones((2, 3)))
    for found in (
        top_k(np.ones((2, 1)), np.ones((3, 1)), 2, exclude=everything),
        top_k(np.ones((2, 1)), np.ones((3, 1)), 2, candidates=[]),
        top_k(np.ones((2, 1)), np.ones((0, 1)), 2),
        top_k_scores(np.ones((2, 0)), 2),
        top_k_scores(scores[:, :1], 1, exclude=sp.csr_array(np.ones((2, 1)))),
    ):
        assert (found[0] == -1).all()
        assert (found[1] == -np.inf).all()
    assert top_k(np.ones((0, 2)), np.ones((3, 2)), 2)[0].shape == (0, 2)


def test_inputs_are_read_as_they_are():
    """Other layouts and types; masks that are unsorted, of whole numbers, with stored zeros."""
    queries, targets = vectors(8, 6), vectors(20, 6, 1)
    expected = top_k(queries, targets, 4, exclude=mask(8, 20))
    rows = mask(8, 20).tocoo()
    shuffled = np.random.default_rng(0).permutation(rows.nnz)
    unsorted = sp.csr_array(
        sp.coo_array((np.zeros(rows.nnz), (rows.row[shuffled], rows.col[shuffled])), shape=(8, 20))
    )
    for q, t, e in (
        (np.asfortranarray(queries), targets[::1], mask(8, 20).tocsc()),
        (queries.astype(np.float64), targets.astype(np.float64), unsorted),
        (queries.tolist(), targets, sp.csr_matrix(mask(8, 20))),
    ):
        found = top_k(q, t, 4, exclude=e, candidates=np.arange(20)[::-1].astype(np.uint8))
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
    frozen = queries.copy()
    frozen.setflags(write=False)
    np.testing.assert_array_equal(top_k(frozen, targets, 4)[0], top_k(queries, targets, 4)[0])
    twice = top_k(queries, targets, 4, candidates=[3, 3, 7])[0]
    assert (np.sort(twice[:, :2], axis=1) == [3, 7]).all()


def test_errors():
    good = vectors(4, 3)
    bad = good.copy()
    bad[2, 1] = np.nan
    for value in (np.nan, np.inf, -np.inf, 1e17):
        bad[2, 1] = value
        with pytest.raises(ValueError, match=r"targets must be finite .* row 2, column 1"):
            top_k(good, bad, 2)
        with pytest.raises(ValueError, match=r"queries must be finite .* row 2, column 1"):
            top_k(bad, good, 2)
    bad[2, 1] = np.nan
    with pytest.raises(ValueError, match="scores must not be NaN, got one in row 2, column 1"):
        top_k_scores(bad, 1)
    with pytest.raises(ValueError, match=r"as many columns, got the shapes \(4, 3\) and \(4, 2\)"):
        top_k(good, good[:, :2], 2)
    with pytest.raises(ValueError, match=r"queries must have two dimensions, got the shape \(3,\)"):
        top_k(good[0], good, 2)
    with pytest.raises(TypeError, match="targets must be of a floating type, got int64"):
        top_k(good, np.ones((4, 3), np.int64), 2)
    with pytest.raises(TypeError, match="scores must be of a floating type, got object"):
        top_k_scores([[None]], 2)
    with pytest.raises(ValueError, match="top_k: k must be an int >= 1"):
        top_k(good, good, 0)
    with pytest.raises(ValueError, match="top_k_scores: n_jobs must be"):
        top_k_scores(good, 1, n_jobs=0)
    with pytest.raises(TypeError, match="exclude must be a scipy sparse matrix, got ndarray"):
        top_k(good, good, 1, exclude=np.ones((4, 4)))
    with pytest.raises(ValueError, match=r"exclude must have the shape \(4, 4\), got \(4, 3\)"):
        top_k(good, good, 1, exclude=sp.csr_array(good))
    with pytest.raises(IndexError, match=r"candidates must be in \[0, 4\), got 4 at position 1"):
        top_k(good, good, 1, candidates=[0, 4])
    with pytest.raises(TypeError, match="flatnonzero"):
        top_k(good, good, 1, candidates=[True, False, True, True])
    with pytest.raises(ValueError, match="at least one column"):
        top_k(good[:, :0], good[:, :0], 1)
