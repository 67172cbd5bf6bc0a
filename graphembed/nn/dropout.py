"""`Dropout` for dense and sparse features."""

from typing import TypeVar

import torch
from torch import Tensor

from graphembed.nn import _ops
from graphembed.nn.sparse import SparseMatrix

M = TypeVar("M", Tensor, SparseMatrix)


class Dropout(torch.nn.Module):  # type: ignore[misc]
    """Set entries to 0 with probability p, divide the others by 1 - p; in training only.

    As `torch.nn.Dropout`, but a `SparseMatrix` stays sparse: only its stored values are drawn for,
    since the others are 0 already. The mask is a function of one number drawn from torch's
    generator, so that `torch.manual_seed` reproduces it, for any number of threads.

    Parameters
    ----------
    p : float, default=0.5
        Probability of a 0, in [0, 1].
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"p must be in [0, 1], got {p!r}")
        self.p = p

    def forward(self, x: M) -> M:
        """Drop entries of `x`.

        Parameters
        ----------
        x : Tensor or SparseMatrix
            Features.

        Returns
        -------
        Tensor or SparseMatrix
            Of the same type; `x` itself outside of training.
        """
        return _ops.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        """What is shown between the brackets.

        Returns
        -------
        str
            The probability.
        """
        return f"p={self.p}"
