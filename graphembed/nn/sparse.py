"""`SparseMatrix`: an immutable CSR matrix on one device, with its transpose remembered."""

import warnings
from functools import cache
from typing import Any, Self

import torch
from torch import Tensor

from graphembed.nn._checks import check_csr, check_index, check_values
from graphembed.nn._memory import outlive_inference, remember
from graphembed.nn._pattern import Pattern, starts


class SparseMatrix:
    """A sparse matrix in compressed rows; nothing of it can be changed.

    Entries of a row need not be sorted by column; several entries in one place are summed by every
    product, as in scipy.

    Parameters
    ----------
    indptr : Tensor of int64, shape (n_rows + 1,)
        Entries of row i are ``indptr[i] : indptr[i + 1]``.
    indices : Tensor of int32 or int64, shape (n_entries,)
        Columns.
    values : Tensor of a floating dtype, shape (n_entries,), or None
        None means that every entry is 1. They are copied, or kept if they take a gradient.
    shape : tuple of int
        Rows and columns, each below 2**31.

    Attributes
    ----------
    indptr, indices, values, shape
        As above; `indices` are int32.
    transposed : tuple of SparseMatrix and Tensor
        The transpose without values, and the place in this matrix of each of its entries.
    """

    __slots__ = ("__weakref__", "_kept", "_pattern", "values")

    values: Tensor | None
    _pattern: Pattern
    _kept: "dict[Any, SparseMatrix]"

    def __init__(
        self, indptr: Tensor, indices: Tensor, values: Tensor | None, shape: tuple[int, int]
    ) -> None:
        check_csr(indptr, indices, shape)
        pattern = Pattern(
            indptr.to(torch.int64, copy=True).contiguous(),
            indices.to(torch.int32, copy=True).contiguous(),
            (int(shape[0]), int(shape[1])),
        )
        self._set(pattern, _ours(values))

    def _set(self, pattern: Pattern, values: Tensor | None) -> None:
        if values is not None:
            check_values(values, pattern.indices)
            values = values.contiguous()
        object.__setattr__(self, "_pattern", pattern)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "_kept", {})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a SparseMatrix is immutable: cannot set {name!r}")

    @classmethod
    def _of(cls, pattern: Pattern, values: Tensor | None) -> Self:
        """A matrix of a pattern that was checked already."""
        matrix = cls.__new__(cls)
        matrix._set(pattern, values)
        return matrix

    @classmethod
    def _trusted(
        cls, indptr: Tensor, indices: Tensor, values: Tensor | None, shape: tuple[int, int]
    ) -> Self:
        """A matrix of contiguous arrays whose indices were checked already; no copy."""
        return cls._of(Pattern(indptr, indices, shape), values)

    @classmethod
    def from_scipy(cls, m: Any, dtype: torch.dtype = torch.float32) -> Self:
        """Make a matrix of a scipy sparse matrix or array; the numbers are copied.

        Parameters
        ----------
        m : scipy sparse matrix or array
            Of any format.
        dtype : torch.dtype, default=torch.float32
            Of the values.

        Returns
        -------
        SparseMatrix
            On the CPU.
        """
        if not hasattr(m, "tocsr"):
            raise TypeError(f"m must be a scipy sparse matrix, got {type(m).__name__}")
        csr = m.tocsr()
        return cls(
            torch.tensor(csr.indptr, dtype=torch.int64),
            torch.tensor(csr.indices, dtype=torch.int32),
            torch.tensor(csr.data, dtype=dtype),
            csr.shape,
        )

    @classmethod
    def from_torch(cls, t: Tensor) -> Self:
        """Make a matrix of a torch tensor of the layout sparse CSR or COO.

        Parameters
        ----------
        t : Tensor
            Of two dimensions. Its values are copied, or keep their gradient.

        Returns
        -------
        SparseMatrix
            On the same device; of a COO tensor, several entries in one place become their sum.
        """
        if not isinstance(t, Tensor) or t.layout not in (torch.sparse_csr, torch.sparse_coo):
            what = t.layout if isinstance(t, Tensor) else type(t).__name__
            raise TypeError(f"a torch.sparse_csr or torch.sparse_coo tensor is needed, got {what}")
        if t.dim() != 2 or t.dense_dim():
            raise ValueError(f"a sparse tensor must be a matrix, got shape {tuple(t.shape)}")
        if t.layout == torch.sparse_csr:
            return cls(t.crow_indices().to(torch.int64), t.col_indices(), t.values(), t.shape)
        t = t.coalesce()
        rows, columns = t.indices()
        return cls(starts(rows, t.shape[0]), columns, t.values(), t.shape)

    @property
    def indptr(self) -> Tensor:
        """Where the entries of each row begin and end."""
        return self._pattern.indptr

    @property
    def indices(self) -> Tensor:
        """Column of every entry."""
        return self._pattern.indices

    @property
    def rows(self) -> Tensor:
        """Row of every entry, int64; made at the first use."""
        return self._pattern.rows

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self._pattern.shape

    @property
    def n_entries(self) -> int:
        """Number of stored entries."""
        return self._pattern.n_entries

    @property
    def device(self) -> torch.device:
        """Where the matrix lies."""
        return self._pattern.indptr.device

    @property
    def dtype(self) -> torch.dtype | None:
        """Of the values; None if there are none."""
        return None if self.values is None else self.values.dtype

    @property
    def transposed(self) -> tuple["SparseMatrix", Tensor]:
        """The transpose without values, and the place here of each of its entries.

        Made once for all matrices of the same pattern: O(n_entries) memory.
        """
        pattern, order = self._pattern.transpose()
        return SparseMatrix._of(pattern, None), order

    def with_values(self, values: Tensor | None) -> "SparseMatrix":
        """The same places with other values; the pattern and its transpose are shared.

        Parameters
        ----------
        values : Tensor of shape (n_entries,), or None
            In the order of the entries; copied, or kept if they take a gradient.

        Returns
        -------
        SparseMatrix
            The matrix.
        """
        return self._with(_ours(values))

    def _with(self, values: Tensor | None) -> "SparseMatrix":
        """The same places with values that nobody writes to; no copy."""
        return SparseMatrix._of(self._pattern, values)

    def select_rows(self, rows: Tensor) -> "SparseMatrix":
        """Some rows, in the order asked for.

        Parameters
        ----------
        rows : Tensor of integers, shape (n,)
            Their numbers; a row may be asked for repeatedly.

        Returns
        -------
        SparseMatrix
            With n rows and all columns.
        """
        entries, indptr = self._entries_of(rows)
        values = None if self.values is None else self.values.index_select(0, entries)
        indices = self.indices.index_select(0, entries)
        return SparseMatrix._trusted(indptr, indices, values, (len(rows), self.shape[1]))

    def _entries_of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Places of the entries of some rows, one row after the other, and their indptr."""
        check_index(rows, self.shape[0], "rows")
        rows = rows.to(torch.int64)
        starts = self.indptr[rows]
        counts = self.indptr[rows + 1] - starts
        indptr = torch.zeros(len(rows) + 1, dtype=torch.int64, device=self.device)
        torch.cumsum(counts, 0, out=indptr[1:])
        n = int(indptr[-1])
        shift = (starts - indptr[:-1]).repeat_interleave(counts, output_size=n)
        return torch.arange(n, device=self.device) + shift, indptr

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> "SparseMatrix":
        """The same matrix on another device, or with values of another dtype.

        Parameters
        ----------
        device : torch.device or str, optional
            Where it shall lie.
        dtype : torch.dtype, optional
            Of the values; entries that are all 1 stay without values.

        Returns
        -------
        SparseMatrix
            This matrix if it is there already. What was made is remembered as long as this
            matrix lives, unless its values take a gradient.
        """
        device = self.device if device is None else _indexed(torch.device(device))
        if self.values is None or dtype is None:
            dtype = self.dtype
        if device == self.device and dtype == self.dtype:
            return self
        if self.values is not None and self.values.requires_grad:
            return self._moved(device, dtype)
        key = (device, dtype)
        if key not in self._kept:
            self._kept[key] = outlive_inference(lambda: self._moved(device, dtype))
        return self._kept[key]

    def _moved(self, device: torch.device, dtype: torch.dtype | None) -> "SparseMatrix":
        values = None if self.values is None else self.values.to(device=device, dtype=dtype)
        if device == self.device:
            return self._with(values)
        return SparseMatrix._trusted(
            self.indptr.to(device), self.indices.to(device), values, self.shape
        )

    def to_torch(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """A torch tensor of the layout sparse CSR.

        Parameters
        ----------
        dtype : torch.dtype, default=torch.float32
            Of the ones, if the matrix has no values.

        Returns
        -------
        Tensor
            Of int64 indices, or int32 ones where that is enough.
        """
        indptr, indices = self.indptr, self.indices
        if self.n_entries < 2**31:
            indptr = indptr.to(torch.int32)
        else:
            indices = indices.to(torch.int64)
        values = self.values
        if values is None:
            values = torch.ones(self.n_entries, dtype=dtype, device=self.device)
        _expect_beta_warning()
        return torch.sparse_csr_tensor(indptr, indices, values, self.shape, check_invariants=False)

    def to_dense(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """A dense tensor; entries in one place are summed.

        Parameters
        ----------
        dtype : torch.dtype, default=torch.float32
            Of the ones, if the matrix has no values.

        Returns
        -------
        Tensor of shape (n_rows, n_columns)
            With the gradient of the values.
        """
        values = self.values
        if values is None:
            values = torch.ones(self.n_entries, dtype=dtype, device=self.device)
        dense = torch.zeros(self.shape, dtype=values.dtype, device=self.device)
        return dense.index_put((self.rows, self.indices.to(torch.int64)), values, accumulate=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.indptr, self.indices, self.values, self.shape)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # nothing of it can be changed

    def __repr__(self) -> str:
        dtype = "ones" if self.values is None else str(self.dtype).removeprefix("torch.")
        where = "" if self.device.type == "cpu" else f", device='{self.device}'"
        return f"SparseMatrix(shape={self.shape}, n_entries={self.n_entries}, {dtype}{where})"


def as_sparse_matrix(x: Any) -> SparseMatrix:
    """A `SparseMatrix` as it is, or one made of a torch sparse tensor, once for each.

    Parameters
    ----------
    x : SparseMatrix or Tensor
        A tensor of the layout sparse CSR or COO. What is made of it is remembered until the tensor
        dies or is written to.

    Returns
    -------
    SparseMatrix
        The matrix.
    """
    if isinstance(x, SparseMatrix):
        return x
    if not isinstance(x, Tensor) or x.requires_grad:
        return SparseMatrix.from_torch(x)
    return remember(lambda: SparseMatrix.from_torch(x), x)


def _ours(values: Any) -> Any:
    """Values that no one else writes to; those that take a gradient stay what is trained."""
    is_theirs = isinstance(values, Tensor) and not values.requires_grad
    return values.clone() if is_theirs else values


@cache
def _expect_beta_warning() -> None:
    """Let torch say here, unheard, what it says once of its CSR layout: it is in beta state."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor([0], [], [], (0, 0), check_invariants=False)


def _indexed(device: torch.device) -> torch.device:
    """The device with its number: tensors on "cuda" say "cuda:0"."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device
