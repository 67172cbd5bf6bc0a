"""Damped inverses of Kronecker factors, and what they do to a gradient."""

from typing import Any

import torch
from torch import Tensor

from graphembed.optim._factors import BlockFactor, RowFactor

_RETRIES = 3


class BlockInverse:
    """Inverses of the blocks of ``A + damping I``.

    Parameters
    ----------
    value : Tensor of shape (n_blocks, block_size, block_size)
        The inverses.
    """

    def __init__(self, value: Tensor) -> None:
        self.value = value

    @classmethod
    def of(cls, factor: BlockFactor, damping: Tensor, old: "BlockInverse | None") -> "BlockInverse":
        """Invert by Cholesky.

        On the CPU a factorisation that fails is repeated in float64 with more and more damping, and
        at last done by eigenvalues. Elsewhere the blocks that fail keep their old inverse (at first
        the damping's), since to look at them would wait for the device.
        """
        value: Any = factor.value
        eye = torch.eye(factor.block_size, dtype=value.dtype, device=value.device)
        root, info = torch.linalg.cholesky_ex(value + damping * eye)
        if value.device.type != "cpu":
            before = eye / damping if old is None else old.value
            inverse = torch.cholesky_inverse(torch.where(_each(info == 0), root, eye))
            return cls(torch.where(_each(info == 0), inverse, before))
        for retry in range(1, _RETRIES + 1):
            if not bool(info.any()):
                return cls(torch.cholesky_inverse(root).to(value.dtype))
            raised = value.double() + damping.double() * 10**retry * eye.double()
            root, info = torch.linalg.cholesky_ex(raised)
        values, vectors = torch.linalg.eigh(value.double())
        scaled = vectors / (values.clamp(min=0) + damping).unsqueeze(-2)
        return cls((scaled @ vectors.transpose(-1, -2)).to(value.dtype))

    def apply(self, rows: Tensor) -> Tensor:
        """Multiply rows by the inverse."""
        if len(self.value) == 1:
            return rows @ self.value[0]
        n_whole, last = divmod(rows.shape[1], self.value.shape[1])
        cut = rows.shape[1] - last
        out = torch.empty_like(rows)
        shape = (n_whole, self.value.shape[1])
        parts = rows[:, :cut].unflatten(1, shape).transpose(0, 1) @ self.value[:n_whole]
        out[:, :cut].unflatten(1, shape).copy_(parts.transpose(0, 1))
        if last:
            torch.mm(rows[:, cut:], self.value[-1, :last, :last], out=out[:, cut:])
        return out

    def apply_left(self, columns: Tensor) -> Tensor:
        """Multiply columns by the inverse, which is symmetric."""
        if len(self.value) == 1:
            return self.value[0] @ columns
        return self.apply(columns.t()).t()

    def tensors(self) -> dict[str, Tensor]:
        """What it consists of, for checkpoints."""
        return {"value": self.value}


class DualInverse:
    """``(U^T U + damping I)^-1`` by the eigenvectors of the small matrix ``U U^T``.

    With ``U U^T = Q S Q^T`` and ``V = Q^T U`` it is ``(I - V^T (S + damping)^-1 V) / damping``.
    O(m^2 dim) time once, O(m dim) for each row, O(m dim) memory.

    Parameters
    ----------
    vectors : Tensor of shape (m, dim)
        V.
    values : Tensor of shape (m,)
        S.
    damping : Tensor
        A positive number.
    """

    def __init__(self, vectors: Tensor, values: Tensor, damping: Tensor) -> None:
        self.vectors = vectors
        self.values = values
        self.damping = damping
        self._shrinkage = 1 / (values + damping)

    @classmethod
    def of(cls, factor: RowFactor, damping: Tensor) -> "DualInverse":
        """Invert by the factor's eigenvectors, which other damping does not change."""
        return cls(*factor.eigen(), damping)

    def apply(self, rows: Tensor) -> Tensor:
        """Multiply rows by the inverse."""
        inner = (rows @ self.vectors.t()).mul_(self._shrinkage)
        return torch.addmm(rows, inner, self.vectors, alpha=-1).div_(self.damping)

    def tensors(self) -> dict[str, Tensor]:
        """What it consists of, for checkpoints."""
        return {"vectors": self.vectors, "values": self.values, "damping": self.damping}


class EigenInverse:
    """``(A (x) G + damping I)^-1`` in the eigenvectors of both factors: damping that is not split.

    Parameters
    ----------
    qa, qg : Tensor
        Eigenvectors of A and of G, in columns.
    inverse : Tensor of shape (out, in)
        Inverses of the damped products of eigenvalues.
    """

    def __init__(self, qa: Tensor, qg: Tensor, inverse: Tensor) -> None:
        self.qa = qa
        self.qg = qg
        self.inverse = inverse

    @classmethod
    def of(cls, a: BlockFactor, g: BlockFactor, damping: Tensor) -> "EigenInverse":
        """Decompose both factors in float64."""
        value: Any = a.value
        other: Any = g.value
        la, qa = torch.linalg.eigh(value[0].double())
        lg, qg = torch.linalg.eigh(other[0].double())
        products = torch.outer(lg.clamp(min=0), la.clamp(min=0))
        tensors = {"qa": qa, "qg": qg, "inverse": 1 / (products + damping)}
        return cls(**{key: tensor.to(value.dtype) for key, tensor in tensors.items()})

    def apply(self, gradient: Tensor) -> Tensor:
        """Multiply a gradient of shape (out, in), from both sides."""
        inner = self.qg.t() @ gradient @ self.qa
        return self.qg @ (inner * self.inverse) @ self.qa.t()

    def tensors(self) -> dict[str, Tensor]:
        """What it consists of, for checkpoints."""
        return {"qa": self.qa, "qg": self.qg, "inverse": self.inverse}


def split_damping(damping: Tensor, a_mean: Tensor, g_mean: Tensor) -> tuple[Tensor, Tensor]:
    """Damping of both factors by their mean eigenvalues (Martens & Grosse 2015, section 6.3).

    ``pi sqrt(lambda)`` and ``sqrt(lambda) / pi`` with ``pi^2 = a_mean / g_mean``; pi is 1 where one
    of the factors is zero.

    Parameters
    ----------
    damping : Tensor
        lambda.
    a_mean, g_mean : Tensor
        Trace over width of A and G.

    Returns
    -------
    tuple of Tensor
        For A and for G.
    """
    ratio = a_mean / g_mean
    usable = ratio.isfinite() & (ratio > 0)
    pi = torch.where(usable, ratio, torch.ones_like(ratio)).sqrt()
    root = damping.sqrt()
    return pi * root, root / pi


def _each(flags: Tensor) -> Tensor:
    return flags[:, None, None]
