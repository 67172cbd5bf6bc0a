"""The places of the entries of a sparse matrix, and those of its transpose."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphembed._kernels import _sparse
from graphembed._threads import run_parallel
from graphembed.nn._memory import outlive_inference

# Positions of the kernels are int32.
MAX_ENTRIES = 2**31 - 1


class Pattern:
    """Rows of columns, shared by all matrices that differ in values only.

    Attributes
    ----------
    indptr : Tensor of int64, shape (n_rows + 1,)
        Where rows begin.
    indices : Tensor of int32, shape (n_entries,)
        Columns.
    shape : tuple of int
        Rows and columns.
    n_entries : int
        Number of entries.
    """

    __slots__ = (
        "_arrays",
        "_order",
        "_rows",
        "_transposed",
        "indices",
        "indptr",
        "n_entries",
        "shape",
    )

    def __init__(self, indptr: Tensor, indices: Tensor, shape: tuple[int, int]) -> None:
        self.indptr = indptr
        self.indices = indices
        self.shape = shape
        self.n_entries = len(indices)
        self._arrays: tuple[NDArray[np.int64], NDArray[np.int32]] | None = None
        self._rows: Tensor | None = None
        self._transposed: Pattern | None = None
        self._order: Tensor | None = None

    @property
    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Both tensors as numpy arrays of the same memory; on the CPU only."""
        if self._arrays is None:
            self._arrays = self.indptr.numpy(), self.indices.numpy()
        return self._arrays

    @property
    def rows(self) -> Tensor:
        """Row of every entry, int64."""
        if self._rows is None:
            self._rows = outlive_inference(self._made_rows)
        return self._rows

    def _made_rows(self) -> Tensor:
        numbers = torch.arange(self.shape[0], device=self.indptr.device)
        return numbers.repeat_interleave(self.indptr.diff(), output_size=self.n_entries)

    def transpose(self) -> tuple["Pattern", Tensor]:
        """The pattern of the transpose, and the place here of each of its entries."""
        if self._transposed is None or self._order is None:
            indptr, indices, order = outlive_inference(self._dealt)
            self._order = order
            self._transposed = Pattern(indptr, indices, self.shape[::-1])
        return self._transposed, self._order

    def _dealt(self) -> tuple[Tensor, Tensor, Tensor]:
        if not self.indices.is_cpu or not 0 < self.n_entries <= MAX_ENTRIES:
            starts_of_columns, by_column = group(self.indices, self.shape[1])
            rows_of_columns = self.rows.index_select(0, by_column).to(torch.int32)
            return starts_of_columns, rows_of_columns, by_column
        indptr, indices = self.arrays
        counts = _counts(indices, self.shape[1])
        rows, order = np.empty_like(indices), np.empty_like(indices)
        places = counts.copy()
        _in_slices(
            lambda begin, end: _sparse.deal_entries(
                indptr, indices, places, rows, order, begin, end
            ),
            self.shape[0],
            len(indices),
        )
        return torch.from_numpy(counts), torch.from_numpy(rows), torch.from_numpy(order)


def group(index: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Sort the positions of a vector by the numbers that they hold.

    Parameters
    ----------
    index : Tensor of integers, shape (m,)
        Numbers in [0, n).
    n : int
        Number of numbers.

    Returns
    -------
    indptr : Tensor of int64, shape (n + 1,)
        Positions of number i are ``order[indptr[i] : indptr[i + 1]]``.
    order : Tensor of int32, or int64 where that is needed, shape (m,)
        Ascending for each number.
    """
    if index.is_cpu and 0 < len(index) <= MAX_ENTRIES:
        indices = index.to(torch.int32).contiguous().numpy()
        indptr = _counts(indices, n)
        order, places = np.empty_like(indices), indptr.copy()
        _in_slices(
            lambda begin, end: _sparse.group(indices, places, order, begin, end),
            len(indices),
            len(indices),
        )
        return torch.from_numpy(indptr), torch.from_numpy(order)
    order_ = index.argsort(stable=True)
    return starts(index, n), order_ if len(order_) > MAX_ENTRIES else order_.to(torch.int32)


def starts(index: Tensor, n: int) -> Tensor:
    """Where the positions of each number begin, if sorted by number."""
    indptr = torch.zeros(n + 1, dtype=torch.int64, device=index.device)
    torch.cumsum(torch.bincount(index, minlength=n), 0, out=indptr[1:])
    return indptr


def _counts(indices: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    counts = np.zeros(n + 1, np.int64)
    _in_slices(
        lambda begin, end: _sparse.count_columns(indices, counts, begin, end),
        len(indices),
        len(indices),
    )
    return np.cumsum(counts, out=counts)


def _in_slices(kernel: Callable[[int, int], Any], n_items: int, work: int) -> None:
    """Call a kernel for one range after the other, so that Ctrl-C is heard."""
    run_parallel(lambda begin, end, _: kernel(begin, end), n_items, 1, work=work)
