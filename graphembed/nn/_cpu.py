"""Our kernels as differentiable functions of torch tensors on the CPU.

A kernel sees the memory of a tensor as a numpy array, so nothing here is compiled against torch.
Gradients go through the transpose, whose rows are what a thread writes: no sum is shared, and the
bits do not depend on the threads.
"""

from collections.abc import Callable
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

_TYPES = {torch.float32: "float32_t", torch.float64: "float64_t"}
_NONE: dict[torch.dtype, NDArray[Any]] = {
    torch.float32: np.zeros(0, np.float32),
    torch.float64: np.zeros(0, np.float64),
    torch.int32: np.zeros(0, np.int32),
}
_KEEP_ALL = -(2**31)


def is_able(matrix: SparseMatrix, x: Tensor) -> bool:
    """Whether the kernels can work on these."""
    return x.is_cpu and x.dtype in _TYPES and matrix.n_entries <= MAX_ENTRIES


def _array(tensor: Tensor | None, dtype: torch.dtype) -> NDArray[Any]:
    """The memory of a contiguous tensor, flat; an empty array for None."""
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
    heads: int = 1,
    scale: float | None = None,
) -> Tensor:
    """Sums of value times row of x over the entries of each row.

    Entry k has the value at ``order[k]``; if `scale` is given, positive values count `scale`
    times and the others not at all.
    """
    shape, dtype, n_entries = (pattern.shape[0], *x.shape[1:]), x.dtype, len(pattern.indices)
    out = torch.empty(shape, dtype=dtype)
    if not n_entries or not out.numel():
        return out.zero_()
    width = out.numel() // shape[0] // heads
    _run(
        _sparse.multiply[_TYPES[dtype]],
        (
            *pattern.arrays,
            _array(order, torch.int32),
            _array(values, dtype),
            scale is not None,
            1.0 if scale is None else scale,
            _array(x, dtype),
            _array(out, dtype),
            heads,
            width,
        ),
        shape[0],
        n_entries * (1 + heads * width // 32),
    )
    return out


def _sample(pattern: Pattern, left: Tensor, right: Tensor, heads: int = 1) -> Tensor:
    """Dot products of rows of both for every entry, (n_entries, heads), flat for one head."""
    n_entries, width = len(pattern.indices), left.shape[-1]
    out = left.new_empty((n_entries, heads) if left.dim() == 3 else (n_entries,))
    if not out.numel() or not width:
        return out.zero_()
    arrays = tuple(_array(tensor, left.dtype) for tensor in (left, right, out))
    _run(
        _sparse.sample[_TYPES[left.dtype]],
        (*pattern.arrays, *arrays, heads, width),
        pattern.shape[0],
        n_entries * heads * (1 + width // 32),
    )
    return out


class _Product(torch.autograd.Function):  # type: ignore[misc]
    """Products (n_rows, d), or (n_rows, heads, d) with values (n_entries, heads)."""

    @staticmethod
    def forward(ctx: Any, matrix: SparseMatrix, x: Tensor, values: Tensor | None) -> Tensor:
        ctx.matrix = matrix
        ctx.save_for_backward(x if ctx.needs_input_grad[2] else None, values)
        values = None if values is None else values.contiguous()
        return _multiply(matrix._pattern, None, values, x.contiguous(), _heads(x))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        x, values = ctx.saved_tensors
        matrix, grad_x, grad_values = ctx.matrix, None, None
        if torch.is_grad_enabled():  # a gradient of the gradient is wanted
            return None, *_torch.product_backward(ctx.needs_input_grad, matrix, grad, x, values)
        grad = grad.contiguous()
        if ctx.needs_input_grad[1]:
            pattern, order = matrix._pattern.transpose()
            if values is None:
                grad_x = _multiply(pattern, None, None, grad)
            else:
                grad_x = _multiply(pattern, order, values.contiguous(), grad, _heads(grad))
        if ctx.needs_input_grad[2]:
            grad_values = _sample(matrix._pattern, grad, x.contiguous(), _heads(grad))
        return None, grad_x, grad_values


def _heads(x: Tensor) -> int:
    return x.shape[1] if x.dim() == 3 else 1


def spmm(matrix: SparseMatrix, x: Tensor, values: Tensor | None) -> Tensor:
    """The product, of one head or several."""
    result: Tensor = _Product.apply(matrix, x, values)
    return result


class _SparseLinear(torch.autograd.Function):  # type: ignore[misc]
    """Sparse features times the transposed weight, plus the bias."""

    @staticmethod
    def forward(
        ctx: Any, matrix: SparseMatrix, values: Tensor | None, weight: Tensor, bias: Tensor | None
    ) -> Tensor:
        transposed = weight.detach().t().contiguous()
        values = None if values is None else values.detach().contiguous()
        ctx.matrix = matrix
        ctx.save_for_backward(values, transposed if ctx.needs_input_grad[1] else None)
        out = _multiply(matrix._pattern, None, values, transposed)
        return out if bias is None else out.add_(bias)

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
            grad_weight = _multiply(pattern, None if values is None else order, values, grad).t()
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
            _sparse.take_maxima[_TYPES[x.dtype]],
            (
                *matrix._pattern.arrays,
                _array(x, x.dtype),
                _array(out, x.dtype),
                _array(places, torch.int32),
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
            _sparse.return_maxima[_TYPES[grad.dtype]],
            (
                *pattern.arrays,
                _array(order, torch.int32),
                matrix._pattern.arrays[0],
                _array(places, torch.int32),
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
        out = _by_row(matrix, _sparse.softmax, scores.contiguous())
        ctx.matrix = matrix
        ctx.save_for_backward(out)
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        (alpha,) = ctx.saved_tensors
        return None, _by_row(ctx.matrix, _sparse.softmax_backward, alpha, grad.contiguous())


def _by_row(matrix: SparseMatrix, kernel: Any, *entries: Tensor) -> Tensor:
    """What a kernel makes of numbers of the entries, row by row: again one for each."""
    out = torch.empty_like(entries[0])
    if out.numel():
        _run(
            kernel[_TYPES[out.dtype]],
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
        edge = None if edge is None else edge.contiguous()
        heads, dtype = x.shape[1], x.dtype
        scale = _scale(p)
        alpha = x.new_empty((matrix.n_entries, heads))
        if alpha.numel():
            arrays = tuple(_array(tensor, dtype) for tensor in (source, target, edge, alpha))
            _run(
                _sparse.weigh[_TYPES[dtype]],
                (*matrix._pattern.arrays, *arrays, heads, slope, _threshold(p), seed),
                matrix.shape[0],
                2 * alpha.numel(),
            )
        out = _multiply(matrix._pattern, None, alpha, x, heads, scale)
        ctx.matrix, ctx.slope, ctx.scale = matrix, slope, scale
        ctx.save_for_backward(x, source, target, edge, alpha, out)
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, source, target, edge, alpha, out = ctx.saved_tensors
        matrix, grad = ctx.matrix, grad.contiguous()
        (n_target, heads, width), dtype, kind = grad.shape, x.dtype, _TYPES[x.dtype]
        grads = [torch.zeros_like(t) for t in (x, source, alpha, target)]
        if alpha.numel() and width:
            dots = torch.empty_like(target)
            arrays = tuple(_array(tensor, dtype) for tensor in (grad, out, dots))
            n = n_target * heads
            _run(_sparse.dots[kind], (*arrays, width), n, n * (1 + width // 32))
            pattern, order = matrix._pattern.transpose()
            read = tuple(_array(tensor, dtype) for tensor in (x, source, target, edge, alpha))
            written = tuple(_array(tensor, dtype) for tensor in grads[:3])
            _run(
                _sparse.weigh_backward[kind],
                (
                    *pattern.arrays,
                    _array(order, torch.int32),
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
                _sparse.sum_entries[kind],
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
    if not x.requires_grad:
        return drop(x, p, seed)
    result: Tensor = _Dropout.apply(x, p, seed)
    return result


def drop(x: Tensor, p: float, seed: int) -> Tensor:
    """Dropout by the mask of a seed; p is exact to 2^-32."""
    x = x.detach().contiguous()
    out = torch.empty_like(x)
    if x.numel():
        _run(
            _sparse.drop[_TYPES[x.dtype]],
            (_array(x, x.dtype), _array(out, x.dtype), _threshold(p), _scale(p), seed),
            x.numel(),
            x.numel() // 8,
        )
    return out


def draw_seed() -> int:
    """One number from torch's generator of the CPU."""
    return int(torch.empty((), dtype=torch.int64).random_())


def _threshold(p: float) -> int:
    """Signed 32-bit numbers below it are dropped."""
    return round(p * 2**32) + _KEEP_ALL


def _scale(p: float) -> float:
    return 1.0 / (1.0 - p) if p < 1.0 else 0.0
