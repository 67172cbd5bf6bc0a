"""The graph attention layer of Veličković et al."""

from typing import Any

from torch import Tensor

from graphembed._validation import check_params, float_in
from graphembed.nn._attention import AttentionConv, FillValue, head_scores
from graphembed.nn._inputs import Inputs, target_rows
from graphembed.nn._ops import attention, dropout
from graphembed.nn.linear import pair_of_widths
from graphembed.nn.sparse import SparseMatrix


class GATConv(AttentionConv):
    """Graph attention: ``x'_i = sum_j a_ij W x_j + b`` (Veličković et al. 2018, eq. 1 to 6).

    ``a_ij`` is the softmax over the edges from j to i of ``LeakyReLU(att_src . W x_j + att_dst . W
    x_i + att_edge . W_e e_ij)``, for each of H heads on their own C channels. Shapes: x (n_nodes,
    in_channels), W (H * C, in_channels), x' (n_nodes, H * C), or (n_nodes, C) without `concat`.

    Parameters
    ----------
    in_channels : int or (int, int)
        Width of x; two widths give sources and targets weights of their own; -1 takes a width from
        the first x that comes.
    out_channels : int
        C.
    heads : int, default=1
        H.
    concat : bool, default=True
        Put the heads side by side; False averages them (eq. 6).
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
        Learn b.
    residual : bool, default=False
        Add ``W_res x_i``.
    feature_dropout : float, default=0.0
        Fraction of the summed W x_j that are set to zero in training, once their scores are known.
        The authors' program does so, PyG does not.
    **options : Any
        PyG's other options, at their defaults; anything else raises.

    Notes
    -----
    O(entries of x * H * C + n_edges * H * C) time, and O(n_edges * H) memory beside the results.

    As in PyG, dropout of x is left to the model (the paper drops both), W and the att are drawn by
    Glorot's law, b starts at zero, a node without any edge gets b, and weights of the edges are not
    looked at. Unlike PyG, `edge_attr` without `edge_dim` is an error (PyG ignores it); of a sparse
    `edge_index` the attention is returned as of a dense one, and the values are not taken for e.
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
        residual: bool = False,
        *,
        feature_dropout: float = 0.0,
        **options: Any,
    ) -> None:
        check_params(
            {"feature_dropout": feature_dropout},
            {"feature_dropout": float_in(0, 1)},
            owner="GATConv",
        )
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
        self.feature_dropout = feature_dropout
        self.lin: Any = None
        self.lin_src: Any = None
        self.lin_dst: Any = None
        source, target = pair_of_widths(in_channels)
        if isinstance(in_channels, (tuple, list)):
            self.lin_src, self.lin_dst = self._projection(source), self._projection(target)
        else:
            self.lin = self._projection(source)
        of_edges = [] if edge_dim is None else ["att_edge"]
        self._complete("att_src", "att_dst", *of_edges, bias=bias)

    def _attend(
        self, inputs: Inputs, matrix: SparseMatrix, edge_features: Tensor | None, wanted: bool
    ) -> tuple[Tensor, Tensor | None]:
        source = (self.lin_src if self.lin is None else self.lin)(inputs.source)
        if self.lin is not None and inputs.target is inputs.source:
            source_scores, target_scores = head_scores(source, self.att_src, self.att_dst)
            target_scores = target_scores[: matrix.shape[0]]
        else:
            (source_scores,) = head_scores(source, self.att_src)
            if inputs.target is None:
                target_scores = source_scores.new_zeros(matrix.shape[0], self.heads)
            else:
                target = target_rows(self.lin_dst if self.lin is None else self.lin, inputs)
                (target_scores,) = head_scores(target, self.att_dst)
        edge_scores = None
        if edge_features is not None:
            (edge_scores,) = head_scores(edge_features, self.att_edge)
        source = dropout(source, self.feature_dropout, self.training)
        return attention(
            matrix,
            source.view(-1, self.heads, self.out_channels),
            source_scores,
            target_scores,
            edge_scores,
            **self._head_options(wanted),
        )
