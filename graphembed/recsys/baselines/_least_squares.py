"""Vectors of rows by weighted least squares, many small systems at a time."""

from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed.recsys._blas import for_blocks

_TURNED = 4096  # vectors turned at a time
_STEP = 16  # widths that rows are padded to are multiples of it
_ENTRIES = 2**20  # gathered at a time, for each thread


def solve_rows(
    rows: sp.csr_matrix,
    others: NDArray[np.float32],
    w0: float,
    penalty: NDArray[np.float64],
    n_threads: int,
) -> NDArray[np.float32]:
    """The vector x of each row that is best while the others' vectors v stay.

    It minimises ``sum of r (1 - x . v)^2 over the entries r of the row + w0 sum of (x . v)^2 over
    all v + penalty |x|^2``: ``(A + V'RV) x = V'R 1`` with the row's vectors V and its values R, and
    ``A = w0 sum of v v' + penalty I``. In the basis of A's eigenvectors A is diagonal, so a row of
    n < d entries takes a system of n unknowns alone, ``x = A^-1 V' (R^-1 + V A^-1 V')^-1 1``.

    A row's bits depend on the row alone, not on the other rows.
    """
    n, d = rows.shape[0], others.shape[1]
    turned = np.zeros((len(others) + 1, d))  # the last one is for the places of no entry
    turned[:-1] = others
    eigenvalues, basis = np.linalg.eigh(w0 * (turned.T @ turned))
    eigenvalues = np.maximum(eigenvalues, 0.0)
    for begin in range(0, len(turned), _TURNED):
        turned[begin : begin + _TURNED] = turned[begin : begin + _TURNED] @ basis
    widths = -(-np.diff(rows.indptr) // _STEP) * _STEP
    order = np.argsort(widths, kind="stable")
    order = order[np.searchsorted(widths[order], 1) :]  # rows without entries stay 0
    solved = np.zeros((n, d), np.float32)
    diagonals = np.arange(d)

    def solve(part: NDArray[np.int64]) -> None:
        width = int(widths[part[0]])
        there = np.arange(width) < np.diff(rows.indptr)[part][:, np.newaxis]
        places = np.where(there, rows.indptr[part][:, np.newaxis] + np.arange(width), 0)
        vectors = turned[np.where(there, rows.indices[places], len(others))]
        values = np.where(there, rows.data[places], 1.0)
        inner = eigenvalues + penalty[part, np.newaxis]
        if width < d:
            vectors /= np.sqrt(inner)[:, np.newaxis]
            left = vectors @ vectors.transpose(0, 2, 1)
            left[:, diagonals[:width], diagonals[:width]] += 1 / values
            shares = np.linalg.solve(left, np.ones((len(part), width, 1)))
            found = (vectors * shares).sum(axis=1) / np.sqrt(inner)
        else:
            weighted = vectors * values[:, :, np.newaxis]
            left = vectors.transpose(0, 2, 1) @ weighted
            left[:, diagonals, diagonals] += inner
            right = weighted.sum(axis=1)[:, :, np.newaxis]
            found = np.linalg.solve(left, right)[:, :, 0]
        solved[part] = (found[:, np.newaxis] @ basis.T)[:, 0]

    parts = []
    begins = np.append(np.flatnonzero(np.diff(widths[order], prepend=0)), len(order))
    for begin, end in pairwise(begins.tolist()):
        width = int(widths[order[begin]])
        size = max(1, _ENTRIES // (width * max(width, d)))
        parts += [order[first : min(first + size, end)] for first in range(begin, end, size)]

    def solve_parts(begin: int, end: int) -> None:
        for part in parts[begin:end]:
            solve(part)

    for_blocks(solve_parts, len(parts), 1, n_threads)
    return solved
