"""Our kernels of the softmax over edges and of GAT's attention, as functions of torch tensors."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphembed._kernels import _sparse
from graphembed.nn._cpu import Kernels, array_of, contiguous, multiply, of_both_types, run
from graphembed.nn._cpu_dropout import draw_seed, scale_of, threshold_of
from graphembed.nn.sparse import SparseMatrix

_SOFTMAX = of_both_types(_sparse.softmax)
_SOFTMAX_BACKWARD = of_both_types(_sparse.softmax_backward)
_WEIGH = of_both_types(_sparse.weigh)
_WEIGH_BACKWARD = of_both_types(_sparse.weigh_backward)
_DOTS = of_both_types(_sparse.dots)
_SUM_ENTRIES = of_both_types(_sparse.sum_entries)


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
        run(
            kernels[out.dtype],
            (
                matrix._pattern.arrays[0],
                *(array_of(tensor, out.dtype) for tensor in entries),
                array_of(out, out.dtype),
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
        edge = contiguous(edge)
        heads, dtype = x.shape[1], x.dtype
        scale = scale_of(p)
        alpha = x.new_empty((matrix.n_entries, heads))
        if alpha.numel():
            arrays = tuple(array_of(tensor, dtype) for tensor in (source, target, edge, alpha))
            run(
                _WEIGH[dtype],
                (*matrix._pattern.arrays, *arrays, heads, slope, threshold_of(p), seed),
                matrix.shape[0],
                2 * alpha.numel(),
            )
        out = multiply(matrix._pattern, None, alpha, x, scale=scale)
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
            arrays = tuple(array_of(tensor, dtype) for tensor in (grad, out, dots))
            n = n_target * heads
            run(_DOTS[dtype], (*arrays, width), n, n * (1 + width // 32))
            pattern, order = matrix._pattern.transpose()
            read = tuple(array_of(tensor, dtype) for tensor in (x, source, target, edge, alpha))
            written = tuple(array_of(tensor, dtype) for tensor in grads[:3])
            run(
                _WEIGH_BACKWARD[dtype],
                (
                    *pattern.arrays,
                    order.numpy(),
                    *read,
                    ctx.scale,
                    array_of(grad, dtype),
                    array_of(dots, dtype),
                    *written,
                    heads,
                    width,
                    ctx.slope,
                ),
                matrix.shape[1],
                alpha.numel() * (2 + width // 16),
            )
            run(
                _SUM_ENTRIES[dtype],
                (matrix._pattern.arrays[0], written[2], array_of(grads[3], dtype), heads),
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
