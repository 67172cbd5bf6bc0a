"""Our kernels as differentiable functions of torch tensors on the CPU.

A kernel sees the memory of a tensor as a numpy array, so nothing here is compiled against torch.
Gradients go through the transpose, whose rows are what a thread writes: no sum is shared, and the
bits do not depend on the threads.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphembed import _threads
from graphembed._kernels import _sparse
from graphembed.nn import _torch
from graphembed.nn._pattern import MAX_ENTRIES, Pattern
from graphembed.nn.sparse import SparseMatrix

TYPES = {torch.float32: np.float32, torch.float64: np.float64}
_NONE = {dtype: np.zeros(0, name) for dtype, name in TYPES.items()}
_NO_ORDER = np.zeros(0, np.int32)

Kernels = dict[torch.dtype, Callable[..., None]]


def of_both_types(kernel: Mapping[str, Callable[..., None]]) -> Kernels:
    return {torch.float32: kernel["float32_t"], torch.float64: kernel["float64_t"]}


_MULTIPLY = of_both_types(_sparse.multiply)
_SAMPLE = of_both_types(_sparse.sample)
_TAKE_MAXIMA = of_both_types(_sparse.take_maxima)
_RETURN_MAXIMA = of_both_types(_sparse.return_maxima)
_TRANSPOSE = of_both_types(_sparse.transpose)


def is_able(matrix: SparseMatrix, x: Tensor) -> bool:
    """Whether the kernels can work on these."""
    return x.is_cpu and x.dtype in TYPES and matrix.n_entries <= MAX_ENTRIES


def array_of(tensor: Tensor | None, dtype: torch.dtype) -> NDArray[Any]:
    """The memory of a contiguous tensor, flat; an empty array of that dtype for None."""
    if tensor is None:
        return _NONE[dtype]
    array: NDArray[Any] = tensor.detach().numpy()
    return array.reshape(-1)


def run(kernel: Callable[..., None], arguments: tuple[Any, ...], n_items: int, work: int) -> None:
    """Call a kernel for all items, on one thread or on all; `work` in steps of some nanoseconds.

    GNU OpenMP ends threads when a team is smaller than the one before, and starting them again
    takes longer than most of these calls.
    """
    n_threads: int = torch.get_num_threads()
    unit = _threads._WORK_PER_THREAD
    if work < unit * max(2, n_threads // 2):
        n_threads = 1
    _threads.run_parallel(
        lambda begin, end, n_threads: kernel(*arguments, begin, end, n_threads),
        n_items,
        n_threads,
        work=max(work, n_threads * unit),
    )


def multiply(
    pattern: Pattern,
    order: Tensor | None,
    values: Tensor | None,
    x: Tensor,
    bias: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Sums of value times row of x over the entries of each row, plus the bias.

    Entry k has the value at ``order[k]``; if `scale` is given, positive values count `scale`
    times and the others not at all.
    """
    n_rows, n_entries, dtype = pattern.shape[0], pattern.n_entries, x.dtype
    d = x.numel() // x.shape[0] if x.shape[0] else 0
    if not n_rows or not n_entries or not d:
        zeros = x.new_zeros((n_rows, *x.shape[1:]))
        return zeros if bias is None else zeros.add_(bias)
    heads = 1 if values is None or x.dim() == 2 else x.shape[1]
    out = np.empty((n_rows, *x.shape[1:]), TYPES[dtype])
    run(
        _MULTIPLY[dtype],
        (
            *pattern.arrays,
            _NO_ORDER if order is None else order.numpy(),
            array_of(values, dtype),
            scale is not None,
            1.0 if scale is None else scale,
            array_of(x, dtype),
            array_of(bias, dtype),
            out.reshape(-1),
            heads,
            d // heads,
        ),
        n_rows,
        n_entries * (1 + d // 32),
    )
    return torch.from_numpy(out)


def _sample(pattern: Pattern, left: Tensor, right: Tensor) -> Tensor:
    """Dot products of rows of both for every entry: (n_entries,), or (n_entries, heads)."""
    n_entries, width = pattern.n_entries, left.shape[-1]
    heads = left.shape[1] if left.dim() == 3 else 1
    out = left.new_empty((n_entries, heads) if left.dim() == 3 else (n_entries,))
    if not out.numel() or not width:
        return out.zero_()
    arrays = tuple(array_of(tensor, left.dtype) for tensor in (left, right, out))
    run(
        _SAMPLE[left.dtype],
        (*pattern.arrays, *arrays, heads, width),
        pattern.shape[0],
        n_entries * heads * (1 + width // 32),
    )
    return out


class _Product(torch.autograd.Function):  # type: ignore[misc]
    """Products (n_rows, d), or (n_rows, heads, d) with values (n_entries, heads)."""

    @staticmethod
    def forward(
        ctx: Any, matrix: SparseMatrix, x: Tensor, values: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        ctx.matrix = matrix
        ctx.save_for_backward(x if ctx.needs_input_grad[2] else None, values)
        return _product(matrix, x, values, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, values = ctx.saved_tensors
        matrix, needed = ctx.matrix, ctx.needs_input_grad
        grad_x = grad_values = None
        grad_bias = grad.sum(0) if needed[3] else None
        if torch.is_grad_enabled():  # a gradient of the gradient is wanted
            return (
                None,
                *_torch.product_backward(needed, matrix, grad, x, values),
                grad_bias,
            )
        grad = grad.contiguous()
        if needed[1]:
            pattern, order = matrix._pattern.transpose()
            grad_x = multiply(pattern, order, contiguous(values), grad)
        if needed[2]:
            grad_values = _sample(matrix._pattern, grad, x.contiguous())
        return None, grad_x, grad_values, grad_bias


def _product(matrix: SparseMatrix, x: Tensor, values: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x.detach().contiguous()
    return multiply(matrix._pattern, None, contiguous(values), x, contiguous(bias))


def spmm(
    matrix: SparseMatrix, x: Tensor, values: Tensor | None, bias: Tensor | None = None
) -> Tensor:
    """The product plus the bias; of several heads, x is (n_columns, heads, d)."""
    if not takes_gradient(x, values, bias):
        return _product(matrix, x, values, bias)
    result: Tensor = _Product.apply(matrix, x, values, bias)
    return result


def contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().contiguous()


def takes_gradient(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def _transposed(x: Tensor) -> Tensor:
    """The transpose of a dense matrix, in memory of its own."""
    n_rows, n_columns = x.shape
    out = np.empty((n_columns, n_rows), TYPES[x.dtype])
    if out.size:
        arrays = array_of(x.contiguous(), x.dtype), out.reshape(-1)
        run(_TRANSPOSE[x.dtype], (*arrays, n_rows, n_columns), n_columns, out.size // 8)
    return torch.from_numpy(out)


class _SparseLinear(torch.autograd.Function):  # type: ignore[misc]
    """Sparse features times the transposed weight, plus the bias."""

    @staticmethod
    def forward(
        ctx: Any, matrix: SparseMatrix, values: Tensor | None, weight: Tensor, bias: Tensor | None
    ) -> Tensor:
        transposed = _transposed(weight)
        values = contiguous(values)
        ctx.matrix = matrix
        ctx.save_for_backward(values, transposed if ctx.needs_input_grad[1] else None)
        return multiply(matrix._pattern, None, values, transposed, contiguous(bias))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(
        ctx: Any, grad: Tensor
    ) -> tuple[None, Tensor | None, Tensor | None, Tensor | None]:
        values, transposed = ctx.saved_tensors
        grad = grad.contiguous()
        grad_values = grad_weight = grad_bias = None
        if ctx.needs_input_grad[1]:
            grad_values = _sample(ctx.matrix._pattern, grad, transposed)
        if ctx.needs_input_grad[2]:
            pattern, order = ctx.matrix._pattern.transpose()
            grad_weight = _transposed(multiply(pattern, order, values, grad))
        if ctx.needs_input_grad[3]:
            grad_bias = grad.sum(0)
        return None, grad_values, grad_weight, grad_bias


def linear(
    matrix: SparseMatrix, values: Tensor | None, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Sparse features times the transposed weight, plus the bias."""
    result: Tensor = _SparseLinear.apply(matrix, values, weight, bias)
    return result


class _Maxima(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, matrix: SparseMatrix, x: Tensor) -> Tensor:
        x = x.contiguous()
        out = x.new_empty((matrix.shape[0], x.shape[1]))
        places = torch.empty(out.shape, dtype=torch.int32)
        ctx.matrix = matrix
        ctx.save_for_backward(places)
        if not matrix.n_entries or not out.numel():
            return out.zero_()
        run(
            _TAKE_MAXIMA[x.dtype],
            (
                *matrix._pattern.arrays,
                array_of(x, x.dtype),
                array_of(out, x.dtype),
                places.numpy().reshape(-1),
                x.shape[1],
            ),
            matrix.shape[0],
            matrix.n_entries * (1 + x.shape[1] // 16),
        )
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        (places,) = ctx.saved_tensors
        matrix, grad = ctx.matrix, grad.contiguous()
        out = grad.new_empty((matrix.shape[1], grad.shape[1]))
        if not matrix.n_entries or not out.numel():
            return None, out.zero_()
        pattern, order = matrix._pattern.transpose()
        run(
            _RETURN_MAXIMA[grad.dtype],
            (
                *pattern.arrays,
                order.numpy(),
                matrix._pattern.arrays[0],
                places.numpy().reshape(-1),
                array_of(grad, grad.dtype),
                array_of(out, grad.dtype),
                grad.shape[1],
            ),
            matrix.shape[1],
            matrix.n_entries * (1 + grad.shape[1] // 16),
        )
        return None, out


def aggregate_max(matrix: SparseMatrix, x: Tensor) -> Tensor:
    """Largest number of each column among the entries of a row; 0 in rows without entries."""
    result: Tensor = _Maxima.apply(matrix, x)
    return result
