"""What the models of several layers have in common."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from graphembed.nn._checks import check_index
from graphembed.nn.adjacency import Adjacency, as_adjacency
from graphembed.nn.dropout import Dropout
from graphembed.nn.linear import Linear
from graphembed.nn.sparse import SparseMatrix, as_sparse_matrix

Rows: TypeAlias = "Tensor | SparseMatrix"
Activation = str | Callable[[Tensor], Tensor]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
}
_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
}


class GraphModel(nn.Module):  # type: ignore[misc]
    """Layers one after the other: dropout, layer, residual, norm, activation; the last one plain.

    A subclass makes the layers. The parameters of the layers have the names of PyG's models, such
    as ``convs.0.lin.weight``, and their shapes, but for the last layer of `GAT`: that of PyG has as
    many heads as the others. A batch norm is ``norms.0``, in PyG ``norms.0.module``; ``skips`` are
    ours.

    Parameters
    ----------
    convs : sequence of torch.nn.Module
        The layers.
    sizes : sequence of int
        Widths of the input and of what each layer gives.
    dropout : float
        Part of the inputs of every layer, also of the first, that training sets to zero.
    act : {"relu", "elu", "leaky_relu", "tanh"} or callable
        Applied after every layer but the last.
    residual : bool
        Add the input of every layer to its output, times a learned matrix where the widths differ.
    norm : {"batch", "layer"} or None
        Normalisation after every layer but the last.
    """

    _takes_weights = True
    _sees_one_step = True  # in every layer

    def __init__(
        self,
        convs: Sequence[nn.Module],
        sizes: Sequence[int],
        *,
        dropout: float,
        act: Activation,
        residual: bool,
        norm: str | None,
    ) -> None:
        super().__init__()
        if norm is not None and norm not in _NORMS:
            raise ValueError(f"norm must be one of {', '.join(_NORMS)} or None, got {norm!r}")
        if isinstance(act, str) and act not in _ACTIVATIONS:
            raise ValueError(f"act must be one of {', '.join(_ACTIVATIONS)}, got {act!r}")
        self.convs = nn.ModuleList(convs)
        self.dropout = Dropout(dropout)
        self.act = _ACTIVATIONS[act]() if isinstance(act, str) else act
        self.norms = nn.ModuleList(_NORMS[norm](size) for size in sizes[1:-1]) if norm else None
        self.skips = nn.ModuleList(map(_skip, sizes[:-1], sizes[1:])) if residual else None

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return len(self.convs)

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        for module in (*self.convs, *(self.norms or ()), *(self.skips or ())):
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    def forward(self, x: Rows, edge_index: Any, edge_weight: Tensor | None = None) -> Tensor:
        """Give every node, or every target of the last block, its outputs.

        Parameters
        ----------
        x : Tensor or SparseMatrix of shape (n_nodes, in_channels)
            Features; of blocks, those of the sources of the first.
        edge_index : Tensor, Adjacency, Graph, or list of one Adjacency per layer
            The edges; or the blocks of a mini-batch, or of `restrict`, the input layer's first.
        edge_weight : Tensor of shape (n_edges,), optional
            Weights of the edges, for models that have use for them; not with blocks.

        Returns
        -------
        Tensor of shape (n_targets, out_channels)
            Outputs without activation, such as the logits of classes.
        """
        return self._run(x, edge_index, edge_weight, self.num_layers)

    def hidden(self, x: Rows, edge_index: Any, edge_weight: Tensor | None = None) -> Tensor:
        """What the last layer is given: the last hidden representation.

        Parameters
        ----------
        x, edge_index, edge_weight
            As in `forward`; of blocks, one for every layer but the last is needed.

        Returns
        -------
        Tensor of shape (n_nodes, hidden_channels)
            Outputs of the last layer but one, after its activation.
        """
        if self.num_layers == 1:
            raise ValueError("a model of one layer has no hidden one: num_layers must be >= 2")
        return self._run(x, edge_index, edge_weight, self.num_layers - 1)

    def restrict(self, x: Rows, edge_index: Any, rows: Tensor) -> tuple[Rows, list[Any]]:
        """What the outputs of some nodes depend on: inputs of nodes, and a block for each layer.

        ``model(*model.restrict(x, edges, rows))`` equals ``model(x, edges)[rows]`` without dropout
        and obeys the same law with it, but computes only what these rows need. Cut once, before
        training. With batch normalisation in training, its statistics are those of fewer nodes.

        Parameters
        ----------
        x : Tensor or SparseMatrix of shape (n_nodes, in_channels)
            Features of all nodes.
        edge_index : Tensor, Adjacency or Graph
            All edges.
        rows : Tensor of bool, shape (n_nodes,), or of distinct integers
            The nodes.

        Returns
        -------
        x : Tensor or SparseMatrix
            Rows of the nodes that are read.
        blocks : list of Adjacency
            For each layer, to be given as `edge_index`.
        """
        x = as_rows(x)
        adjacency = self._checked(as_adjacency(edge_index, None, x.shape[0]))
        rows = as_index(rows, adjacency.n_target)
        blocks: list[Any] = []
        for _ in self.convs:
            block, rows = adjacency.restrict(rows)
            blocks.insert(0, block)
        return _select(x, rows), blocks

    def layer(self, k: int, x: Rows, edges: Any) -> Tensor:
        """Apply layer `k` with what belongs to it, dropout before and activation behind.

        Parameters
        ----------
        k : int
            Number of the layer, 0 is the first.
        x : Tensor or SparseMatrix
            What the layer before has given.
        edges : Adjacency
            The edges, or a block.

        Returns
        -------
        Tensor
            One row for every target.
        """
        x = self.dropout(x)
        out = self.convs[k](x, edges)
        if self.skips is not None:
            n_targets = out.shape[0]
            out = out + self.skips[k](x if x.shape[0] == n_targets else _first(x, n_targets))
        if k == self.num_layers - 1:
            return out
        if self.norms is not None:
            out = self.norms[k](out)
        return self.act(out)

    def _run(self, x: Rows, edge_index: Any, edge_weight: Tensor | None, n_layers: int) -> Tensor:
        x = as_rows(x)
        for k, edges in enumerate(self._edges(x, edge_index, edge_weight, n_layers)):
            x = self.layer(k, x, edges)
        return x

    def _edges(
        self, x: Rows, edge_index: Any, edge_weight: Tensor | None, n_layers: int
    ) -> Sequence[Any]:
        if not isinstance(edge_index, (list, tuple)):
            adjacency = self._checked(as_adjacency(edge_index, edge_weight, x.shape[0]))
            return [adjacency] * n_layers
        if edge_weight is not None:
            raise ValueError("edge_weight must be None with a list of blocks, which have their own")
        if len(edge_index) not in (n_layers, self.num_layers):
            raise ValueError(
                f"edge_index must have one block for each of {self.num_layers} layers, "
                f"got {len(edge_index)}"
            )
        for block in edge_index:
            self._checked(block)
        return edge_index[:n_layers]

    def _checked(self, edges: Any) -> Any:
        """The edges, if they have no weights that nothing would look at."""
        weighted = isinstance(edges, Adjacency) and edges.matrix.values is not None
        if weighted and not self._takes_weights:
            raise ValueError(
                f"{type(self).__name__} has no use for weights of edges: leave edge_weight out, "
                "read a Graph by Graph.from_any(G, weight=None), take them from an Adjacency by "
                "adjacency.with_weights(None)"
            )
        return edges


class _Same(nn.Module):  # type: ignore[misc]
    """The rows as they are, dense."""

    def forward(self, x: Rows) -> Tensor:
        return x.to_dense() if isinstance(x, SparseMatrix) else x


def _skip(in_channels: int, out_channels: int) -> nn.Module:
    if in_channels == out_channels:
        return _Same()
    return Linear(in_channels, out_channels, bias=False, weight_initializer="glorot")


def as_rows(x: Any) -> Rows:
    if not isinstance(x, (Tensor, SparseMatrix)):
        raise TypeError(
            f"x must be a torch tensor or a SparseMatrix, got {type(x).__name__}: "
            "torch.as_tensor(x) makes one"
        )
    if isinstance(x, Tensor) and not x.is_floating_point():
        raise TypeError(f"x must be of a floating dtype, got {x.dtype}: x.float() is")
    is_sparse = isinstance(x, Tensor) and x.layout != torch.strided
    rows: Rows = as_sparse_matrix(x) if is_sparse else x
    return rows


def _select(x: Rows, rows: Tensor) -> Rows:
    selected: Rows = x.select_rows(rows) if isinstance(x, SparseMatrix) else x[rows]
    return selected


def _first(x: Rows, n_rows: int) -> Rows:
    """The targets of a block are its first sources."""
    if isinstance(x, SparseMatrix):
        return x.select_rows(torch.arange(n_rows, device=x.device))
    return x[:n_rows]


def as_index(rows: Any, n_nodes: int) -> Tensor:
    """Indices of a mask; indices as they are, if they are distinct."""
    if isinstance(rows, Tensor) and rows.dtype == torch.bool:
        if rows.shape != (n_nodes,):
            raise ValueError(
                f"rows must have one bool per node, ({n_nodes},), got shape {tuple(rows.shape)}"
            )
        return rows.nonzero()[:, 0]
    check_index(rows, n_nodes, "rows")
    values, counts = rows.unique(return_counts=True)
    if len(values) != len(rows):
        raise ValueError(f"rows must be distinct, got {int(values[counts > 1][0])} more than once")
    index: Tensor = rows
    return index
