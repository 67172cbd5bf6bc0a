"""What every layer does first: rows of sources, rows of targets, and the edges between them."""

from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from graphembed.graph import Graph
from graphembed.nn._ops import spmm
from graphembed.nn.adjacency import Adjacency, as_adjacency
from graphembed.nn.sparse import SparseMatrix, as_sparse_matrix

Rows: TypeAlias = Tensor | SparseMatrix
Features: TypeAlias = Rows | tuple[Rows, Rows | None]
Edges: TypeAlias = Tensor | Adjacency | Graph

# What it costs to add a number from a row somewhere in memory, in multiplications of a dense
# product: about 15 where the features fit a cache, 30 and more where they do not.
_GATHER_COST = 16

_PYG_DEFAULTS = {
    "aggr": ("add", "sum"),
    "aggr_kwargs": (None,),
    "decomposed_layers": (1,),
    "flow": ("source_to_target",),
    "node_dim": (-2, 0),
}


class Inputs(NamedTuple):
    """The arguments of ``forward``, checked.

    Attributes
    ----------
    source : Tensor or SparseMatrix of shape (n_source, channels)
        Rows that send.
    target : Tensor or SparseMatrix, or None
        Rows that receive: of a pair the second, or None; otherwise `source`, of which the first
        `n_target` rows are meant.
    adjacency : Adjacency
        The edges, by target.
    """

    source: Rows
    target: Rows | None
    adjacency: Adjacency

    @property
    def dtype(self) -> torch.dtype:
        """Of the rows; of ones that are not stored, one that loses nothing."""
        return self.source.dtype or torch.float64


def refuse_options(owner: str, options: dict[str, Any]) -> None:
    """Let PyG's defaults of message passing pass, and refuse everything else by name.

    Parameters
    ----------
    owner : str
        The layer.
    options : dict
        Keyword arguments that the layer itself does not know.

    Raises
    ------
    NotImplementedError
        If an option of PyG has another value than its default.
    TypeError
        If PyG knows no such option either.
    """
    for name, value in options.items():
        if name not in _PYG_DEFAULTS:
            raise TypeError(f"{owner} got an unexpected keyword argument {name!r}")
        if value not in _PYG_DEFAULTS[name]:
            remedy = "; give edge_index.flip(0) instead" if name == "flow" else ""
            raise NotImplementedError(f"{owner} does not support {name}={value!r}{remedy}")


def read_inputs(
    x: Features, edge_index: Edges, edge_weight: Any = None, size: Any = None
) -> Inputs:
    """Check the arguments of ``forward``.

    Parameters
    ----------
    x : Tensor, SparseMatrix, sparse Tensor, or a pair of them
        Rows of the nodes, or of sources and targets; the latter may be None.
    edge_index : Tensor, Adjacency or Graph
        Sources over targets of shape (2, n_edges), or a sparse tensor of shape (n_target,
        n_source), or edges that are ready.
    edge_weight : Tensor of shape (n_edges,), optional
        One number per edge.
    size : (int, int), optional
        (n_source, n_target), for a pair without rows of targets.

    Returns
    -------
    Inputs
        The parts.

    Raises
    ------
    TypeError, ValueError
        If `x` does not hold rows of numbers, or does not fit the edges.
    """
    if edge_weight is not None and not isinstance(edge_weight, Tensor):
        hint = "; size is given by keyword" if isinstance(edge_weight, tuple) else ""
        raise TypeError(f"edge_weight must be a Tensor, got {type(edge_weight).__name__}{hint}")
    n_target = _n_target(edge_index)
    if isinstance(x, (tuple, list)):
        if len(x) != 2:
            raise ValueError(f"x must be rows or a pair (x_source, x_target), got {len(x)} parts")
        source, target = _rows(x[0], "x[0]"), None if x[1] is None else _rows(x[1], "x[1]")
        n_target = n_target if target is None else target.shape[0]
    else:
        source = target = _rows(x, "x")
    n_source = source.shape[0]
    if n_target is None:
        n_target = n_source
    if size is not None:
        if size[0] != n_source or (target is not None and size[1] != n_target):
            raise ValueError(
                f"size must be {(n_source, n_target)}, the numbers of rows of x, got {tuple(size)}"
            )
        n_target = size[1]
    adjacency = as_adjacency(edge_index, edge_weight, n_source, n_target)
    if target is source and n_target > n_source:
        raise ValueError(f"x has {n_source} rows for {n_target} targets: give (x_source, x_target)")
    return Inputs(source, target, adjacency)


def multiply_first(x: Rows, adjacency: Adjacency, out_channels: int) -> bool:
    """Whether it is cheaper to multiply by a weight before the aggregation than after it.

    Before, all sources are multiplied and `out_channels` are aggregated; after, the channels of `x`
    are aggregated and the targets are multiplied, of which a block has fewer.

    Parameters
    ----------
    x : Tensor or SparseMatrix of shape (n_source, in_channels)
        The sources. Sparse rows would not stay sparse if they were aggregated.
    adjacency : Adjacency
        The edges.
    out_channels : int
        Width of the products.

    Returns
    -------
    bool
        True for a sparse or, on a whole graph, a wide `x`.
    """
    if isinstance(x, SparseMatrix):
        return True
    in_channels = int(x.shape[1])
    aggregated = adjacency.matrix.n_entries * (in_channels - out_channels)
    multiplied = (adjacency.n_source - adjacency.n_target) * in_channels * out_channels
    return aggregated * _GATHER_COST >= multiplied


def add_up(matrix: SparseMatrix, x: Tensor, bias: Tensor | None) -> Tensor:
    """Sum rows over the entries of a matrix, and add a bias.

    Parameters
    ----------
    matrix : SparseMatrix of shape (n_target, n_source)
        Its values weigh the rows.
    x : Tensor of shape (n_source, channels)
        The rows; under autocast of another dtype than the bias.
    bias : Tensor of shape (channels,), or None
        What is added to every sum.

    Returns
    -------
    Tensor of shape (n_target, channels)
        The sums.
    """
    return spmm(matrix, x, bias=None if bias is None else bias.to(x.dtype))


def target_rows(lin: nn.Module, inputs: Inputs) -> Tensor:
    """Multiply the rows of the targets, which among shared rows are the first.

    Parameters
    ----------
    lin : Module
        The weight.
    inputs : Inputs
        With a target.

    Returns
    -------
    Tensor of shape (n_target, out_channels)
        The products.
    """
    target: Any = inputs.target
    n_target = inputs.adjacency.n_target
    out: Tensor = (
        lin(target)[:n_target] if isinstance(target, SparseMatrix) else lin(target[:n_target])
    )
    return out


def _n_target(edge_index: Edges) -> int | None:
    """Number of targets, if the edges know it."""
    if isinstance(edge_index, Adjacency):
        return edge_index.n_target
    if isinstance(edge_index, Tensor) and edge_index.layout != torch.strided:
        return int(edge_index.shape[0])
    return None


def _rows(x: Any, name: str) -> Rows:
    """One matrix of features; a sparse tensor becomes a `SparseMatrix`."""
    if isinstance(x, SparseMatrix):
        return x
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a Tensor or a SparseMatrix, got {type(x).__name__}")
    if x.dim() != 2:
        raise ValueError(f"{name} must have the shape (n_nodes, channels), got {tuple(x.shape)}")
    if not x.is_floating_point():
        raise ValueError(f"{name} must hold floating-point numbers, got {x.dtype}")
    return x if x.layout == torch.strided else as_sparse_matrix(x)
