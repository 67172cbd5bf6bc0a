"""Products and sums over edges in plain torch, with torch's sparse matrices, and torch-scatter."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from graphembed._validation import import_optional
from graphembed.nn.sparse import SparseMatrix

# Sums over the rows of `src` that have the same index: (src, index, n) -> (n, ...).
Sum = Callable[[Tensor, Tensor, int], Tensor]


def index_sum(src: Tensor, index: Tensor, n: int) -> Tensor:
    """Sums by torch."""
    return src.new_zeros((n, *src.shape[1:])).index_add(0, index, src)


def scatter_sum(src: Tensor, index: Tensor, n: int) -> Tensor:
    """Sums by torch-scatter."""
    scatter = import_optional("torch_scatter", extra="scatter")
    result: Tensor = scatter.scatter_add(src, index, dim=0, dim_size=n)
    return result


def spmm(
    matrix: SparseMatrix, x: Tensor, values: Tensor | None, *, row_sums: Sum = index_sum
) -> Tensor:
    """The product by gathering a row of x for every entry: O(n_entries * d) memory."""
    gathered = x.index_select(0, matrix.indices)
    if values is not None:
        gathered = gathered * values.unsqueeze(1)
    return row_sums(gathered, matrix.rows, matrix.shape[0])


class _SparseProduct(torch.autograd.Function):  # type: ignore[misc]
    """The product by torch's CSR kernels, and its gradient by the product with the transpose."""

    @staticmethod
    def forward(ctx: Any, matrix: SparseMatrix, x: Tensor, values: Tensor | None) -> Tensor:
        ctx.matrix = matrix
        ctx.save_for_backward(x if ctx.needs_input_grad[2] else None, values)
        return _csr(matrix, values, x.dtype) @ x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        x, values = ctx.saved_tensors
        matrix, grad_x, grad_values = ctx.matrix, None, None
        if ctx.needs_input_grad[1]:
            transposed, order = matrix.transposed
            permuted = None if values is None else values.index_select(0, order)
            grad_x = _SparseProduct.apply(transposed, grad, permuted)
        if ctx.needs_input_grad[2]:
            grad_values = _sampled_product(matrix, grad, x)
        return None, grad_x, grad_values


def sparse_spmm(matrix: SparseMatrix, x: Tensor, values: Tensor | None) -> Tensor:
    """The product by torch's CSR kernels; O(n_entries) memory."""
    result: Tensor = _SparseProduct.apply(matrix, x, values)
    return result


def _csr(matrix: SparseMatrix, values: Tensor | None, dtype: torch.dtype) -> Tensor:
    return matrix.with_values(values).to_torch(dtype)


def _sampled_product(matrix: SparseMatrix, left: Tensor, right: Tensor) -> Tensor:
    """Dot product of a row of `left` and a row of `right` for every entry."""
    return (left.index_select(0, matrix.rows) * right.index_select(0, matrix.indices)).sum(1)


def aggregate_max(matrix: SparseMatrix, x: Tensor) -> Tensor:
    """Largest entry in each row's columns; 0 in rows without entries.

    Of equal ones, the first entry has the gradient.
    """
    n_rows, n_entries = matrix.shape[0], matrix.n_entries
    if not n_entries or not x.shape[1]:
        return x.new_zeros((n_rows, x.shape[1])) + 0 * x.sum()
    with torch.no_grad():
        gathered = x.index_select(0, matrix.indices)
        rows = matrix.rows.unsqueeze(1).expand_as(gathered)
        largest = gathered.new_zeros((n_rows, x.shape[1]))
        largest = largest.scatter_reduce(0, rows, gathered, "amax", include_self=False)
        is_largest = (gathered == largest.index_select(0, matrix.rows)) | gathered.isnan()
        entries = torch.arange(n_entries, device=x.device).unsqueeze(1).expand_as(gathered)
        candidates = entries.masked_fill(~is_largest, n_entries)
        first = torch.full_like(largest, n_entries, dtype=torch.int64)
        first = first.scatter_reduce(0, rows, candidates, "amin")
        is_empty = first == n_entries
        columns = matrix.indices.to(torch.int64)[first.clamp(max=n_entries - 1)]
    return x.gather(0, columns).masked_fill(is_empty, 0.0)


def scatter_max(matrix: SparseMatrix, x: Tensor) -> Tensor:
    """Largest entries by torch-scatter."""
    scatter = import_optional("torch_scatter", extra="scatter")
    gathered = x.index_select(0, matrix.indices)
    result: Tensor = scatter.scatter_max(gathered, matrix.rows, dim=0, dim_size=matrix.shape[0])[0]
    return result


def edge_softmax(matrix: SparseMatrix, scores: Tensor, *, row_sums: Sum = index_sum) -> Tensor:
    """Softmax over the entries of each row."""
    rows = matrix.rows
    with torch.no_grad():  # it does not change the result
        largest = scores.new_zeros((matrix.shape[0], scores.shape[1]))
        index = rows.unsqueeze(1).expand_as(scores)
        largest = largest.scatter_reduce(0, index, scores.detach(), "amax", include_self=False)
    powers = (scores - largest.index_select(0, rows)).exp()
    sums = row_sums(powers, rows, matrix.shape[0])
    return powers / sums.index_select(0, rows)


def attention_sum(
    matrix: SparseMatrix, x: Tensor, alpha: Tensor, *, row_sums: Sum = index_sum
) -> Tensor:
    """Sums of x (n_source, heads, channels) weighted by alpha (n_entries, heads)."""
    messages = x.index_select(0, matrix.indices) * alpha.unsqueeze(-1)
    return row_sums(messages, matrix.rows, matrix.shape[0])
