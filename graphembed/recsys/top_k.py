"""Exact top k: the targets with the largest inner products, and the largest of ready scores."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from graphembed._kernels import _topk
from graphembed._threads import run_parallel
from graphembed._validation import check_params, effective_n_threads, int_at_least, n_jobs_like

__all__ = ["top_k", "top_k_scores"]

Top = tuple[NDArray[np.int32], NDArray[np.float32]]

_CONSTRAINTS = {"k": int_at_least(1), "n_jobs": n_jobs_like()}
# Products of larger components could overflow.
_LARGEST = 1e16
_BLOCK_FLOATS = 2**16  # components of the queries that a panel of targets is multiplied with
_BLOCK_ENTRIES = 2**18
_FLOPS_PER_STEP = 256
_PRODUCTS_PER_CALL = 10**10  # 0.3 seconds
_NO_INDPTR, _NO_INDICES = np.empty(0, np.int64), np.empty(0, np.int32)


def top_k(
    queries: ArrayLike,
    targets: ArrayLike,
    k: int,
    *,
    exclude: Any = None,
    candidates: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Top:
    """Find, for each query, the k targets with the largest inner products.

    The search is exact, and the product of two rows has the same bits whatever else is asked for,
    on any number of threads and any processor.

    Parameters
    ----------
    queries : array_like of float32 or float64, shape (n, d)
        Query vectors; float64 is rounded to float32.
    targets : array_like of float32 or float64, shape (m, d)
        Target vectors.
    k : int
        How many to find for each query.
    exclude : scipy sparse matrix of shape (n, m), optional
        Row i holds an entry, of any value, for every target that query i must not be given.
    candidates : array_like of int, optional
        Indices of the targets that may be found, in any order. None means all.
    n_jobs : int, optional
        Threads; -1 means all cores.

    Returns
    -------
    indices : ndarray of shape (n, k), dtype=int32
        Indices of targets, the best first; of equal products the lower index comes first. -1 where
        there are fewer than k.
    scores : ndarray of shape (n, k), dtype=float32
        Their products; -inf where there are fewer than k.

    Raises
    ------
    TypeError
        If an array is of another type.
    ValueError
        If shapes do not agree, a component is NaN, infinite or above 1e16, or `k` is out of range.
    IndexError
        If a candidate is not the index of a target.

    Notes
    -----
    O(n m d) time. Memory: the result, the arrays as float32 if they are not, and for each thread up
    to 3 MB, more for `d` above 1,000 (800 bytes times `d`) or `k` above 5,000 (400 bytes times
    `k`).

    Examples
    --------
    >>> import numpy as np
    >>> from graphembed.recsys.top_k import top_k
    >>> items = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> top_k([[2.0, 1.0]], items, 2)
    (array([[2, 0]], dtype=int32), array([[3., 2.]], dtype=float32))
    """
    check_params({"k": k, "n_jobs": n_jobs}, _CONSTRAINTS, owner="top_k")
    left, right = _vectors("queries", queries), _vectors("targets", targets)
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"queries and targets must have as many columns, got the shapes {left.shape} and "
            f"{right.shape}"
        )
    allowed = _candidates(candidates, len(right))
    indptr, excluded = _excluded(exclude, (len(left), len(right)))
    top, scores = _nothing(len(left), int(k))
    n_allowed = len(right) if allowed is None else len(allowed)
    width = left.shape[1]
    if width == 0:
        raise ValueError("queries and targets must have at least one column")
    if n_allowed == 0 or len(left) == 0:
        return top, scores
    # The best of all have been found where k of fewer candidates are asked for.
    found, values = top[:, :n_allowed], scores[:, :n_allowed]
    if k > n_allowed:
        found, values = found.copy(), values.copy()
    room = _room(found.shape[1])
    rows = _topk.ROWS
    block = min(max(_BLOCK_FLOATS // width, 192), max(_BLOCK_ENTRIES // room, 24))
    block = min(block, len(left) + rows) // rows * rows
    fastest = len(_topk.INSTRUCTION_SETS) - 1

    n_threads = effective_n_threads(n_jobs)
    # So many queries at least share the work of packing the targets.
    shared = min(192, max(rows, _PRODUCTS_PER_CALL // (n_allowed * width)))
    unit = min(shared * n_threads, -(-len(left) // n_threads))
    n_units = -(-len(left) // unit)

    def kernel(begin: int, end: int, n: int) -> None:
        _topk.top_products(
            left, right, _NO_INDICES if allowed is None else allowed, indptr, excluded, found,
            values, np.empty((n, _topk.work_size(block, width)), np.float32),
            np.empty((n, block, room), np.uint64), np.empty((n, block), np.float32),
            np.empty((n, 2, block), np.int64), fastest, begin * unit,
            min(end * unit, len(left)), n,
        )  # fmt: skip

    work = len(left) * n_allowed * (width + 8) // _FLOPS_PER_STEP
    run_parallel(kernel, n_units, n_threads, work=work)
    if k > n_allowed:
        top[:, :n_allowed], scores[:, :n_allowed] = found, values
    return top, scores


def top_k_scores(
    scores: ArrayLike, k: int, *, exclude: Any = None, n_jobs: int | None = None
) -> Top:
    """Find the k largest scores of each row.

    Parameters
    ----------
    scores : array_like of float32 or float64, shape (n, m)
        A score for every column; float64 is rounded to float32. -inf is never chosen.
    k : int
        How many to find in each row.
    exclude : scipy sparse matrix of shape (n, m), optional
        Entries, of any value, that must not be chosen.
    n_jobs : int, optional
        Threads; -1 means all cores.

    Returns
    -------
    indices : ndarray of shape (n, k), dtype=int32
        Columns, the best first; of equal scores the lower column comes first. -1 where there are
        fewer than k.
    values : ndarray of shape (n, k), dtype=float32
        Their scores; -inf where there are fewer than k.

    Raises
    ------
    TypeError
        If `scores` are of another type.
    ValueError
        If a score is NaN, shapes do not agree, or `k` is out of range.

    Notes
    -----
    O(n m) time. Memory: the result, and `scores` as float32 if they are not.
    """
    check_params({"k": k, "n_jobs": n_jobs}, _CONSTRAINTS, owner="top_k_scores")
    rows = _floats("scores", scores)
    indptr, excluded = _excluded(exclude, rows.shape)
    top, values = _nothing(len(rows), int(k))
    n = min(int(k), rows.shape[1])
    if n == 0 or len(rows) == 0:
        return top, values
    found, best = (top, values) if n == k else (top[:, :n].copy(), values[:, :n].copy())

    def kernel(begin: int, end: int, n_threads: int) -> None:
        entries = np.empty((n_threads, _room(n)), np.uint64)
        _topk.top_of_rows(rows, indptr, excluded, found, best, entries, begin, end, n_threads)

    run_parallel(kernel, len(rows), effective_n_threads(n_jobs), work=rows.size // 8)
    undefined = np.isnan(best[:, 0])
    if undefined.any():
        row = int(np.argmax(undefined))
        column = int(np.argmax(np.isnan(rows[row])))
        raise ValueError(f"scores must not be NaN, got one in row {row}, column {column}")
    if n < k:
        top[:, :n], values[:, :n] = found, best
    return top, values


def _room(k: int) -> int:
    """Entries kept before the best k of them are selected."""
    return k + max(k, 16)


def _nothing(n: int, k: int) -> Top:
    return np.full((n, k), -1, np.int32), np.full((n, k), -np.inf, np.float32)


def _floats(name: str, values: ArrayLike) -> NDArray[np.float32]:
    """A matrix as float32."""
    found = np.asarray(values)
    if found.dtype.kind != "f":
        raise TypeError(
            f"{name} must be of a floating type, got {found.dtype}: .astype(numpy.float32) makes "
            "them so"
        )
    if found.ndim != 2:
        raise ValueError(f"{name} must have two dimensions, got the shape {found.shape}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(found, np.float32)


def _vectors(name: str, values: ArrayLike) -> NDArray[np.float32]:
    """A matrix whose products are finite."""
    found = _floats(name, values)
    if found.size == 0:
        return found
    if not (found.max() <= _LARGEST and found.min() >= -_LARGEST):  # of a NaN neither is so
        row, column = np.argwhere(~(np.abs(found) <= _LARGEST))[0]
        raise ValueError(
            f"{name} must be finite and at most {_LARGEST:g} in size, got {found[row, column]} in "
            f"row {row}, column {column}"
        )
    return found


def _candidates(candidates: ArrayLike | None, m: int) -> NDArray[np.int32] | None:
    """Different candidates in ascending order; None if all targets are."""
    if candidates is None:
        return None
    found = np.asarray(candidates)
    if found.ndim != 1 or (found.dtype.kind not in "iu" and len(found)):
        hint = " (numpy.flatnonzero turns a mask into them)" if found.dtype.kind == "b" else ""
        raise TypeError(
            f"candidates must be a list of indices{hint}, got the shape {found.shape} of "
            f"{found.dtype}"
        )
    bad = (found < 0) | (found >= m)
    if bad.any():
        where = int(np.argmax(bad))
        raise IndexError(f"candidates must be in [0, {m}), got {found[where]} at position {where}")
    return np.unique(found).astype(np.int32)


def _excluded(exclude: Any, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Rows of excluded targets, ascending; empty arrays if there are none."""
    if exclude is None:
        return _NO_INDPTR, _NO_INDICES
    if not sp.issparse(exclude):
        raise TypeError(
            f"exclude must be a scipy sparse matrix, got {type(exclude).__name__}: "
            "scipy.sparse.csr_array makes one"
        )
    given: Any = exclude
    rows = given.tocsr()
    if rows.shape != shape:
        raise ValueError(f"exclude must have the shape {shape}, got {rows.shape}")
    if not rows.has_sorted_indices:
        rows = rows.sorted_indices()
    return rows.indptr.astype(np.int64), rows.indices.astype(np.int32, copy=False)
