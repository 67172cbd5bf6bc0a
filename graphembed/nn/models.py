"""Whole models of several layers: `GCN`, `ChebNet`, `GAT`, `GraphSAGE`."""

from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor

from graphembed._validation import check_params, int_at_least
from graphembed.nn._stack import Activation, GraphModel, Rows, as_index, as_rows
from graphembed.nn.adjacency import Adjacency, as_adjacency
from graphembed.nn.cheb import ChebConv
from graphembed.nn.gat import GATConv
from graphembed.nn.gatv2 import GATv2Conv
from graphembed.nn.gcn import GCNConv
from graphembed.nn.sage import SAGEConv

__all__ = ["GAT", "GCN", "ChebNet", "GraphModel", "GraphSAGE"]


class GCN(GraphModel):
    """Graph convolutional network (Kipf & Welling 2017): layers of `GCNConv`.

    Parameters
    ----------
    in_channels, hidden_channels, out_channels : int
        Widths of the input, of the hidden layers and of the output.
    num_layers : int, default=2
        Number of layers.
    dropout : float, default=0.5
        Dropout on the input of every layer.
    act : {"relu", "elu", "leaky_relu", "tanh"} or callable, default="relu"
        Activation between the layers.
    residual : bool, default=False
        Add the input of every layer to its output.
    norm : {"batch", "layer"} or None, default=None
        Normalisation after every layer but the last.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        *,
        num_layers: int = 2,
        dropout: float = 0.5,
        act: Activation = "relu",
        residual: bool = False,
        norm: str | None = None,
    ) -> None:
        sizes = _sizes(in_channels, hidden_channels, out_channels, num_layers)
        convs = [GCNConv(a, b) for a, b in pairwise(sizes)]
        super().__init__(convs, sizes, dropout=dropout, act=act, residual=residual, norm=norm)


class ChebNet(GraphModel):
    """Chebyshev filters of order below `K` (Defferrard et al. 2016): layers of `ChebConv`.

    Parameters
    ----------
    in_channels, hidden_channels, out_channels : int
        Widths of the input, of the hidden layers and of the output.
    K : int, default=3
        Number of polynomials; a layer sees K - 1 steps far.
    num_layers : int, default=2
        Number of layers.
    dropout : float, default=0.5
        Dropout on the input of every layer.
    act : {"relu", "elu", "leaky_relu", "tanh"} or callable, default="relu"
        Activation between the layers.
    residual : bool, default=False
        Add the input of every layer to its output.
    norm : {"batch", "layer"} or None, default=None
        Normalisation after every layer but the last.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        *,
        K: int = 3,
        num_layers: int = 2,
        dropout: float = 0.5,
        act: Activation = "relu",
        residual: bool = False,
        norm: str | None = None,
    ) -> None:
        sizes = _sizes(in_channels, hidden_channels, out_channels, num_layers)
        convs = [ChebConv(a, b, K) for a, b in pairwise(sizes)]
        super().__init__(convs, sizes, dropout=dropout, act=act, residual=residual, norm=norm)
        self.K = K
        self._sees_one_step = K <= 2

    def restrict(self, x: Rows, edge_index: Any, rows: Tensor) -> tuple[Rows, list[Any]]:
        """What the outputs of some nodes depend on; with K > 2, all but the last rows are computed.

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
        blocks : list
            For each layer, to be given as `edge_index`.
        """
        if self.K <= 2:
            return super().restrict(x, edge_index, rows)
        x = as_rows(x)
        adjacency = as_adjacency(edge_index, None, x.shape[0])
        last = _Selection(adjacency, as_index(rows, adjacency.n_target))
        return x, [*[adjacency] * (self.num_layers - 1), last]

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
        if isinstance(edges, _Selection):
            return super().layer(k, x, edges.adjacency).index_select(0, edges.rows)
        return super().layer(k, x, edges)


class _Selection(NamedTuple):
    """All edges, where only some rows of the result are wanted."""

    adjacency: Adjacency
    rows: Tensor


class GAT(GraphModel):
    """Graph attention network (Velickovic et al. 2018): layers of `GATConv`.

    Parameters
    ----------
    in_channels, hidden_channels, out_channels : int
        Widths of the input, of the hidden layers (all heads together) and of the output.
    heads : int, default=8
        Heads of a hidden layer, side by side; they share `hidden_channels`.
    out_heads : int, default=1
        Heads of the last layer, which are averaged.
    num_layers : int, default=2
        Number of layers.
    dropout : float, default=0.6
        Dropout on the input of every layer, and on its attention.
    act : {"relu", "elu", "leaky_relu", "tanh"} or callable, default="elu"
        Activation between the layers.
    residual : bool, default=False
        Add the input of every layer to its output.
    norm : {"batch", "layer"} or None, default=None
        Normalisation after every layer but the last.
    v2 : bool, default=False
        Layers of `GATv2Conv` (Brody et al. 2022), whose attention depends on the target, too.
    feature_dropout : float, default=0.0
        As in `GATConv`: dropout on what is summed, which the authors' program has. Not with `v2`.

    Notes
    -----
    Weights of edges are refused, as attention has no use for them.
    """

    _takes_weights = False

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        *,
        heads: int = 8,
        out_heads: int = 1,
        num_layers: int = 2,
        dropout: float = 0.6,
        act: Activation = "elu",
        residual: bool = False,
        norm: str | None = None,
        v2: bool = False,
        feature_dropout: float = 0.0,
    ) -> None:
        sizes = _sizes(in_channels, hidden_channels, out_channels, num_layers)
        if v2 and feature_dropout:
            raise ValueError(
                f"GAT: v2=True has no feature_dropout, got {feature_dropout!r}: say 0.0"
            )
        check_params(
            {"heads": heads, "out_heads": out_heads},
            {"heads": int_at_least(1), "out_heads": int_at_least(1)},
            owner="GAT",
        )
        if num_layers > 1 and hidden_channels % heads:
            raise ValueError(
                f"heads must divide hidden_channels, got heads={heads!r} and "
                f"hidden_channels={hidden_channels!r}"
            )
        conv: Any = GATv2Conv if v2 else partial(GATConv, feature_dropout=feature_dropout)
        convs = [conv(a, b // heads, heads=heads, dropout=dropout) for a, b in pairwise(sizes[:-1])]
        last = conv(sizes[-2], out_channels, heads=out_heads, concat=False, dropout=dropout)
        super().__init__(
            [*convs, last], sizes, dropout=dropout, act=act, residual=residual, norm=norm
        )


class GraphSAGE(GraphModel):
    """GraphSAGE (Hamilton et al. 2017): layers of `SAGEConv`.

    Parameters
    ----------
    in_channels, hidden_channels, out_channels : int
        Widths of the input, of the hidden layers and of the output.
    aggr : {"mean", "max", "pool", "lstm", "sum"}, default="mean"
        How the neighbours of a node are taken together. Of weights of edges only "mean" and "sum"
        have use; the others refuse them.
    normalize : bool, default=False
        Scale every output row to length 1.
    num_layers : int, default=2
        Number of layers.
    dropout : float, default=0.5
        Dropout on the input of every layer.
    act : {"relu", "elu", "leaky_relu", "tanh"} or callable, default="relu"
        Activation between the layers.
    residual : bool, default=False
        Add the input of every layer to its output.
    norm : {"batch", "layer"} or None, default=None
        Normalisation after every layer but the last.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        *,
        aggr: str = "mean",
        normalize: bool = False,
        num_layers: int = 2,
        dropout: float = 0.5,
        act: Activation = "relu",
        residual: bool = False,
        norm: str | None = None,
    ) -> None:
        sizes = _sizes(in_channels, hidden_channels, out_channels, num_layers)
        convs = [SAGEConv(a, b, aggr=aggr, normalize=normalize) for a, b in pairwise(sizes)]
        super().__init__(convs, sizes, dropout=dropout, act=act, residual=residual, norm=norm)
        self._takes_weights = aggr in ("mean", "sum", "add")


def _sizes(in_channels: int, hidden: int, out_channels: int, num_layers: int) -> list[int]:
    if isinstance(num_layers, bool) or not isinstance(num_layers, int) or num_layers < 1:
        raise ValueError(f"num_layers must be an int >= 1, got {num_layers!r}")
    return [in_channels, *[hidden] * (num_layers - 1), out_channels]
