"""Our kernel of dropout: the mask is a function of a seed and the number of the element."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphembed._kernels import _sparse
from graphembed.nn._cpu import of_both_types, run, takes_gradient

_DROP = of_both_types(_sparse.drop)
# Signed 32-bit numbers begin here.
KEEP_ALL = -(2**31)


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
    if not takes_gradient(x):
        return drop(x, p, seed)
    result: Tensor = _Dropout.apply(x, p, seed)
    return result


def drop(x: Tensor, p: float, seed: int) -> Tensor:
    """Dropout by the mask of a seed; p is exact to 2^-32."""
    array = x.detach().contiguous().numpy()
    out = np.empty(array.shape, array.dtype)
    if out.size:
        given = (array.reshape(-1), out.reshape(-1), threshold_of(p), scale_of(p), seed)
        run(_DROP[x.dtype], given, out.size, out.size // 8)
    return torch.from_numpy(out)


def draw_seed() -> int:
    """One number from torch's generator of the CPU."""
    return int(torch.empty((), dtype=torch.int64).random_())


def threshold_of(p: float) -> int:
    """Signed 32-bit numbers below it are dropped."""
    return round(p * 2**32) + KEEP_ALL


def scale_of(p: float) -> float:
    return 1.0 / (1.0 - p) if p < 1.0 else 0.0
