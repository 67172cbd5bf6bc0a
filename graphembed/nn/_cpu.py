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

from graphembed._kernels import _sparse
from graphembed._threads import run_parallel
from graphembed.nn import _torch
from graphembed.nn._pattern import MAX_ENTRIES, Pattern
from graphembed.nn.sparse import SparseMatrix

_TYPES = {torch.float32: np.float32, torch.float64: np.float64}
_NONE = {dtype: np.zeros(0, name) for dtype, name in _TYPES.items()}
_NO_ORDER = np.zeros(0, np.int32)
_KEEP_ALL = -(2**31)

Kernels = dict[torch.dtype, Callable[..., None]]


def _of_both_types(kernel: Mapping[str, Callable[..., None]]) -> Kernels:
    return {torch.float32: kernel["float32_t"], torch.float64: kernel["float64_t"]}


_MULTIPLY = _of_both_types(_sparse.multiply)
_SAMPLE = _of_both_types(_sparse.sample)
_TAKE_MAXIMA = _of_both_types(_sparse.take_maxima)
_RETURN_MAXIMA = _of_both_types(_sparse.return_maxima)
_SOFTMAX = _of_both_types(_sparse.softmax)
_SOFTMAX_BACKWARD = _of_both_types(_sparse.softmax_backward)
_WEIGH = _of_both_types(_sparse.weigh)
_WEIGH_BACKWARD = _of_both_types(_sparse.weigh_backward)
_DOTS = _of_both_types(_sparse.dots)
_SUM_ENTRIES = _of_both_types(_sparse.sum_entries)
_TRANSPOSE = _of_both_types(_sparse.transpose)
_DROP = _of_both_types(_sparse.drop)


def is_able(matrix: SparseMatrix, x: Tensor) -> bool:
    """Whether the kernels can work on these."""
    return x.is_cpu and x.dtype in _TYPES and matrix.n_entries <= MAX_ENTRIES


def _array(tensor: Tensor | None, dtype: torch.dtype) -> NDArray[Any]:
    """The memory of a contiguous tensor, flat; an empty array of that dtype for None."""
    if tensor is None:
        return _NONE[dtype]
    array: NDArray[Any] = tensor.detach().numpy()
    return array.reshape(-1)


def _run(kernel: Callable[..., None], arguments: tuple[Any, ...], n_items: int, work: int) -> None:
    """Call a kernel for all items; `work` in steps of some nanoseconds."""
    run_parallel(
        lambda begin, end, n_threads: kernel(*arguments, begin, end, n_threads),
        n_items,
        torch.get_num_threads(),
        work=work,
    )


def _multiply(
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
    out = np.empty((n_rows, *x.shape[1:]), _TYPES[dtype])
    _run(
        _MULTIPLY[dtype],
        (
            *pattern.arrays,
            _NO_ORDER if order is None else order.numpy(),
            _array(values, dtype),
            scale is not None,
            1.0 if scale is None else scale,
            _array(x, dtype),
            _array(bias, dtype),
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
    arrays = tuple(_array(tensor, left.dtype) for tensor in (left, right, out))
    _run(
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
            grad_x = _multiply(pattern, order, _contiguous(values), grad)
        if needed[2]:
            grad_values = _sample(matrix._pattern, grad, x.contiguous())
        return None, grad_x, grad_values, grad_bias


def _product(matrix: SparseMatrix, x: Tensor, values: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x.detach().contiguous()
    return _multiply(matrix._pattern, None, _contiguous(values), x, _contiguous(bias))


def spmm(
    matrix: SparseMatrix, x: Tensor, values: Tensor | None, bias: Tensor | None = None
) -> Tensor:
    """The product plus the bias; of several heads, x is (n_columns, heads, d)."""
    if not _takes_gradient(x, values, bias):
        return _product(matrix, x, values, bias)
    result: Tensor = _Product.apply(matrix, x, values, bias)
    return result


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().contiguous()


def _takes_gradient(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def _transposed(x: Tensor) -> Tensor:
    """The transpose of a dense matrix, in memory of its own."""
    n_rows, n_columns = x.shape
    out = np.empty((n_columns, n_rows), _TYPES[x.dtype])
    if out.size:
        arrays = _array(x.contiguous(), x.dtype), out.reshape(-1)
        _run(_TRANSPOSE[x.dtype], (*arrays, n_rows, n_columns), n_columns, out.size // 8)
    return torch.from_numpy(out)


class _SparseLinear(torch.autograd.Function):  # type: ignore[misc]
    """Sparse features times the transposed weight, plus the bias."""

    @staticmethod
    def forward(
        ctx: Any, matrix: SparseMatrix, values: Tensor | None, weight: Tensor, bias: Tensor | None
    ) -> Tensor:
        transposed = _transposed(weight)
        values = _contiguous(values)
        ctx.matrix = matrix
        ctx.save_for_backward(values, transposed if ctx.needs_input_grad[1] else None)
        return _multiply(matrix._pattern, None, values, transposed, _contiguous(bias))

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
            grad_weight = _transposed(_multiply(pattern, order, values, grad))
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
        _run(
            _TAKE_MAXIMA[x.dtype],
            (
                *matrix._pattern.arrays,
                _array(x, x.dtype),
                _array(out, x.dtype),
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
        _run(
            _RETURN_MAXIMA[grad.dtype],
            (
                *pattern.arrays,
                order.numpy(),
                matrix._pattern.arrays[0],
                places.numpy().reshape(-1),
                _array(grad, grad.dtype),
                _array(out, grad.dtype),
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


class _Softmax(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, matrix: SparseMatrix, scores: Tensor) -> Tensor:
        out = _by_row(matrix, _SOFTMAX, scores.contiguous())
        ctx.matrix = matrix
        ctx.save_for_backward(out)
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        (alpha,) = ctx.saved_tensors
        return None, _by_row(ctx.matrix, _SOFTMAX_BACKWARD, alpha, grad.contiguous())


def _by_row(matrix: SparseMatrix, kernels: Kernels, *entries: Tensor) -> Tensor:
    """What a kernel makes of numbers of the entries, row by row: again one for each."""
    out = torch.empty_like(entries[0])
    if out.numel():
        _run(
            kernels[out.dtype],
            (
                matrix._pattern.arrays[0],
                *(_array(tensor, out.dtype) for tensor in entries),
                _array(out, out.dtype),
                out.shape[1],
            ),
            matrix.shape[0],
            out.numel(),
        )
    return out


def edge_softmax(matrix: SparseMatrix, scores: Tensor) -> Tensor:
    """Softmax over the entries of each row."""
    result: Tensor = _Softmax.apply(matrix, scores)
    return result


class _Attention(torch.autograd.Function):  # type: ignore[misc]
    """Scores, softmax, dropout and weighted sums of GAT.

    Between forward and backward one number for each entry and head is kept: its weight, negative
    where it was dropped.
    """

    @staticmethod
    def forward(
        ctx: Any,
        matrix: SparseMatrix,
        x: Tensor,
        source: Tensor,
        target: Tensor,
        edge: Tensor | None,
        slope: float,
        p: float,
        seed: int,
    ) -> Tensor:
        x, source, target = x.contiguous(), source.contiguous(), target.contiguous()
        edge = _contiguous(edge)
        heads, dtype = x.shape[1], x.dtype
        scale = _scale(p)
        alpha = x.new_empty((matrix.n_entries, heads))
        if alpha.numel():
            arrays = tuple(_array(tensor, dtype) for tensor in (source, target, edge, alpha))
            _run(
                _WEIGH[dtype],
                (*matrix._pattern.arrays, *arrays, heads, slope, _threshold(p), seed),
                matrix.shape[0],
                2 * alpha.numel(),
            )
        out = _multiply(matrix._pattern, None, alpha, x, scale=scale)
        ctx.matrix, ctx.slope, ctx.scale = matrix, slope, scale
        ctx.save_for_backward(x, source, target, edge, alpha, out)
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, source, target, edge, alpha, out = ctx.saved_tensors
        matrix, grad = ctx.matrix, grad.contiguous()
        (n_target, heads, width), dtype = grad.shape, x.dtype
        grads = [torch.zeros_like(t) for t in (x, source, alpha, target)]
        if alpha.numel() and width:
            dots = torch.empty_like(target)
            arrays = tuple(_array(tensor, dtype) for tensor in (grad, out, dots))
            n = n_target * heads
            _run(_DOTS[dtype], (*arrays, width), n, n * (1 + width // 32))
            pattern, order = matrix._pattern.transpose()
            read = tuple(_array(tensor, dtype) for tensor in (x, source, target, edge, alpha))
            written = tuple(_array(tensor, dtype) for tensor in grads[:3])
            _run(
                _WEIGH_BACKWARD[dtype],
                (
                    *pattern.arrays,
                    order.numpy(),
                    *read,
                    ctx.scale,
                    _array(grad, dtype),
                    _array(dots, dtype),
                    *written,
                    heads,
                    width,
                    ctx.slope,
                ),
                matrix.shape[1],
                alpha.numel() * (2 + width // 16),
            )
            _run(
                _SUM_ENTRIES[dtype],
                (matrix._pattern.arrays[0], written[2], _array(grads[3], dtype), heads),
                n_target,
                alpha.numel(),
            )
        grad_x, grad_source, grad_scores, grad_target = grads
        grad_edge = grad_scores if ctx.needs_input_grad[4] else None
        return None, grad_x, grad_source, grad_target, grad_edge, None, None, None


def attention(
    matrix: SparseMatrix,
    x: Tensor,
    source: Tensor,
    target: Tensor,
    edge: Tensor | None,
    slope: float,
    p: float,
) -> Tensor:
    """Weighted sums of GAT in one piece."""
    result: Tensor = _Attention.apply(
        matrix, x, source, target, edge, slope, p, draw_seed() if p else 0
    )
    return result


class _Dropout(torch.autograd.Function):  # type: ignore[misc]
    """The mask is a function of the seed; the backward draws it again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, seed: int) -> Tensor:
        ctx.p, ctx.seed = p, seed
        return drop(x, p, seed)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        if torch.is_grad_enabled():
            return _Dropout.apply(grad, ctx.p, ctx.seed), None, None
        return drop(grad, ctx.p, ctx.seed), None, None


def dropout(x: Tensor, p: float) -> Tensor:
    """Entries set to 0 with probability p, the others divided by 1 - p."""
    seed = draw_seed()
    if not _takes_gradient(x):
        return drop(x, p, seed)
    result: Tensor = _Dropout.apply(x, p, seed)
    return result


def drop(x: Tensor, p: float, seed: int) -> Tensor:
    """Dropout by the mask of a seed; p is exact to 2^-32."""
    array = x.detach().contiguous().numpy()
    out = np.empty(array.shape, array.dtype)
    if out.size:
        given = (array.reshape(-1), out.reshape(-1), _threshold(p), _scale(p), seed)
        _run(_DROP[x.dtype], given, out.size, out.size // 8)
    return torch.from_numpy(out)


def draw_seed() -> int:
    """One number from torch's generator of the CPU."""
    return int(torch.empty((), dtype=torch.int64).random_())


def _threshold(p: float) -> int:
    """Signed 32-bit numbers below it are dropped."""
    return round(p * 2**32) + _KEEP_ALL


def _scale(p: float) -> float:
    return 1.0 / (1.0 - p) if p < 1.0 else 0.0
