"""The inverse of a symmetric matrix, in place, with the same bits for any number of threads."""

import numpy as np
from numpy.typing import NDArray

from graphembed.recsys._blas import for_blocks

BLOCK = 512


def invert(a: NDArray[np.float64], n_threads: int) -> None:
    """Invert a symmetric positive definite matrix in place: Gauss and Jordan, block by block.

    Only blocks on and below the diagonal are kept up; they end as those of minus the inverse.
    """
    n = len(a)
    for k in range(0, n, BLOCK):
        here, after = slice(k, k + BLOCK), slice(k + BLOCK, n)
        pivot = np.linalg.inv(a[here, here])
        pivot = (pivot + pivot.T) / 2
        column = np.concatenate([a[here, :k].T, a[k:, here]])
        scaled = column @ pivot

        def update(begin: int, end: int) -> None:
            a[begin:end, :end] -= scaled[begin:end] @ column[:end].T  # noqa: B023

        for_blocks(update, n, BLOCK, n_threads)
        a[here, :k] = scaled[:k].T
        a[after, here] = scaled[after]
        a[here, here] = -pivot
    for k in range(0, n, BLOCK):
        rows = slice(k, k + BLOCK)
        a[rows, k + BLOCK :] = a[k + BLOCK :, rows].T
    np.negative(a, out=a)
