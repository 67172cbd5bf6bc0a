"""Outputs of a model at all nodes, layer by layer, with all neighbours."""

from typing import Any

import torch
from torch import Tensor, nn

from graphembed._validation import check_params, int_at_least
from graphembed.nn._stack import GraphModel
from graphembed.nn.adjacency import as_adjacency
from graphembed.nn.sparse import SparseMatrix, as_sparse_matrix

__all__ = ["layerwise_inference"]


def layerwise_inference(
    model: Any,
    x: Tensor | SparseMatrix,
    edge_index: Any,
    *,
    batch_size: int = 2**14,
    device: torch.device | str | None = None,
) -> Tensor:
    """Compute the outputs of a model at all nodes, one layer after the other, in batches of nodes.

    Every layer is computed once for every node, from all its neighbours, so the result is that of
    ``model.eval()(x, edge_index)``, which holds all that a layer works with for all nodes at once.
    The graph may be another than the one the model was trained on.

    Parameters
    ----------
    model : GraphModel, or any module with `num_layers` and ``layer(k, x, edges)``
        ``model.layer(k, x, edges)`` applies layer `k`, all that belongs to it included, to the
        sources of a bipartite block and returns one row for each target. Its training mode is left
        as it was.
    x : Tensor or SparseMatrix of shape (n_nodes, in_channels)
        Features of all nodes.
    edge_index : Adjacency, Graph or Tensor
        All edges.
    batch_size : int, default=16384
        Nodes that a layer is computed for at a time.
    device : torch.device or str, optional
        Where the layers are computed, by default where `x` lies; the outputs of the layers stay
        where `x` lies. The model must be there already.

    Returns
    -------
    Tensor of shape (n_nodes, out_channels)
        Outputs, without a gradient.

    Notes
    -----
    O(num_layers * (n_edges + n_nodes)) rows are read, and O(n_nodes) more steps for each batch.
    Memory: the outputs of two layers; for a batch, its edges, the rows these read, 17 bytes per
    node of the graph. A layer must look no further than one step: `ChebConv` with K > 2 does.
    """
    check_params({"batch_size": batch_size}, {"batch_size": int_at_least(1)})
    rows: Any = x
    if isinstance(x, Tensor) and x.layout != torch.strided:
        rows = as_sparse_matrix(x)
    adjacency = as_adjacency(edge_index, None, rows.shape[0])
    if isinstance(model, GraphModel):
        model._checked(adjacency)
        if not model._sees_one_step:
            raise ValueError(
                f"layerwise_inference needs layers that see one step, which those of "
                f"{type(model).__name__} with K > 2 do not: call model(x, edge_index)"
            )
    home = rows.device
    device = home if device is None else torch.device(device)
    was_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            for k in range(model.num_layers):
                rows = _layer(model, k, rows, adjacency, batch_size, device)
    finally:
        _set_training(was_training)
    out: Tensor = rows
    return out


def _layer(
    model: Any, k: int, x: Any, adjacency: Any, batch_size: int, device: torch.device
) -> Tensor:
    """Outputs of one layer at all nodes."""
    n_nodes = x.shape[0]
    rows = _Rows(x)

    def part(first: int) -> Tensor:
        last = min(first + batch_size, n_nodes)
        targets = torch.arange(first, last, device=adjacency.device)
        block, sources = adjacency.restrict(targets)
        read = rows.gather(sources.to(x.device))
        result: Tensor = model.layer(k, read.to(device), block.to(device)).to(x.device)
        return result

    begin = part(0)
    if n_nodes <= batch_size:
        return begin
    out = begin.new_empty(n_nodes, *begin.shape[1:])
    out[:batch_size] = begin
    for first in range(batch_size, n_nodes, batch_size):
        out[first : first + batch_size] = part(first)
    return out


class _Rows:
    """Rows of a matrix, gathered into the same memory again and again: new pages cost more."""

    def __init__(self, x: Any) -> None:
        self._x = x
        self._buffer = torch.empty(0)

    def gather(self, index: Tensor) -> Any:
        """Rows of some numbers; those of a tensor are good until the next call."""
        x = self._x
        if isinstance(x, SparseMatrix):
            return x.select_rows(index)
        if len(index) > len(self._buffer):
            self._buffer = x.new_empty(len(index), *x.shape[1:])
        out = self._buffer[: len(index)]
        return torch.index_select(x, 0, index, out=out)


def _set_training(modules: list[nn.Module]) -> None:
    """Put single modules back into training mode; their children are in the list themselves."""
    for module in modules:
        module.training = True
