"""Checks of the arrays handed to the evaluation functions."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from graphembed._validation import check_params, float_in

_LARGEST_ENTRY = 1e100


def check_embedding(embedding: Any) -> npt.NDArray[np.floating[Any]]:
    """Return `embedding` as a finite 2-D float array; nothing is copied where it already is one.

    Parameters
    ----------
    embedding : array-like of shape (n_nodes, n_components)
        One row per node.

    Returns
    -------
    ndarray of shape (n_nodes, n_components)
        float32 or float64.

    Raises
    ------
    TypeError
        If `embedding` is sparse or does not hold real numbers.
    ValueError
        If `embedding` is not 2-D, has no columns, or holds NaN, infinity or
        entries beyond 1e100.
    """
    if sp.issparse(embedding):
        raise TypeError("embedding must be a dense array, got a scipy.sparse one: use toarray()")
    array = np.asarray(embedding)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"embedding must hold real numbers, got dtype {array.dtype}")
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"embedding must have the shape (n_nodes, n_components), got {array.shape}"
        )
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    # the bound keeps squares of float64 entries finite, too; a comparison with NaN is False
    limit = min(_LARGEST_ENTRY, float(np.finfo(array.dtype).max))
    good = (np.abs(array) <= limit).all(axis=1)
    if not good.all():
        raise ValueError(
            f"embedding must be finite, but {np.count_nonzero(~good)} of {len(array)} rows hold "
            f"NaN, infinity or entries beyond {limit:g}; "
            f"the first is row {int(np.argmin(good))}"
        )
    return array


def check_labels(labels: Any) -> sp.csr_array:
    """Return `labels` as a boolean indicator of shape (n_nodes, n_labels).

    Parameters
    ----------
    labels : sparse or dense 0/1 array of shape (n_nodes, n_labels), or int array (n_nodes,)
        In the 1-D form every node has one label and -1 means unlabelled; column `j` of the result
        is then the `j`-th smallest label that occurs.

    Returns
    -------
    scipy.sparse.csr_array of bool
        Stored entries are all True.

    Raises
    ------
    TypeError
        If 1-D labels are not integers.
    ValueError
        If an entry is not 0 or 1, a 1-D label is below -1, or fewer than two labels exist.
    """
    if sp.issparse(labels):
        indicator = _check_sparse_labels(labels)
    else:
        array = np.asarray(labels)
        if array.ndim == 1:
            indicator = _one_label_each(array)
        elif array.ndim == 2:
            indicator = _check_dense_labels(array)
        else:
            raise ValueError(
                f"labels must have the shape (n_nodes,) or (n_nodes, n_labels), got {array.shape}"
            )
    if indicator.shape[1] < 2:
        raise ValueError(
            f"labels must hold at least 2 different labels to tell apart, got {indicator.shape[1]}"
        )
    return indicator


def check_train_ratios(train_ratios: Any) -> tuple[float, ...]:
    """Return `train_ratios`, one number or several, as a tuple of floats in (0, 1)."""
    iterable = isinstance(train_ratios, Iterable) and not isinstance(train_ratios, str)
    ratios = tuple(train_ratios) if iterable else (train_ratios,)
    if not ratios:
        raise ValueError("train_ratios must name at least one ratio, got none")
    for i, ratio in enumerate(ratios):
        name = f"train_ratios[{i}]" if iterable else "train_ratios"
        check_params({name: ratio}, {name: float_in(0, 1, inclusive="neither")})
    return tuple(float(ratio) for ratio in ratios)


def _check_sparse_labels(labels: Any) -> sp.csr_array:
    if labels.ndim != 2:
        raise ValueError(f"labels must have the shape (n_nodes, n_labels), got {labels.shape}")
    entries = sp.coo_array(labels)
    bad = np.flatnonzero((entries.data != 0) & (entries.data != 1))
    if bad.size:
        row, col = int(entries.row[bad[0]]), int(entries.col[bad[0]])
        value = entries.data[bad[0]]
        raise ValueError(f"labels must hold 0 and 1 only, got {value} at row {row}, column {col}")
    # through int64: a duplicate entry adds up to 2 and must stay True
    indicator = sp.csr_array(entries.astype(np.int64))
    indicator.sum_duplicates()
    indicator.eliminate_zeros()
    return indicator.astype(bool)


def _check_dense_labels(array: npt.NDArray[Any]) -> sp.csr_array:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"labels must hold 0 and 1, got dtype {array.dtype}")
    bad = np.argwhere((array != 0) & (array != 1))
    if len(bad):
        row, col = (int(v) for v in bad[0])
        raise ValueError(
            f"labels must hold 0 and 1 only, got {array[row, col]} at row {row}, column {col}"
        )
    return sp.csr_array(array.astype(bool))


def _one_label_each(array: npt.NDArray[Any]) -> sp.csr_array:
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"1-D labels must be integers with -1 for unlabelled, got dtype {array.dtype}; "
            "np.unique(labels, return_inverse=True)[1] turns other labels into integers"
        )
    if array.size and array.min() < -1:
        row = int(np.argmax(array < -1))
        raise ValueError(
            f"1-D labels must be >= 0, or -1 for unlabelled, got {array[row]} at row {row}"
        )
    rows = np.flatnonzero(array != -1)
    values, columns = np.unique(array[rows], return_inverse=True)
    ones = np.ones(len(rows), dtype=bool)
    return sp.csr_array((ones, (rows, columns)), shape=(len(array), len(values)))
