"""Products and sums over edges in plain torch, with torch's sparse matrices, and torch-scatter."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from graphembed._validation import import_optional
from graphembed.nn.sparse import SparseMatrix

# Sums over the rows of `src` that have the same index: (src, index, n) -> (n, ...).
Sum = Callable[[Tensor, Tensor, int], Tensor]
Product = Callable[[SparseMatrix, Tensor, Tensor | None], Tensor]


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
    """The product by gathering a row of x for every entry: O(n_entries * d) memory.

    Of several heads, x is (n_columns, heads, d) and values (n_entries, heads).
    """
    gathered = x.index_select(0, matrix.indices)
    if values is not None:
        gathered = gathered * values.unsqueeze(-1)
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
        matrix, needed = ctx.matrix, ctx.needs_input_grad
        return None, *product_backward(needed, matrix, grad, x, values, product=sparse_spmm)


def product_backward(
    needed: tuple[bool, ...],
    matrix: SparseMatrix,
    grad: Tensor,
    x: Tensor | None,
    values: Tensor | None,
    product: Product = spmm,
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of the product in x and in the values; these have gradients in turn."""
    grad_x = grad_values = None
    if needed[1]:
        transposed, order = matrix.transposed
        permuted = None if values is None else values.index_select(0, order)
        grad_x = product(transposed, grad, permuted)
    if needed[2] and x is not None:
        left, right = grad.index_select(0, matrix.rows), x.index_select(0, matrix.indices)
        grad_values = (left * right).sum(-1)
    return grad_x, grad_values


def sparse_spmm(matrix: SparseMatrix, x: Tensor, values: Tensor | None) -> Tensor:
    """The product by torch's CSR kernels; O(n_entries) memory."""
    result: Tensor = _SparseProduct.apply(matrix, x, values)
    return result


def _csr(matrix: SparseMatrix, values: Tensor | None, dtype: torch.dtype) -> Tensor:
    return matrix._with(values).to_torch(dtype)


def aggregate_max(matrix: SparseMatrix, x: Tensor) -> Tensor:
    """Largest entry in each row's columns; 0 in rows without entries.

    Of equal ones, the first entry has the gradient.
    """
    n_rows, n_entries = matrix.shape[0], matrix.n_entries
    if not n_entries or not x.shape[1]:
        return x.new_zeros((n_rows, x.shape[1])) + x[:0].sum()
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
