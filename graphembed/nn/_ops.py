"""The operations of all layers, each done by the fastest of several backends that can do it.

``GRAPHEMBED_BACKEND`` forces one: ``kernels`` (our own, on the CPU), ``torch`` (plain torch),
``sparse`` (torch's CSR product) or ``scatter`` (torch-scatter). What it cannot do is an error.
"""

import os
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from graphembed.nn import _cpu, _cpu_attention, _cpu_dropout, _torch
from graphembed.nn._checks import (
    check_attention,
    check_attention_v2,
    check_bias,
    check_entries,
    check_index,
    check_probability,
    check_weight,
    check_x,
)
from graphembed.nn._pattern import group
from graphembed.nn.sparse import SparseMatrix

BACKENDS = ("kernels", "torch", "sparse", "scatter")
_FAST_DTYPES = (torch.float32, torch.float64)
M = TypeVar("M", Tensor, SparseMatrix)


def spmm(
    matrix: SparseMatrix, x: Tensor, values: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """The product of a sparse and a dense matrix, plus a bias.

    Parameters
    ----------
    matrix : SparseMatrix of shape (n_rows, n_columns)
        The left factor.
    x : Tensor of shape (n_columns, d)
        The right one.
    values : Tensor of shape (n_entries,), optional
        Used in place of the matrix's values; may take a gradient, as these may.
    bias : Tensor of shape (d,), optional
        Added to every row.

    Returns
    -------
    Tensor of shape (n_rows, d)
        Of the dtype of `x`.
    """
    check_x(matrix, x)
    check_bias(bias, x.shape[1], x)
    values = _values_for(matrix, values, x.dtype)
    backend = _choose(("kernels", "sparse", "torch", "scatter"), matrix, x, "the product")
    if backend == "kernels":
        return _cpu.spmm(matrix, x, values, bias)
    if backend == "sparse":
        product = _torch.sparse_spmm(matrix, x, values)
    else:
        product = _torch.spmm(matrix, x, values, row_sums=_row_sums(backend))
    return product if bias is None else product + bias


def aggregate(matrix: SparseMatrix, x: Tensor, reduce: str) -> Tensor:
    """Sums, means or maxima of the rows of x that the entries of each row point at.

    Parameters
    ----------
    matrix : SparseMatrix of shape (n_rows, n_columns)
        Its values weigh the sum and the mean, which divides by the number of entries.
    x : Tensor of shape (n_columns, d)
        Features.
    reduce : {"sum", "mean", "max"}
        What is made of them.

    Returns
    -------
    Tensor of shape (n_rows, d)
        0 in rows without entries. Of equal maxima the first entry has the gradient.
    """
    if reduce == "sum":
        return spmm(matrix, x)
    if reduce == "mean":
        counts = matrix.indptr.diff().clamp(min=1).to(x.dtype).unsqueeze(1)
        return spmm(matrix, x) / counts
    if reduce != "max":
        raise ValueError(f"reduce must be 'sum', 'mean' or 'max', got {reduce!r}")
    check_x(matrix, x)
    backend = _choose(("kernels", "torch", "scatter"), matrix, x, "the maximum")
    if backend == "kernels":
        return _cpu.aggregate_max(matrix, x)
    return _torch.aggregate_max(matrix, x) if backend == "torch" else _torch.scatter_max(matrix, x)


def edge_softmax(matrix: SparseMatrix, scores: Tensor) -> Tensor:
    """Softmax over the entries of each row.

    Parameters
    ----------
    matrix : SparseMatrix
        Says which entries are in one row; its values are not used.
    scores : Tensor of shape (n_entries, heads)
        In the order of the entries.

    Returns
    -------
    Tensor of shape (n_entries, heads)
        Of each head and row, positive numbers whose sum is 1.
    """
    check_entries(matrix, scores, "scores", 2)
    backend = _choose(("kernels", "torch", "scatter"), matrix, scores, "the softmax over edges")
    if backend == "kernels":
        return _cpu_attention.edge_softmax(matrix, scores)
    return _torch.edge_softmax(matrix, scores, row_sums=_row_sums(backend))


def attention(
    matrix: SparseMatrix,
    x: Tensor,
    source_scores: Tensor,
    target_scores: Tensor,
    edge_scores: Tensor | None = None,
    *,
    negative_slope: float = 0.2,
    dropout: float = 0.0,
    training: bool = False,
    return_alpha: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Weighted sums of GAT: softmax of leaky_relu(source + target + edge score) over each row.

    Parameters
    ----------
    matrix : SparseMatrix of shape (n_target, n_source)
        The edges; its values are not used.
    x : Tensor of shape (n_source, heads, channels)
        What is summed.
    source_scores : Tensor of shape (n_source, heads)
        Part of the score that depends on the source.
    target_scores : Tensor of shape (n_target, heads)
        Part of the score that depends on the target.
    edge_scores : Tensor of shape (n_entries, heads), optional
        Part of the score that depends on the edge, in the order of the entries.
    negative_slope : float, default=0.2
        Of the leaky ReLU.
    dropout : float, default=0.0
        Probability that a weight is dropped.
    training : bool, default=False
        Whether weights are dropped at all.
    return_alpha : bool, default=False
        Whether the weights are wanted, too.

    Returns
    -------
    out : Tensor of shape (n_target, heads, channels)
        0 for targets without entries.
    alpha : Tensor of shape (n_entries, heads), or None
        The weights after dropout, in the order of the entries, if wanted.
    """
    check_attention(matrix, x, source_scores, target_scores, edge_scores)
    check_probability(dropout)
    backend = _choose(("kernels", "torch", "scatter"), matrix, x, "attention")
    if backend == "kernels" and not return_alpha:
        p = dropout if training else 0.0
        three = (source_scores, target_scores, edge_scores)
        return _cpu_attention.attention(matrix, x, *three, negative_slope, p), None
    scores = source_scores.index_select(0, matrix.indices)
    scores = scores + target_scores.index_select(0, matrix.rows)
    if edge_scores is not None:
        scores = scores + edge_scores
    scores = functional.leaky_relu(scores, negative_slope)
    return _weighted_sums(matrix, x, scores, dropout, training, return_alpha)


def attention_v2(
    matrix: SparseMatrix,
    x_source: Tensor,
    x_target: Tensor,
    att: Tensor,
    edge_features: Tensor | None = None,
    *,
    negative_slope: float = 0.2,
    dropout: float = 0.0,
    training: bool = False,
    return_alpha: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Weighted sums of GATv2: softmax of att . leaky_relu(source + target + edge) over each row.

    Parameters
    ----------
    matrix : SparseMatrix of shape (n_target, n_source)
        The edges; its values are not used.
    x_source : Tensor of shape (n_source, heads, channels)
        What is summed.
    x_target : Tensor of shape (n_target, heads, channels)
        Of the targets.
    att : Tensor of shape (1, heads, channels) or (heads, channels)
        Attention vectors.
    edge_features : Tensor of shape (n_entries, heads, channels), optional
        In the order of the entries.
    negative_slope, dropout, training, return_alpha
        As in `attention`.

    Returns
    -------
    out : Tensor of shape (n_target, heads, channels)
        0 for targets without entries.
    alpha : Tensor of shape (n_entries, heads), or None
        The weights after dropout, in the order of the entries, if wanted.
    """
    check_probability(dropout)
    check_attention_v2(matrix, x_source, x_target, edge_features)
    sums = x_source.index_select(0, matrix.indices) + x_target.index_select(0, matrix.rows)
    if edge_features is not None:
        sums = sums + edge_features
    scores = (functional.leaky_relu(sums, negative_slope) * att).sum(-1)
    return _weighted_sums(matrix, x_source, scores, dropout, training, return_alpha)


def _weighted_sums(
    matrix: SparseMatrix,
    x: Tensor,
    scores: Tensor,
    p: float,
    training: bool,
    return_alpha: bool,
) -> tuple[Tensor, Tensor | None]:
    alpha = dropout(edge_softmax(matrix, scores), p, training)
    backend = _choose(("kernels", "torch", "scatter"), matrix, x, "attention")
    if backend == "kernels":
        out = _cpu.spmm(matrix, x, alpha)
    else:
        out = _torch.spmm(matrix, x, alpha, row_sums=_row_sums(backend))
    return out, alpha if return_alpha else None


def linear(x: Tensor | SparseMatrix, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The product of x and the transposed weight, plus the bias.

    Parameters
    ----------
    x : Tensor or SparseMatrix of shape (n, in_channels)
        Features.
    weight : Tensor of shape (out_channels, in_channels)
        Weights.
    bias : Tensor of shape (out_channels,), optional
        Bias.

    Returns
    -------
    Tensor of shape (n, out_channels)
        The product.
    """
    if not isinstance(x, SparseMatrix):
        return functional.linear(x, weight, bias)
    check_weight(weight, x)
    check_bias(bias, weight.shape[0], weight)
    if _choose(("kernels", "sparse", "torch", "scatter"), x, weight, "the product") == "kernels":
        return _cpu.linear(x, _values_for(x, None, weight.dtype), weight, bias)
    return spmm(x, weight.t(), None, bias)


def dropout(x: M, p: float, training: bool = True) -> M:
    """Set entries to 0 with probability p and divide the others by 1 - p.

    Parameters
    ----------
    x : Tensor or SparseMatrix
        Of a SparseMatrix the stored values only; without values they count as ones of torch's
        default dtype.
    p : float
        In [0, 1].
    training : bool, default=True
        False returns `x` as it is.

    Returns
    -------
    Tensor or SparseMatrix
        Of the same type. Each call draws once from torch's generator of the device.
    """
    check_probability(p)
    if not training or p == 0.0:
        return x
    if isinstance(x, SparseMatrix):
        values = x.values
        if values is None:
            values = torch.ones(x.n_entries, device=x.device)
        return x._with(dropout(values, p))
    use_kernels = os.environ.get("GRAPHEMBED_BACKEND") in (None, "", "kernels")
    if use_kernels and x.is_cpu and x.dtype in _FAST_DTYPES:
        return _cpu_dropout.dropout(x, p)
    return functional.dropout(x, p)


def scatter(src: Tensor, index: Tensor, n: int, reduce: str) -> Tensor:
    """Sums, means or maxima of the rows that have the same index.

    Parameters
    ----------
    src : Tensor of shape (m, d)
        Rows.
    index : Tensor of integers, shape (m,)
        To which result each row belongs; in any order.
    n : int
        Number of results.
    reduce : {"sum", "mean", "max"}
        What is made of the rows.

    Returns
    -------
    Tensor of shape (n, d)
        0 where there is no row.
    """
    check_index(index, n, "index")
    if len(index) != len(src):
        raise ValueError(f"index must have {len(src)} entries, one for each row, got {len(index)}")
    if index.device != src.device:
        raise ValueError(f"index lies on {index.device}, but src on {src.device}")
    if reduce not in ("sum", "mean", "max"):
        raise ValueError(f"reduce must be 'sum', 'mean' or 'max', got {reduce!r}")
    return aggregate(_membership(index, n), src, reduce)


def _membership(index: Tensor, n: int) -> SparseMatrix:
    """Row i has an entry for each position of i in `index`."""
    indptr, order = group(index, n)
    return SparseMatrix._trusted(indptr, order.to(torch.int32), None, (n, len(index)))


def _values_for(matrix: SparseMatrix, values: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """The values to multiply by, of that dtype."""
    if values is not None:
        check_entries(matrix, values, "values", 1)
    elif matrix.values is None or matrix.values.dtype == dtype:
        return matrix.values
    elif not matrix.values.requires_grad:
        return matrix.to(dtype=dtype).values
    else:
        values = matrix.values
    return values if values.dtype == dtype else values.to(dtype)


def _choose(able: tuple[str, ...], matrix: SparseMatrix, x: Tensor, what: str) -> str:
    """The first backend that is able, or the forced one."""
    forced = os.environ.get("GRAPHEMBED_BACKEND")
    if not forced:
        return next(name for name in able if _is_able(name, matrix, x))
    if forced not in BACKENDS:
        names = ", ".join(repr(name) for name in BACKENDS)
        raise ValueError(f"GRAPHEMBED_BACKEND must be one of {names}, got {forced!r}")
    if forced not in able or not _is_able(forced, matrix, x):
        others = [name for name in able if name != forced and _is_able(name, matrix, x)]
        raise ValueError(
            f"GRAPHEMBED_BACKEND={forced!r} cannot do {what} of {x.dtype} on {x.device}: "
            f"choose {' or '.join(map(repr, others))}"
        )
    return forced


def _is_able(backend: str, matrix: SparseMatrix, x: Tensor) -> bool:
    if backend == "kernels":
        return _cpu.is_able(matrix, x)
    return backend != "sparse" or x.dtype in _FAST_DTYPES


def _row_sums(backend: str) -> Any:
    return _torch.scatter_sum if backend == "scatter" else _torch.index_sum
