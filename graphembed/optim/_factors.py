"""Running averages of Kronecker factors: dense in blocks, or by the rows they are made of."""

from typing import Any

import torch
from torch import Tensor


class BlockFactor:
    """The diagonal blocks of a symmetric matrix; one block is the whole matrix.

    Parameters
    ----------
    dim : int
        Width of the matrix.
    block_size : int
        Width of a block; the last one is filled up with zeros. O(dim * block_size) memory.
    """

    def __init__(self, dim: int, block_size: int) -> None:
        self.dim = dim
        self.block_size = min(block_size, dim)
        self.n_blocks = -(-dim // self.block_size)
        self.value: Tensor | None = None
        self.is_constant = False  # whether the average is that of one update

    def update(self, new: Tensor, decay: float) -> None:
        """Move the average to ``decay * old + (1 - decay) * new``.

        Parameters
        ----------
        new : Tensor of shape (n_blocks, block_size, block_size)
            As `of_rows` or `of_matrix` gives it.
        decay : float
            In [0, 1); the first update takes `new` as it is.
        """
        self.is_constant = self.value is None
        self.value = new if self.value is None else torch.lerp(new, self.value, decay)

    def of_rows(self, rows: Tensor) -> Tensor:
        """Blocks of ``rows^T rows``."""
        if self.n_blocks == 1:
            return (rows.t() @ rows).unsqueeze(0)
        parts = split_columns(rows, self.n_blocks, self.block_size)
        return parts.transpose(1, 2) @ parts

    def of_matrix(self, matrix: Tensor) -> Tensor:
        """Blocks of a matrix."""
        if self.n_blocks == 1:
            return matrix.unsqueeze(0)
        width = self.n_blocks * self.block_size
        padded = matrix.new_zeros(width, width)
        padded[: self.dim, : self.dim] = matrix
        shape = (self.n_blocks, self.block_size) * 2
        return padded.view(shape).diagonal(dim1=0, dim2=2).permute(2, 0, 1).contiguous()

    def multiply(self, rows: Tensor) -> Tensor:
        """Rows times the blocks."""
        value: Any = self.value
        if self.n_blocks == 1:
            product: Tensor = rows @ value[0]
            return product
        parts = split_columns(rows, self.n_blocks, self.block_size) @ value
        return parts.transpose(0, 1).reshape(len(rows), -1)[:, : self.dim]

    def state(self) -> dict[str, Any]:
        """All that a checkpoint needs."""
        return {"value": self.value}

    def load(self, state: dict[str, Any]) -> None:
        """Take what `state` has returned."""
        self.value = state["value"]

    def trace(self) -> Tensor:
        """The trace."""
        value: Any = self.value
        return self.trace_of(value)

    def trace_of(self, new: Tensor) -> Tensor:
        """The trace of what `update` is given."""
        return new.diagonal(dim1=1, dim2=2).sum()


class RowFactor:
    """The matrix ``U^T U`` by its rows, where these are fewer than columns.

    A running average has the rows of all updates below one another. Where these are more than
    `max_rows`, they are turned into as many eigenvectors, those of the largest eigenvalues, which
    is the nearest matrix of that rank. O(max_rows * dim) memory.

    Parameters
    ----------
    dim : int
        Width of the matrix.
    max_rows : int
        Rows that are kept at most, but for the first update, which is kept whole.
    """

    def __init__(self, dim: int, max_rows: int) -> None:
        self.dim = dim
        self.max_rows = max_rows
        self.rows: Tensor | None = None
        self.is_constant = True  # whether the average is that of one update
        self._is_orthogonal = False
        self._eigen: tuple[Tensor, Tensor] | None = None
        self._trace: Tensor | None = None

    def update(self, new: Tensor, decay: float) -> None:
        """Move the average to ``decay * old + (1 - decay) * new``.

        Parameters
        ----------
        new : Tensor of shape (m, dim)
            Rows.
        decay : float
            In [0, 1).
        """
        if self.rows is not None and self.is_constant and _equal(new, self.rows):
            return
        self.is_constant = self.rows is None or decay == 0
        if self.rows is None or decay == 0:
            self._set(new, is_orthogonal=False)
            return
        both = torch.cat([new * (1 - decay) ** 0.5, self.rows * decay**0.5])
        self._set(both, is_orthogonal=False)
        if len(both) > self.max_rows:
            vectors, _ = self.eigen()
            self._set(vectors[-self.max_rows :].clone(), is_orthogonal=True)

    def _set(self, rows: Tensor, is_orthogonal: bool) -> None:
        self.rows, self._is_orthogonal = rows, is_orthogonal
        self._eigen = self._trace = None

    def matrix(self) -> Tensor:
        """U, of shape (m, dim)."""
        rows: Any = self.rows
        return rows

    def eigen(self) -> tuple[Tensor, Tensor]:
        """Orthogonal rows V with ``V^T V = U^T U``, and their squares in ascending order.

        They are ``Q^T U`` and S of ``U U^T = Q S Q^T``, decomposed in float64, since the small ones
        count; once for every update.
        """
        if self._eigen is None:
            u = self.matrix()
            if self._is_orthogonal:
                self._eigen = u, u.double().square().sum(dim=1).to(u.dtype)
            else:
                values, q = torch.linalg.eigh((u @ u.t()).double())
                self._eigen = q.t().to(u.dtype) @ u, values.clamp(min=0).to(u.dtype)
        return self._eigen

    def multiply(self, rows: Tensor) -> Tensor:
        """Rows times the matrix."""
        u = self.matrix()
        return (rows @ u.t()) @ u

    def state(self) -> dict[str, Any]:
        """All that a checkpoint needs."""
        return {
            "rows": self.rows,
            "max_rows": self.max_rows,
            "is_constant": self.is_constant,
            "is_orthogonal": self._is_orthogonal,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take what `state` has returned."""
        self._set(state["rows"], state["is_orthogonal"])
        self.max_rows, self.is_constant = state["max_rows"], state["is_constant"]

    def trace(self) -> Tensor:
        """The trace of ``U^T U``."""
        if self._trace is None:
            self._trace = self.trace_of(self.matrix())
        return self._trace

    def trace_of(self, new: Tensor) -> Tensor:
        """The trace of what `update` is given."""
        return new.square().sum()


def split_columns(rows: Tensor, n_blocks: int, block_size: int) -> Tensor:
    """Cut columns into blocks of the same width, the last one filled up with zeros.

    Parameters
    ----------
    rows : Tensor of shape (m, dim)
        The rows.
    n_blocks, block_size : int
        ``n_blocks * block_size`` is at least `dim`.

    Returns
    -------
    Tensor of shape (n_blocks, m, block_size)
        The blocks.
    """
    missing = n_blocks * block_size - rows.shape[1]
    padded = torch.nn.functional.pad(rows, (0, missing))
    return padded.view(len(rows), n_blocks, block_size).transpose(0, 1)


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.equal(a, b))
