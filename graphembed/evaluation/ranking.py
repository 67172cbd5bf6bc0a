"""Scores of ranked items, on plain arrays: per user, and of the catalogue as a whole."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._validation import check_params, int_at_least

FloatArray = NDArray[np.float64]

SLICES = ("head", "mid", "tail")


def ranking_scores(
    top: NDArray[np.integer[Any]], test: sp.csr_matrix, ks: Iterable[int] = (20,)
) -> dict[str, FloatArray]:
    """Score the items ranked for each user against those that the user went on to.

    With ``h_r`` = 1 if the item at rank r is one of the user's n test items, else 0::

        recall@k    = sum(h_r, r <= k) / n
        precision@k = sum(h_r, r <= k) / k
        hit_rate@k  = 1 if any h_r, r <= k
        mrr@k       = 1 / the smallest r <= k with h_r = 1, or 0
        ndcg@k      = sum(h_r / log2(r + 1), r <= k) / sum(1 / log2(r + 1), r <= min(k, n))
        map@k       = sum(h_r * precision@r, r <= k) / min(k, n)

    recall and ndcg are those of NGCF and LightGCN (He et al. 2020).

    Parameters
    ----------
    top : int ndarray of shape (n_users, k_max)
        Ranked item indices, the best first; -1 where there is none.
    test : csr matrix of shape (n_users, n_items)
        The stored entries of row i are the test items of user i; their values do not matter.
    ks : int or iterable of int, default=(20,)
        Lengths of the list, at most k_max.

    Returns
    -------
    dict of str to ndarray of shape (n_users,)
        Scores with names such as ``"recall@20"``; NaN for users without a test item.

    Raises
    ------
    ValueError
        If the shapes do not fit, a k is larger than k_max, or `top` holds what is no column of
        `test`, or an item twice in a row.
    TypeError
        If `top` holds no integers or `test` is not sparse.

    References
    ----------
    He, X. et al. (2020). LightGCN: Simplifying and powering graph convolution network for
    recommendation. SIGIR.
    """
    top, test = _checked(top, test)
    hits, n_test = _hits(top, test)
    scores: dict[str, FloatArray] = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for k in check_ks(ks, top.shape[1]):
            found = hits[:, :k]
            ranks = np.arange(1, k + 1)
            discounts = 1 / np.log2(ranks + 1)
            n_found = found.sum(axis=1)
            at_most = np.minimum(n_test, k)
            ideal = np.append(0.0, np.cumsum(discounts))[at_most]
            precisions = np.cumsum(found, axis=1) / ranks
            first = np.where(n_found > 0, 1 / (found.argmax(axis=1) + 1), 0.0)
            per_user = {
                "recall": n_found / n_test,
                "ndcg": found @ discounts / ideal,
                "hit_rate": (n_found > 0).astype(np.float64),
                "precision": n_found / k,
                "mrr": first,
                "map": (found * precisions).sum(axis=1) / at_most,
            }
            for name, values in per_user.items():
                scores[f"{name}@{k}"] = np.where(n_test > 0, values, np.nan)
    return scores


def slice_recalls(
    top: NDArray[np.integer[Any]],
    test: sp.csr_matrix,
    slices: NDArray[np.integer[Any]],
    ks: Iterable[int] = (20,),
) -> dict[str, FloatArray]:
    """Recall among popular and among rare items, per user.

    Parameters
    ----------
    top : int ndarray of shape (n_users, k_max)
        As in `ranking_scores`.
    test : csr matrix of shape (n_users, n_items)
        As in `ranking_scores`.
    slices : int ndarray of shape (n_items,)
        What `popularity_slices` has given.
    ks : int or iterable of int, default=(20,)
        Lengths of the list, at most k_max.

    Returns
    -------
    dict of str to ndarray of shape (n_users,)
        ``"recall_head@20"`` and so on: the share of the user's test items of this slice that are
        among the first k; NaN for users without one.
    """
    top, test = _checked(top, test)
    slices = np.asarray(slices)
    if slices.shape != (test.shape[1],):
        raise ValueError(
            f"slices must have one entry for each of the {test.shape[1]} columns of test, got the "
            f"shape {slices.shape}"
        )
    hits, _ = _hits(top, test)
    kinds = np.where(top >= 0, slices[np.maximum(top, 0)], -1)
    rows = np.repeat(np.arange(test.shape[0]), np.diff(test.indptr))
    scores: dict[str, FloatArray] = {}
    for number, name in enumerate(SLICES):
        n_test = np.bincount(rows[slices[test.indices] == number], minlength=len(top))
        for k in check_ks(ks, top.shape[1]):
            found = (hits[:, :k] & (kinds[:, :k] == number)).sum(axis=1)
            scores[f"recall_{name}@{k}"] = np.divide(
                found, n_test, out=np.full(len(top), np.nan), where=n_test > 0
            )
    return scores


def popularity_slices(counts: NDArray[np.integer[Any]]) -> NDArray[np.int8]:
    """Sort items into popular, middling and rare ones.

    Parameters
    ----------
    counts : int ndarray of shape (n_items,)
        How many users have each item in the training data.

    Returns
    -------
    int8 ndarray of shape (n_items,)
        0, the head: the items with the most users, which together have a third of all
        interactions; 2, the tail: those with the fewest, which have a third, and items that nobody
        has; 1: those between. Of equal counts the lower index is the more popular one.
    """
    order = np.argsort(-np.asarray(counts, np.int64), kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    slices = np.empty(len(order), np.int8)
    slices[order] = np.minimum(2, 3 * before // max(1, int(counts.sum())))
    return slices


def coverage(top: NDArray[np.integer[Any]], n_candidates: int) -> float:
    """Share of the items that are in at least one of the lists.

    Parameters
    ----------
    top : int ndarray of shape (n_users, k)
        Ranked items, -1 where there is none.
    n_candidates : int
        How many items there are to recommend.

    Returns
    -------
    float
        In [0, 1].
    """
    return len(np.unique(top[top >= 0])) / max(1, n_candidates)


def novelty(top: NDArray[np.integer[Any]], counts: NDArray[np.integer[Any]], n_users: int) -> float:
    """Mean self-information of the recommended items, in bits.

    An item that n of `n_users` users have in the training data tells ``log2(n_users / n)`` (Zhou et
    al. 2010); one that nobody has counts as one that one user has.

    Parameters
    ----------
    top : int ndarray of shape (n_users, k)
        Ranked items, -1 where there is none.
    counts : int ndarray of shape (n_items,)
        How many users have each item in the training data.
    n_users : int
        How many users there are in the training data.

    Returns
    -------
    float
        The mean over all lists and ranks; 0 if there are no items.

    References
    ----------
    Zhou, T. et al. (2010). Solving the apparent diversity-accuracy dilemma of recommender systems.
    PNAS.
    """
    items = top[top >= 0]
    if not len(items):
        return 0.0
    information = np.log2(n_users / np.maximum(1, counts))
    return float(information[items].mean())


def check_ks(ks: Any, k_max: int | None = None) -> tuple[int, ...]:
    """Return lengths of lists, one number or several, as a tuple of ints.

    Parameters
    ----------
    ks : int or iterable of int
        The lengths.
    k_max : int, optional
        The longest list there is.

    Returns
    -------
    tuple of int
        The lengths, as given.

    Raises
    ------
    ValueError
        If there is none, or one is below 1 or above `k_max`.
    """
    lengths = tuple(ks) if isinstance(ks, Iterable) else (ks,)
    if not lengths:
        raise ValueError("ks must name at least one length, got none")
    for k in lengths:
        check_params({"ks": k}, {"ks": int_at_least(1)})
        if k_max is not None and k > k_max:
            raise ValueError(f"ks must be at most the {k_max} columns of top, got {k}")
    return tuple(int(k) for k in lengths)


def _checked(top: Any, test: Any) -> tuple[NDArray[np.integer[Any]], sp.csr_matrix]:
    """Return lists of different items and the test matrix, each entry of it once."""
    if not sp.issparse(test):
        raise TypeError(
            f"test must be a scipy sparse matrix, got {type(test).__name__}: "
            "scipy.sparse.csr_matrix makes one"
        )
    given: Any = test
    matrix: sp.csr_matrix = given.tocsr()
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    items = np.asarray(top)
    if items.ndim != 2 or items.shape[0] != matrix.shape[0]:
        raise ValueError(
            f"top must have the shape (n_users, k) with the {matrix.shape[0]} rows of test, got "
            f"{items.shape}"
        )
    if items.dtype.kind not in "iu":
        raise TypeError(f"top must hold integers, the indices of items, got {items.dtype}")
    outside = (items < -1) | (items >= matrix.shape[1])
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise ValueError(
            f"top must hold columns of test, in [0, {matrix.shape[1]}), or -1, got "
            f"{items[row, column]} in row {row}, column {column}"
        )
    ordered = np.sort(items, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row, column = np.argwhere(twice)[0]
        raise ValueError(
            f"top must hold an item once a row, got {ordered[row, column]} twice in row {row}"
        )
    return items, matrix


def _hits(
    top: NDArray[np.integer[Any]], test: sp.csr_matrix
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each ranked item is a test item, and how many of those each user has."""
    n_users, n_items = test.shape
    rows = np.repeat(np.arange(n_users, dtype=np.int64), np.diff(test.indptr))
    wanted = rows * n_items + test.indices
    keys = np.arange(n_users, dtype=np.int64)[:, np.newaxis] * n_items + np.maximum(top, 0)
    hits = np.isin(keys, wanted) & (top >= 0)
    return hits, np.diff(test.indptr).astype(np.int64)
