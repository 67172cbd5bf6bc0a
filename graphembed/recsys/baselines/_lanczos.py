"""Eigenvectors by Lanczos' method, the same bits in every run.

ARPACK goes on at random where it has met an invariant subspace, as it does on data of low rank.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

FloatArray = NDArray[np.float64]

_TOLERANCE = 1e-10  # of the largest eigenvalue: residuals at which a pair counts as found
_FEWEST_STEPS = 32


def largest_eigenpairs(
    product: Callable[[FloatArray], FloatArray], n: int, k: int
) -> tuple[FloatArray, FloatArray]:
    """The `k` largest eigenvalues, falling, and their vectors, in columns.

    ``product(x)`` multiplies by a symmetric matrix of n rows without negative eigenvalues. Every
    new vector is made orthogonal to all before it, twice, so that no pair comes up again. Memory is
    that of some 3 k to 6 k vectors.
    """
    rng = np.random.default_rng(0)
    n_steps = min(n, 2 * k + _FEWEST_STEPS)
    basis = np.empty((n_steps, n))
    diagonal: list[float] = []
    beside: list[float] = []
    vector = _orthogonal(rng.normal(size=n), basis[:0])[0]
    while True:
        for step in range(len(diagonal), n_steps):
            basis[step] = vector
            image = product(vector)
            diagonal.append(float(image @ vector))
            vector, length = _orthogonal(image, basis[: step + 1])
            if length <= n * np.finfo(float).eps * max(diagonal):  # an invariant subspace
                length = 0.0
                vector = _orthogonal(rng.normal(size=n), basis[: step + 1])[0]
            beside.append(length)
        found = eigh_tridiagonal(np.array(diagonal), np.array(beside[:-1]))
        values: FloatArray = np.asarray(found[0][::-1][:k], np.float64)
        parts: FloatArray = np.asarray(found[1][:, ::-1][:, :k], np.float64)
        residual = beside[-1] * np.abs(parts[-1]).max()
        if n_steps == n or residual <= _TOLERANCE * values[0]:
            return values, basis.T @ parts
        n_steps = min(n, n_steps + max(_FEWEST_STEPS, n_steps // 4))
        basis = np.concatenate([basis, np.empty((n_steps - len(basis), n))])


def _orthogonal(vector: FloatArray, basis: FloatArray) -> tuple[FloatArray, float]:
    """The part of a vector that is orthogonal to the rows of a basis, of length 1; its length."""
    for _ in range(2):
        vector = vector - basis.T @ (basis @ vector)
    length = float(np.linalg.norm(vector))
    return vector / max(length, np.finfo(float).tiny), length
