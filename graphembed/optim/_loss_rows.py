"""Which rows of a model's output the loss is the mean of, and with what weight."""

from typing import Any

import torch
from torch import Tensor

from graphembed.nn._checks import check_index
from graphembed.nn._sites import selection
from graphembed.nn.sparse import SparseMatrix


class LossRows:
    """The rows as a matrix, which is the same object as long as they are.

    Parameters
    ----------
    unlabeled_weight : float
        Weight of all other rows.
    """

    def __init__(self, unlabeled_weight: float) -> None:
        self.unlabeled_weight = unlabeled_weight
        self._made: tuple[Any, tuple[SparseMatrix, Tensor]] | None = None

    def matrix(self, rows: Tensor | None, output: Tensor) -> tuple[SparseMatrix, Tensor]:
        """Select rows of the output, times the roots of their weights.

        Parameters
        ----------
        rows : Tensor of bool, shape (n_outputs,), or of integers, optional
            The rows; None means all. One that is there twice counts twice.
        output : Tensor of shape (n_outputs, k)
            The output.

        Returns
        -------
        SparseMatrix of shape (n, n_outputs), and Tensor of shape (n,)
            The matrix, and the weights; of single precision at least.
        """
        dtype = torch.float64 if output.dtype == torch.float64 else torch.float32
        version = rows._version if isinstance(rows, Tensor) else None
        key = (len(output), dtype, output.device, version, self.unlabeled_weight)
        if self._made is not None:
            (known, old_key), result = self._made
            if known is rows and old_key == key:
                return result
        result = self._make(rows, output, dtype)
        self._made = ((rows, key), result)
        return result

    def _make(
        self, rows: Tensor | None, output: Tensor, dtype: torch.dtype
    ) -> tuple[SparseMatrix, Tensor]:
        n, device = len(output), output.device
        index = torch.arange(n, device=device)
        weights = torch.ones(n, dtype=dtype, device=device)
        if rows is not None:
            if not isinstance(rows, Tensor):
                raise TypeError(
                    f"KFAC: rows must be a Tensor, got {type(rows).__name__}: torch.tensor(rows)"
                )
            if rows.dtype == torch.bool and len(rows) != n:
                raise ValueError(
                    f"KFAC: rows must have {n} entries, one per output, got {len(rows)}"
                )
            rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
            rows = rows.to(device)
            check_index(rows, n, "rows")
            if not len(rows):
                raise ValueError("KFAC: rows must name at least one row of the output, got none")
            if self.unlabeled_weight > 0:
                counts = torch.zeros_like(weights).index_add(
                    0, rows, torch.ones_like(weights[rows])
                )
                weights = torch.where(counts > 0, counts, self.unlabeled_weight)
            else:
                index, weights = rows, weights[: len(rows)]
        return selection(index, weights.sqrt(), n), weights
