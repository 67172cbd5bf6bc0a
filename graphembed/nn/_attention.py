"""What the two attention layers have in common."""

from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from graphembed._validation import check_params, float_in, int_at_least, optional
from graphembed.nn import _layer_sites
from graphembed.nn._inputs import Edges, Features, Inputs, read_inputs, refuse_options, target_rows
from graphembed.nn._sites import LayerSites
from graphembed.nn.adjacency import Adjacency
from graphembed.nn.linear import Linear, glorot_bound, pair_of_widths
from graphembed.nn.sparse import SparseMatrix

FillValue: TypeAlias = float | Tensor | str

_WISHES = {
    "out_channels": int_at_least(1),
    "heads": int_at_least(1),
    "dropout": float_in(0, 1),
    "edge_dim": optional(int_at_least(1)),
}
_REDUCTIONS = {"add": "sum", "mean": "mean", "min": "amin", "max": "amax", "mul": "prod"}


class AttentionConv(nn.Module):  # type: ignore[misc]
    """The frame of an attention layer: self-loops, features of edges, heads, residual and bias.

    A layer makes its own weights, then calls `_complete`, and says in `_attend` how edges are
    weighed.

    Parameters
    ----------
    in_channels, out_channels, heads, concat, negative_slope, dropout, add_self_loops, edge_dim, \
    fill_value, residual
        As in `GATConv`.
    options : dict
        PyG's other options.
    """

    def __init__(
        self,
        in_channels: int | tuple[int, int],
        out_channels: int,
        heads: int,
        concat: bool,
        negative_slope: float,
        dropout: float,
        add_self_loops: bool,
        edge_dim: int | None,
        fill_value: FillValue,
        residual: bool,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        refuse_options(owner, options)
        numbers = {
            "out_channels": out_channels,
            "heads": heads,
            "dropout": dropout,
            "edge_dim": edge_dim,
        }
        check_params(numbers, _WISHES, owner=owner)
        if isinstance(fill_value, str) and fill_value not in _REDUCTIONS:
            names = ", ".join(repr(name) for name in _REDUCTIONS)
            raise ValueError(
                f"{owner}: fill_value must be a number, a Tensor or one of {names}, "
                f"got {fill_value!r}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.heads = heads
        self.concat = concat
        self.negative_slope = negative_slope
        self.dropout = dropout
        self.add_self_loops = add_self_loops
        self.edge_dim = edge_dim
        self.fill_value = fill_value
        self.residual = residual

    def _projection(self, width: int, bias: bool = False) -> Linear:
        """A weight to all heads."""
        return Linear(width, self.heads * self.out_channels, bias, weight_initializer="glorot")

    def _complete(self, *attentions: str, bias: bool) -> None:
        """Add what all attention layers have to their own weights, and draw everything."""
        total = self.out_channels * (self.heads if self.concat else 1)
        self.lin_edge: Any = None
        self.res: Any = None
        if self.edge_dim is not None:
            self.lin_edge = self._projection(self.edge_dim)
        if self.residual:
            _, width = pair_of_widths(self.in_channels)
            self.res = Linear(width, total, bias=False, weight_initializer="glorot")
        for name in attentions:
            att = nn.Parameter(torch.empty(1, self.heads, self.out_channels))
            self.register_parameter(name, att)
        self.register_parameter("bias", nn.Parameter(torch.empty(total)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew and set the bias to zero."""
        for lin in self.children():
            lin.reset_parameters()
        for name, parameter in self.named_parameters(recurse=False):
            if name != "bias":
                bound = glorot_bound(parameter)
                nn.init.uniform_(parameter, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self,
        x: Features,
        edge_index: Edges,
        edge_attr: Tensor | None = None,
        size: tuple[int, int] | None = None,
        return_attention_weights: bool | None = None,
    ) -> Tensor | tuple[Tensor, tuple[Tensor, Tensor]]:
        """Apply the layer.

        Parameters
        ----------
        x : Tensor or SparseMatrix of shape (n_nodes, in_channels), or a pair
            Features; of a pair (x_source, x_target) the latter may be None in `GATConv`, which
            leaves away what depends on the target.
        edge_index : Tensor, Adjacency or Graph
            Sources over targets, (2, n_edges); or a sparse tensor whose rows are targets.
        edge_attr : Tensor of shape (n_edges, edge_dim), or (n_edges,), optional
            Features of the edges; without them W_e is left away.
        size : (int, int), optional
            (n_source, n_target), for a pair without x_target.
        return_attention_weights : bool, optional
            Return the attention, too.

        Returns
        -------
        Tensor of shape (n_target, H * C) or (n_target, C)
            The new features; with `return_attention_weights` a pair of them and of (edge_index,
            attention), of shapes (2, n) and (n, H): the edges in their order, then the self-loops.
        """
        inputs = read_inputs(x, edge_index, None, size)
        edges = inputs.adjacency.self_looped() if self.add_self_loops else inputs.adjacency
        features = None
        if edge_attr is not None:
            features = self._edge_features(edge_attr, inputs.adjacency, edges)
        out, alpha = self._attend(inputs, edges.matrix, features, bool(return_attention_weights))
        out = out.flatten(1) if self.concat or self.heads == 1 else out.mean(dim=1)
        if self.res is not None and inputs.target is not None:
            out = out + target_rows(self.res, inputs)
        if self.bias is not None:
            out = out + self.bias
        return out if alpha is None else (out, attention_weights(edges, alpha))

    def site_outputs(self) -> tuple[nn.Module, ...]:
        """Where gradients of linear sites are taken.

        Returns
        -------
        tuple of torch.nn.Module
            Modules whose outputs are the z of the sites.
        """
        return _layer_sites.attention_outputs(self)

    def linear_sites(self, *args: Any, **kwargs: Any) -> LayerSites:
        """How the weights act on rows, for second-order optimizers.

        Parameters
        ----------
        *args, **kwargs : Any
            As those of `forward`.

        Returns
        -------
        LayerSites
            Blocks of weights with their rows, and the ways through the layer.
        """
        return _layer_sites.attention(self, *args, **kwargs)

    def _attend(
        self, inputs: Inputs, matrix: SparseMatrix, edge_features: Tensor | None, wanted: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Sums of shape (n_target, heads, channels), and the attention if it is wanted."""
        raise NotImplementedError

    def _edge_features(self, edge_attr: Tensor, given: Adjacency, edges: Adjacency) -> Tensor:
        """``W_e e`` of shape (n_entries, heads * channels)."""
        if self.lin_edge is None:
            raise ValueError(f"{type(self).__name__}: edge_attr needs edge_dim, which is None")
        rows = edge_attr.unsqueeze(1) if edge_attr.dim() == 1 else edge_attr
        if edges is given:
            rows = given.edge_values(rows)
        else:
            rows = entry_features(rows, given, edges, self.fill_value)
        result: Tensor = self.lin_edge(rows)
        return result

    def _head_options(self, wanted: bool) -> dict[str, Any]:
        return {
            "negative_slope": self.negative_slope,
            "dropout": self.dropout,
            "training": self.training,
            "return_alpha": wanted,
        }

    def __repr__(self) -> str:
        shape = f"{self.in_channels}, {self.out_channels}, heads={self.heads}"
        return f"{type(self).__name__}({shape})"


def head_scores(h: Tensor, *attentions: Tensor) -> tuple[Tensor, ...]:
    """Dot products ``att . h`` of every head with its own channels.

    One product with block diagonals is faster than a sum over each head's channels.

    Parameters
    ----------
    h : Tensor of shape (n, heads * channels)
        Features.
    *attentions : Tensor of shape (1, heads, channels)
        Attention vectors.

    Returns
    -------
    tuple of Tensor, each of shape (n, heads)
        One result per attention vector.
    """
    heads = attentions[0].shape[1]
    vectors = torch.cat(attentions).permute(1, 2, 0).unsqueeze(3)
    eye = torch.eye(heads, dtype=h.dtype, device=h.device).view(heads, 1, 1, heads)
    blocks = (vectors * eye).reshape(h.shape[1], len(attentions) * heads)
    result: tuple[Tensor, ...] = (h @ blocks).split(heads, dim=1)
    return result


def entry_features(
    edge_attr: Tensor, adjacency: Adjacency, looped: Adjacency, fill_value: FillValue
) -> Tensor:
    """Features of the entries of an adjacency whose self-loops were added.

    Parameters
    ----------
    edge_attr : Tensor of shape (n_edges, edge_dim)
        Features of the user's edges.
    adjacency, looped : Adjacency
        The user's edges, and what `Adjacency.self_looped` made of them.
    fill_value : float, Tensor or str
        Features of the self-loops, or how they come from the edges that arrive.

    Returns
    -------
    Tensor of shape (n_entries, edge_dim)
        In the order of ``looped.matrix``.
    """
    adjacency.edge_values(edge_attr)  # is there a row for every edge?
    order: Any = looped.edge_order
    rows = looped.matrix.rows
    loops = _loop_features(edge_attr, order, rows, looped.n_target, fill_value)
    places = torch.where(order < 0, rows + len(edge_attr), order)
    return torch.cat([edge_attr, loops]).index_select(0, places)


def _loop_features(
    edge_attr: Tensor, order: Tensor, rows: Tensor, n_target: int, fill_value: FillValue
) -> Tensor:
    """Features of one self-loop per target."""
    shape = (n_target, edge_attr.shape[1])
    if not isinstance(fill_value, str):
        value = torch.as_tensor(fill_value, dtype=edge_attr.dtype, device=edge_attr.device)
        return value.expand(shape)
    kept = order >= 0
    features = edge_attr.index_select(0, order[kept])
    start = edge_attr.new_ones(shape) if fill_value == "mul" else edge_attr.new_zeros(shape)
    index = rows[kept].unsqueeze(1).expand_as(features)
    return start.scatter_reduce(0, index, features, _REDUCTIONS[fill_value], include_self=False)


def attention_weights(adjacency: Adjacency, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Edges and their attention in PyG's order: the user's edges, then self-loops by node.

    Parameters
    ----------
    adjacency : Adjacency
        The edges that were attended to.
    alpha : Tensor of shape (n_entries, heads)
        Attention in the order of the entries.

    Returns
    -------
    edge_index : Tensor of int64, shape (2, n_entries)
        Sources over targets.
    alpha : Tensor of shape (n_entries, heads)
        Attention in the order of `edge_index`.
    """
    matrix, order = adjacency.matrix, adjacency.edge_order
    edge_index = torch.stack([matrix.indices.to(torch.int64), matrix.rows])
    if order is None or not len(order):
        return edge_index, alpha
    # Loops have no number: they come last, in the order of the rows.
    by_edge = torch.where(order < 0, torch.iinfo(order.dtype).max, order).argsort(stable=True)
    return edge_index.index_select(1, by_edge), alpha.index_select(0, by_edge)
