"""Vectors of rows by weighted least squares, many small systems at a time."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed.recsys._blas import for_blocks

_ROWS = 256  # of a block
_ENTRIES = 2**21  # gathered at a time, for each thread


def solve_rows(
    rows: sp.csr_matrix,
    others: NDArray[np.float32],
    w0: float,
    penalty: NDArray[np.float64],
    n_threads: int,
) -> NDArray[np.float32]:
    """The vector x of each row that is best while the others' vectors v stay.

    It minimises ``sum of r (1 - x . v)^2 over the entries r of the row + w0 sum of (x . v)^2 over
    all v + penalty |x|^2``.
    """
    n, d = rows.shape[0], others.shape[1]
    lengths = np.diff(rows.indptr)
    order = np.argsort(-lengths, kind="stable")  # rows of like length are padded together
    gram = w0 * (others.T @ others)
    padded = np.concatenate([others, np.zeros((1, d), np.float32)])
    solved = np.zeros((n, d), np.float32)
    diagonal = np.arange(d)

    def solve(part: NDArray[np.int64]) -> None:
        width = int(lengths[part[0]])
        there = np.arange(width) < lengths[part][:, np.newaxis]
        places = rows.indptr[part][:, np.newaxis] + np.arange(width)
        places = np.where(there, places, 0)
        vectors = padded[np.where(there, rows.indices[places], len(others))]
        weighted = vectors * np.where(there, rows.data[places], 0)[:, :, np.newaxis]
        left = vectors.transpose(0, 2, 1) @ weighted + gram
        left[:, diagonal, diagonal] += penalty[part, np.newaxis]
        right = weighted.sum(axis=1)[:, :, np.newaxis]
        solved[part] = np.linalg.solve(left, right)[:, :, 0]

    def solve_block(begin: int, end: int) -> None:
        size = max(1, _ENTRIES // (d * max(1, int(lengths[order[begin]]))))
        for first in range(begin, end, size):
            solve(order[first : min(first + size, end)])

    for_blocks(solve_block, n, _ROWS, n_threads)
    return solved
