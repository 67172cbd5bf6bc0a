"""Normalised interactions and their leading singular vectors."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed.recsys.baselines._lanczos import largest_eigenpairs

_DENSE = 400  # a matrix with no more rows or columns than this is taken apart as a dense one
_NULL = 1e-6  # of the largest singular value: what is below is rounding


def normalised(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """``D_U^-1/2 R D_I^-1/2`` in float64; D are the sums of rows and columns."""
    r = matrix.astype(np.float64)
    users, items = (
        _inverse_root(np.asarray(r.sum(axis=axis), np.float64).ravel()) for axis in (1, 0)
    )
    r.data *= np.repeat(users, np.diff(r.indptr)) * items[r.indices]
    return r


def low_pass(
    matrix: sp.csr_matrix, n_components: int, *, normalize: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The factors of the projection on the leading singular vectors V, each (n_items, k).

    They are V and V, or, with `normalize`, ``D_I^-1/2 V`` and ``D_I^1/2 V``.
    """
    if not normalize:
        vectors = _right_singular_vectors(matrix.astype(np.float64), n_components)
        return vectors.astype(np.float32), vectors.astype(np.float32)
    vectors = _right_singular_vectors(normalised(matrix), n_components)
    sums = np.asarray(matrix.sum(axis=0, dtype=np.float64)).ravel()[:, np.newaxis]
    inward, outward = vectors * _inverse_root(sums), vectors * np.sqrt(sums)
    return inward.astype(np.float32), outward.astype(np.float32)


def _inverse_root(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """``sums ** -0.5``, and 0 for 0."""
    return np.divide(1.0, np.sqrt(sums), out=np.zeros_like(sums), where=sums > 0)


def _right_singular_vectors(matrix: sp.csr_matrix, n_components: int) -> NDArray[np.float64]:
    """Right vectors of the largest singular values, in columns; no more than the rank.

    The largest entry of every vector is positive, so that the same matrix gives the same bits.
    """
    is_wide = matrix.shape[0] < matrix.shape[1]
    left, right = (matrix, matrix.T.tocsr()) if is_wide else (matrix.T.tocsr(), matrix)
    n = left.shape[0]
    if n <= max(_DENSE, n_components):
        squares, vectors = np.linalg.eigh((left @ right).toarray())
        squares, vectors = squares[::-1], vectors[:, ::-1]
    else:
        squares, vectors = largest_eigenpairs(lambda x: left @ (right @ x), n, n_components)
    values = np.sqrt(np.maximum(squares, 0.0))
    n_kept = min(n_components, int((values > _NULL * values[0]).sum()))
    values, vectors = values[:n_kept], vectors[:, :n_kept]
    if is_wide:  # these are the left vectors
        vectors = right @ (vectors / values)
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(n_kept)]
    return vectors * np.where(largest < 0, -1.0, 1.0)
