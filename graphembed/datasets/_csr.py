"""Sparse matrices from the arrays of a file: checked before scipy sees them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from graphembed.exceptions import FileFormatError


def checked_csr(
    data: npt.NDArray[Any],
    indices: npt.NDArray[Any],
    indptr: npt.NDArray[Any],
    shape: tuple[int, ...],
    name: str,
) -> sp.csr_array:
    """Make a float32 matrix with sorted rows of the parts of one; raise if they do not fit."""
    for key, array, kinds in (
        ("data", data, "biuf"),
        ("indices", indices, "iu"),
        ("indptr", indptr, "iu"),
    ):
        if array.ndim != 1 or array.dtype.kind not in kinds:
            raise FileFormatError(
                f"{name}: {key} must be one row of {'numbers' if 'f' in kinds else 'integers'}, "
                f"got shape {array.shape} and dtype {array.dtype}"
            )
    if len(shape) != 2 or not all(0 <= n < 2**31 for n in shape):
        raise FileFormatError(f"{name}: the shape of a matrix must be two numbers, got {shape}")
    n_rows, n_columns = shape
    if len(indptr) != n_rows + 1 or indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        raise FileFormatError(
            f"{name}: indptr must be {n_rows + 1} numbers that begin with 0 and never fall"
        )
    if not int(indptr[-1]) == len(indices) == len(data):
        raise FileFormatError(
            f"{name}: indptr ends with {int(indptr[-1])}, but there are {len(indices)} indices and "
            f"{len(data)} values"
        )
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < n_columns:
        raise FileFormatError(
            f"{name}: indices must be in [0, {n_columns}), got {int(indices.min())} to "
            f"{int(indices.max())}"
        )
    with np.errstate(over="ignore"):  # an error below
        values = data.astype(np.float32)
    if not np.isfinite(values).all():
        raise FileFormatError(f"{name}: values must be finite")
    matrix = sp.csr_array((values, indices, indptr), shape=shape, copy=True)
    matrix.sum_duplicates()
    return matrix


def normalize_rows(matrix: sp.csr_array) -> sp.csr_array:
    """Divide every row by its sum, in float32; rows of sum 0 stay as they are."""
    sums = np.asarray(matrix.sum(axis=1), dtype=np.float32)
    sums[sums == 0] = 1
    data = matrix.data / np.repeat(sums, np.diff(matrix.indptr))
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
