"""The matrices that layers multiply by, made of the edges; with the gradient of the weights."""

import torch
from torch import Tensor

from graphembed.nn.sparse import SparseMatrix


def gcn(
    matrix: SparseMatrix, improved: bool, add_self_loops: bool, normalize: bool
) -> SparseMatrix:
    """D^-1/2 (A + fill I) D^-1/2 (Kipf & Welling 2017, eq. 2)."""
    if add_self_loops:
        fill = 2.0 if improved else 1.0
        matrix = _with_diagonal(matrix, _weights(matrix), _last_loops(matrix, fill))
    weights = _weights(matrix)
    if normalize:
        scale = _power(_row_sums(matrix, weights), -0.5)
        weights = _at_rows(matrix, scale) * weights * _at_columns(matrix, scale)
    return matrix._with(weights)


def cheb(matrix: SparseMatrix, normalization: str | None, lambda_max: float | None) -> SparseMatrix:
    """2 L / lambda_max - I (Defferrard et al. 2016); D holds the weights that leave each node."""
    if normalization not in (None, "sym", "rw"):
        raise ValueError(f"normalization must be 'sym', 'rw' or None, got {normalization!r}")
    is_edge = matrix.rows != matrix.indices
    weights = _weights(matrix).masked_fill(~is_edge, 0.0)
    degrees = torch.zeros(matrix.shape[0], dtype=weights.dtype, device=matrix.device)
    degrees = degrees.index_add(0, matrix.indices, weights)
    ones = torch.ones_like(degrees)
    if normalization == "sym":
        scale = _power(degrees, -0.5)
        weights = _at_rows(matrix, scale) * weights * _at_columns(matrix, scale)
    elif normalization == "rw":
        weights = weights * _at_columns(matrix, _power(degrees, -1.0))
    diagonal = degrees if normalization is None else ones
    laplacian = _with_diagonal(matrix, -weights, diagonal)
    values = _weights(laplacian)
    if lambda_max is None:
        largest = 2.0 * values.max() if len(values) else values.new_ones(())
    else:
        largest = values.new_tensor(float(lambda_max))
    values = 2.0 * values / largest.masked_fill(largest == 0, torch.inf)
    is_loop = laplacian.rows == laplacian.indices
    return laplacian._with(values - is_loop.to(values.dtype))


def mean(matrix: SparseMatrix) -> SparseMatrix:
    """Every entry divided by the number of entries of its row."""
    weights = _weights(matrix)
    counts = matrix.indptr.diff().to(weights.dtype)
    return matrix._with(weights / _at_rows(matrix, counts))


def looped(matrix: SparseMatrix) -> tuple[SparseMatrix, Tensor]:
    """The entries off the diagonal, and the diagonal; and where each was, -1 if nowhere."""
    entries = torch.arange(matrix.n_entries, device=matrix.device)
    n_loops = min(matrix.shape)
    nowhere = torch.full((n_loops,), -1, dtype=torch.int64, device=matrix.device)
    pattern, places, loops, kept = _diagonal_added(matrix)
    origin = torch.empty(pattern.n_entries, dtype=torch.int64, device=matrix.device)
    origin[places] = entries[kept]
    origin[loops] = nowhere
    return pattern, origin


def _diagonal_added(matrix: SparseMatrix) -> tuple[SparseMatrix, Tensor, Tensor, Tensor]:
    """The pattern with a full diagonal, at the end of each row.

    Also: where the kept entries and the loops have gone, and which entries were kept.
    """
    n, n_loops = matrix.shape[0], min(matrix.shape)
    kept = (matrix.rows != matrix.indices).nonzero()[:, 0]
    rows = matrix.rows.index_select(0, kept)
    number = torch.arange(n, device=matrix.device)
    counts = torch.bincount(rows, minlength=n) + (number < n_loops)
    indptr = torch.zeros(n + 1, dtype=torch.int64, device=matrix.device)
    torch.cumsum(counts, 0, out=indptr[1:])
    places = torch.arange(len(kept), device=matrix.device) + rows.clamp(max=n_loops)
    loops = indptr[1 : n_loops + 1] - 1
    indices = torch.empty(len(kept) + n_loops, dtype=torch.int32, device=matrix.device)
    indices[places] = matrix.indices.index_select(0, kept)
    indices[loops] = number[:n_loops].to(torch.int32)
    return SparseMatrix._trusted(indptr, indices, None, matrix.shape), places, loops, kept


def _with_diagonal(matrix: SparseMatrix, values: Tensor, diagonal: Tensor) -> SparseMatrix:
    """The entries off the diagonal, and a diagonal."""
    pattern, places, loops, kept = _diagonal_added(matrix)
    filled = values.new_zeros(pattern.n_entries)
    filled = filled.index_copy(0, places, values.index_select(0, kept))
    return pattern._with(filled.index_copy(0, loops, diagonal))


def _last_loops(matrix: SparseMatrix, fill: float) -> Tensor:
    """Weight of the last self-loop of every node, `fill` where there is none."""
    weights = _weights(matrix)
    diagonal = weights.new_full((matrix.shape[0],), fill)
    loops = (matrix.rows == matrix.indices).nonzero()[:, 0]
    if not len(loops):
        return diagonal
    last = torch.full((matrix.shape[0],), -1, dtype=torch.int64, device=matrix.device)
    last = last.scatter_reduce(0, matrix.rows.index_select(0, loops), loops, "amax")
    return torch.where(last < 0, diagonal, weights.index_select(0, last.clamp(min=0)))


def _weights(matrix: SparseMatrix) -> Tensor:
    """The values, or ones; in float64, so that what is made of them is rounded once."""
    if matrix.values is None:
        return torch.ones(matrix.n_entries, dtype=torch.float64, device=matrix.device)
    return matrix.values.to(torch.float64)


def _row_sums(matrix: SparseMatrix, weights: Tensor) -> Tensor:
    sums = torch.zeros(matrix.shape[0], dtype=weights.dtype, device=matrix.device)
    return sums.index_add(0, matrix.rows, weights)


def _power(degrees: Tensor, exponent: float) -> Tensor:
    """Powers of the degrees; 0 of nodes whose degree is 0."""
    is_zero = degrees == 0
    return degrees.masked_fill(is_zero, 1.0).pow(exponent).masked_fill(is_zero, 0.0)


def _at_rows(matrix: SparseMatrix, numbers: Tensor) -> Tensor:
    return numbers.index_select(0, matrix.rows)


def _at_columns(matrix: SparseMatrix, numbers: Tensor) -> Tensor:
    return numbers.index_select(0, matrix.indices)
