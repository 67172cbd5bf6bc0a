"""The graph attention layer of Brody et al., GATv2."""

from typing import Any

from torch import Tensor

from graphembed.nn._attention import AttentionConv, FillValue
from graphembed.nn._inputs import Inputs, target_rows
from graphembed.nn._ops import attention_v2
from graphembed.nn.linear import pair_of_widths
from graphembed.nn.sparse import SparseMatrix


class GATv2Conv(AttentionConv):
    """Dynamic graph attention: ``x'_i = sum_j a_ij W_l x_j + b`` (Brody et al. 2022, eq. 7).

    ``a_ij`` is the softmax over the edges from j to i of ``att . LeakyReLU(W_l x_j + W_r x_i + W_e
    e_ij)``, for each of H heads on their own C channels: unlike in `GATConv`, the order in which i
    prefers its neighbours depends on i. Shapes: x (n_nodes, in_channels), W_l and W_r (H * C,
    in_channels), x' (n_nodes, H * C), or (n_nodes, C) without `concat`.

    Parameters
    ----------
    in_channels : int or (int, int)
        Width of x, or of x_source and x_target; -1 takes a width from the first x that comes.
    out_channels : int
        C.
    heads : int, default=1
        H.
    concat : bool, default=True
        Put the heads side by side; False averages them.
    negative_slope : float, default=0.2
        Slope of LeakyReLU below zero.
    dropout : float, default=0.0
        Fraction of the a_ij that are set to zero in training.
    add_self_loops : bool, default=True
        Replace the self-loops there are by one at every target.
    edge_dim : int, optional
        Width of e_ij; None means that edges have no features.
    fill_value : float, Tensor or {"mean", "add", "min", "max", "mul"}, default="mean"
        Features of the added self-loops, or how they come from those of the edges that arrive.
    bias : bool, default=True
        Learn b, and a bias of W_l and one of W_r.
    share_weights : bool, default=False
        W_r is W_l.
    residual : bool, default=False
        Add ``W_res x_i``.
    **options : Any
        PyG's other options, at their defaults; anything else raises.

    Notes
    -----
    O(entries of x * H * C + n_edges * H * C) time, and as much memory: the score needs all channels
    of every edge.

    As in PyG, W and att are drawn by Glorot's law, the biases of W_l and W_r as in
    `torch.nn.Linear`, b starts at zero, a node without any edge gets b, and weights of the edges
    are not looked at. Unlike PyG, of a sparse `edge_index` the attention is returned as of a dense
    one, and the values are not taken for e.
    """

    def __init__(
        self,
        in_channels: int | tuple[int, int],
        out_channels: int,
        heads: int = 1,
        concat: bool = True,
        negative_slope: float = 0.2,
        dropout: float = 0.0,
        add_self_loops: bool = True,
        edge_dim: int | None = None,
        fill_value: FillValue = "mean",
        bias: bool = True,
        share_weights: bool = False,
        residual: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            heads,
            concat,
            negative_slope,
            dropout,
            add_self_loops,
            edge_dim,
            fill_value,
            residual,
            options,
        )
        self.share_weights = share_weights
        source, target = pair_of_widths(in_channels)
        self.lin_l = self._projection(source, bias)
        self.lin_r = self.lin_l if share_weights else self._projection(target, bias)
        self._complete("att", bias=bias)

    def _attend(
        self, inputs: Inputs, matrix: SparseMatrix, edge_features: Tensor | None, wanted: bool
    ) -> tuple[Tensor, Tensor | None]:
        if inputs.target is None:
            raise ValueError("GATv2Conv needs the rows of the targets, but x[1] is None")
        shape = (-1, self.heads, self.out_channels)
        source = self.lin_l(inputs.source).view(shape)
        if self.share_weights and inputs.target is inputs.source:
            target = source[: matrix.shape[0]]
        else:
            target = target_rows(self.lin_r, inputs).view(shape)
        if edge_features is not None:
            edge_features = edge_features.view(shape)
        options = self._head_options(wanted)
        return attention_v2(matrix, source, target, self.att, edge_features, **options)
