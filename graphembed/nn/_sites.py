"""Linear sites: how the gradient of a weight is a sum over rows of input times output gradient.

A layer publishes them by two methods, which second-order optimizers call:

- ``site_outputs()`` names the modules at whose outputs gradients are taken;
- ``linear_sites(*args, **kwargs)``, with the arguments of ``forward``, returns a `LayerSites`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from graphembed.nn._cpu import TYPES
from graphembed.nn._ops import spmm
from graphembed.nn.sparse import SparseMatrix, _expect_beta_warning

MAX_PATHS = 16  # beyond that, what a row of an early layer does to a label is not followed
MAX_PRODUCTS = 2**22  # beside the entries of a matrix: 100 MB while two of them are multiplied


@dataclass(frozen=True)
class Hop:
    """A linear map from rows of sources to rows of targets: ``T_order(matrix)``.

    T are Chebyshev's polynomials, so that order 1 is the matrix itself and order 0 the identity.

    Attributes
    ----------
    n_source : int
        Rows that are read; without a matrix, the first of them are the targets.
    matrix : SparseMatrix of shape (n_target, n_source), optional
        The map.
    order : int
        Of the polynomial.
    """

    n_source: int
    matrix: SparseMatrix | None = None
    order: int = 1

    def after(self, p: SparseMatrix) -> SparseMatrix:
        """The product ``p T_order(matrix)``, computed from the left.

        Parameters
        ----------
        p : SparseMatrix of shape (m, n_target)
            A map from the targets.

        Returns
        -------
        SparseMatrix of shape (m, n_source)
            A map from the sources.
        """
        return cast(SparseMatrix, self._after(p, math.inf))

    def after_if_small(self, p: SparseMatrix) -> SparseMatrix | None:
        """The same, if it needs no more products than `MAX_PRODUCTS` and the matrix's entries.

        Parameters
        ----------
        p : SparseMatrix of shape (m, n_target)
            A map from the targets.

        Returns
        -------
        SparseMatrix of shape (m, n_source), or None
            A map from the sources.
        """
        n_entries = 0 if self.matrix is None else self.matrix.n_entries
        return self._after(p, MAX_PRODUCTS + n_entries)

    def _after(self, p: SparseMatrix, most: float) -> SparseMatrix | None:
        before = _widened(p, self.n_source)
        if self.matrix is None or self.order == 0:
            return before
        if n_products(p, self.matrix) > most:
            return None
        now = product(p, self.matrix)
        for _ in range(self.order - 1):  # T_k = 2 T_{k-1} T_1 - T_{k-2}
            if n_products(now, self.matrix) > most:
                return None
            before, now = now, _sum(product(now, self.matrix), 2.0, before, -1.0)
        return now

    def of_rows(self, x: Tensor) -> Tensor:
        """The product ``T_order(matrix) x``, without a gradient.

        Parameters
        ----------
        x : Tensor of shape (n_source, d)
            Dense rows of the sources.

        Returns
        -------
        Tensor of shape (n_target, d)
            Rows of the targets.
        """
        x = x.detach()
        if self.matrix is None or self.order == 0:
            return x
        with torch.no_grad():
            before, now = x, spmm(self.matrix, x)
            for _ in range(self.order - 1):
                before, now = now, 2.0 * spmm(self.matrix, now) - before
        return now

    def weights_after(self, weights: Tensor) -> Tensor:
        """How much sources count, where targets count `weights`: by squares along every way.

        That is ``sum_i P_ir^2`` without the mixed terms of different ways from r to i. By the
        recurrence of the polynomials ``w_k = 4 (M o M)^T w_{k-1} + w_{k-2}``.

        Parameters
        ----------
        weights : Tensor of shape (n_target,)
            Of the targets.

        Returns
        -------
        Tensor of shape (n_source,)
            Of the sources.
        """
        if self.matrix is None or self.order == 0:
            return torch.nn.functional.pad(weights, (0, self.n_source - len(weights)))
        before, now = weights, self._squares_after(weights)
        for _ in range(self.order - 1):
            before, now = now, 4 * self._squares_after(now) + before
        return now

    def _squares_after(self, weights: Tensor) -> Tensor:
        matrix = cast(SparseMatrix, self.matrix)
        parts = weights[matrix.rows]
        if matrix.values is not None:
            parts = parts * matrix.values.detach().to(parts.dtype).square()
        return weights.new_zeros(self.n_source).index_add(0, matrix.indices, parts)


@dataclass(frozen=True)
class LinearSite:
    """One affine map ``z_r = sum_k W_k a_kr + b`` of rows; ``a_k`` are hops of the layer's inputs.

    Attributes
    ----------
    output : torch.nn.Module
        The module that returns z, plain.
    weights : tuple of Parameter
        W_k of shape (out_channels, in_channels of x_k).
    bias : Parameter, optional
        b.
    parts : tuple of (Hop, rows)
        ``a_k = hop x_k``, one for each weight.
    to_output : Hop, optional
        From the rows of z to the rows that the layer returns, if they are not the same: every
        returned row is treated as the hop of rows of z.
    nth : int
        Which call of `output` within a call of the layer z comes from.
    """

    output: nn.Module
    weights: tuple[Tensor, ...]
    bias: Tensor | None
    parts: tuple[tuple[Hop, Any], ...]
    to_output: Hop | None = None
    nth: int = 0


@dataclass(frozen=True)
class LayerSites:
    """What a layer publishes.

    Attributes
    ----------
    sites : tuple of LinearSite
        One for each block of parameters.
    hops : tuple of Hop
        The ways from the rows that the layer reads to those it returns.
    """

    sites: tuple[LinearSite, ...]
    hops: tuple[Hop, ...]


def selection(rows: Tensor, weights: Tensor, n_columns: int) -> SparseMatrix:
    """Row i holds ``weights[i]`` in column ``rows[i]``.

    Parameters
    ----------
    rows : Tensor of integers, shape (m,)
        Columns.
    weights : Tensor of shape (m,)
        Values.
    n_columns : int
        Width.

    Returns
    -------
    SparseMatrix of shape (m, n_columns)
        The matrix.
    """
    indptr = torch.arange(len(rows) + 1, device=rows.device)
    return SparseMatrix._trusted(indptr, rows.to(torch.int32), weights, (len(rows), n_columns))


def n_products(a: SparseMatrix, b: SparseMatrix) -> int:
    """How many products of entries make up the product of two matrices; it has no more entries.

    Parameters
    ----------
    a : SparseMatrix of shape (m, k)
        The left factor.
    b : SparseMatrix of shape (k, n)
        The right one.

    Returns
    -------
    int
        The number.
    """
    return int(b.indptr.diff().index_select(0, a.indices).sum())


def product(a: SparseMatrix, b: SparseMatrix) -> SparseMatrix:
    """The product of two sparse matrices, sparse.

    Parameters
    ----------
    a : SparseMatrix of shape (m, k)
        The left factor; with values.
    b : SparseMatrix of shape (k, n)
        The right one.

    Returns
    -------
    SparseMatrix of shape (m, n)
        Of the dtype of `a`.
    """
    if a.dtype in TYPES and a.device.type == "cpu":
        found = _scipy(a) @ _scipy(b, a.dtype)
        indptr = torch.from_numpy(found.indptr.astype(np.int64))
        indices = torch.from_numpy(found.indices.astype(np.int32))
        return SparseMatrix._trusted(indptr, indices, torch.from_numpy(found.data), found.shape)
    _expect_beta_warning()
    return SparseMatrix.from_torch(torch.sparse.mm(_coo(a), _coo(b, a.dtype)))


def stack(matrices: Sequence[SparseMatrix]) -> SparseMatrix:
    """Put matrices of the same width on top of one another.

    Parameters
    ----------
    matrices : sequence of SparseMatrix
        All with values, at least one.

    Returns
    -------
    SparseMatrix
        Of as many rows as all together.
    """
    if len(matrices) == 1:
        return matrices[0]
    starts = [matrices[0].indptr[:1]]
    n_entries = 0
    for matrix in matrices:
        starts.append(matrix.indptr[1:] + n_entries)
        n_entries += matrix.n_entries
    values: Any = [matrix.values for matrix in matrices]
    return SparseMatrix._trusted(
        torch.cat(starts),
        torch.cat([matrix.indices for matrix in matrices]),
        torch.cat(values),
        (sum(matrix.shape[0] for matrix in matrices), matrices[0].shape[1]),
    )


def dense_product(p: SparseMatrix, x: Any) -> Tensor:
    """The dense product of a sparse matrix and rows, without a gradient.

    Parameters
    ----------
    p : SparseMatrix of shape (m, n)
        The left factor; with values.
    x : Tensor or SparseMatrix of shape (n, d)
        Rows.

    Returns
    -------
    Tensor of shape (m, d)
        Of the dtype of `p`.
    """
    if isinstance(x, SparseMatrix):
        if p.dtype in TYPES and p.device.type == "cpu":
            return torch.from_numpy((_scipy(p) @ _scipy(x, p.dtype)).toarray())
        _expect_beta_warning()
        return torch.sparse.mm(_coo(p), _coo(x, p.dtype)).to_dense()
    return spmm(p, x.detach().to(p.dtype))


def _scipy(matrix: SparseMatrix, dtype: torch.dtype | None = None) -> Any:
    """The same for scipy, whose products are several times faster than torch's."""
    values = matrix.values
    if values is None:
        values = torch.ones(matrix.n_entries, dtype=dtype)
    values = values.detach() if dtype is None else values.detach().to(dtype)
    parts = values.numpy(), matrix.indices.numpy(), matrix.indptr.numpy()
    return csr_array(parts, shape=matrix.shape)


def _coo(matrix: SparseMatrix, dtype: torch.dtype | None = None) -> Tensor:
    values = matrix.values
    if values is None:
        values = torch.ones(matrix.n_entries, dtype=dtype, device=matrix.device)
    values = values.detach() if dtype is None else values.detach().to(dtype)
    places = torch.stack([matrix.rows, matrix.indices.to(torch.int64)])
    return torch.sparse_coo_tensor(places, values, matrix.shape, check_invariants=False).coalesce()


def _sum(a: SparseMatrix, alpha: float, b: SparseMatrix, beta: float) -> SparseMatrix:
    return SparseMatrix.from_torch((alpha * _coo(a) + beta * _coo(b)).coalesce())


def _widened(p: SparseMatrix, n_columns: int) -> SparseMatrix:
    """The same entries among more columns."""
    if p.shape[1] == n_columns:
        return p
    return SparseMatrix._trusted(p.indptr, p.indices, p.values, (p.shape[0], n_columns))
