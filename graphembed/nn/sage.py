"""The GraphSAGE layer of Hamilton et al."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.rnn import PackedSequence

from graphembed._validation import check_params, one_of
from graphembed.nn import _layer_sites
from graphembed.nn._inputs import (
    Edges,
    Features,
    Inputs,
    Rows,
    add_up,
    multiply_first,
    read_inputs,
    refuse_options,
    target_rows,
)
from graphembed.nn._ops import aggregate
from graphembed.nn._sites import LayerSites
from graphembed.nn.adjacency import Adjacency
from graphembed.nn.linear import Linear, multiply_all, pair_of_widths
from graphembed.nn.sparse import SparseMatrix


class SAGEConv(nn.Module):  # type: ignore[misc]
    """GraphSAGE: ``x'_i = W_l AGG_j(x_j) + b + W_r x_i`` (Hamilton et al. 2017, algorithm 1).

    AGG runs over the edges from j to i. Shapes: x (n_nodes, in_channels), W_l and W_r
    (out_channels, in_channels), x' (n_nodes, out_channels).

    Parameters
    ----------
    in_channels : int or (int, int)
        Width of x, or of x_source and x_target; -1 takes it from the first x that comes.
    out_channels : int
        Width of x'.
    aggr : {"mean", "max", "sum", "add", "pool", "lstm"}, default="mean"
        AGG. "pool" is the paper's pooling (eq. 3): the maximum with ``project=True``. "lstm" is the
        state of an LSTM after the last neighbour, in the order of the edges. "add" is "sum".
    normalize : bool, default=False
        Divide x'_i by its Euclidean norm (line 7); a zero row stays zero.
    root_weight : bool, default=True
        False leaves ``W_r x_i`` away.
    project : bool, default=False
        First replace x_j by ``ReLU(W x_j + b)``, of the same width.
    bias : bool, default=True
        Learn b.
    **options : Any
        PyG's other options, at their defaults; anything else raises.

    Notes
    -----
    O(entries of x * out_channels + n_edges * min(in_channels, out_channels)) time for "mean" and
    "sum", which commute with W_l: a wide or sparse x is multiplied by W_l and W_r in one pass and
    the products are aggregated (in a block, in the order that is cheaper). The others aggregate x
    itself, O(n_edges * in_channels); "lstm" multiplies by in_channels once more.

    As in PyG (and unlike the paper, which concatenates and draws random neighbours), the two
    products are summed, nodes without neighbours aggregate to 0, and there is no activation.
    Weights of edges multiply x_j under "mean" (which still divides by the number of edges) and
    "sum"; the others do not look at those an `Adjacency` has. Unlike PyG, "lstm" stops at the last
    neighbour, so that a row does not depend on the other nodes' degrees (PyG runs on over the
    zeros that pad every row to the largest degree), the values of a sparse `edge_index` are not
    looked at under "max" (PyG multiplies by them), and `size` is a keyword.
    """

    def __init__(
        self,
        in_channels: int | tuple[int, int],
        out_channels: int,
        aggr: str = "mean",
        normalize: bool = False,
        root_weight: bool = True,
        project: bool = False,
        bias: bool = True,
        **options: Any,
    ) -> None:
        super().__init__()
        refuse_options("SAGEConv", options)
        names = ("mean", "max", "sum", "add", "pool", "lstm")
        check_params({"aggr": aggr}, {"aggr": one_of(*names)}, owner="SAGEConv")
        source, target = pair_of_widths(in_channels)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.aggr = aggr
        self.normalize = normalize
        self.root_weight = root_weight
        self.project = project or aggr == "pool"
        if source == -1 and (self.project or aggr == "lstm"):
            raise ValueError("project=True and aggr='pool' or 'lstm' need in_channels, got -1")
        if aggr == "lstm":
            lstm = nn.LSTM(int(source), int(source), batch_first=True)
            self.aggr_module = nn.ModuleDict({"lstm": lstm})
        if self.project:
            self.lin = Linear(source, source)
        self.lin_l = Linear(source, out_channels, bias=bias)
        if root_weight:
            self.lin_r = Linear(target, out_channels, bias=False)
        if normalize:
            self.unscaled = nn.Identity()  # where x' can be seen before it is divided by its norm
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew."""
        if self.aggr == "lstm":
            self.aggr_module["lstm"].reset_parameters()
        if self.project:
            self.lin.reset_parameters()
        self.lin_l.reset_parameters()
        if self.root_weight:
            self.lin_r.reset_parameters()

    def forward(
        self,
        x: Features,
        edge_index: Edges,
        edge_weight: Tensor | None = None,
        *,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """Apply the layer.

        Parameters
        ----------
        x : Tensor or SparseMatrix of shape (n_nodes, in_channels), or a pair
            Features; of a pair (x_source, x_target) the latter may be None, which leaves W_r away.
        edge_index : Tensor, Adjacency or Graph
            Sources over targets, (2, n_edges); or a sparse tensor whose rows are targets.
        edge_weight : Tensor of shape (n_edges,), optional
            Factors of x_j, for "mean" and "sum"; differentiable.
        size : (int, int), optional
            (n_source, n_target), for a pair without x_target.

        Returns
        -------
        Tensor of shape (n_target, out_channels)
            The new features.
        """
        commutes = self.aggr in ("mean", "sum", "add")
        if edge_weight is not None and not commutes:
            raise ValueError(f"aggr={self.aggr!r} takes no edge_weight; 'mean' and 'sum' do")
        inputs = read_inputs(x, edge_index, edge_weight, size)
        source = self.lin(inputs.source).relu() if self.project else inputs.source
        if commutes and multiply_first(source, inputs.adjacency, self.out_channels):
            out = self._transform_first(source, inputs)
        else:
            out = self.lin_l(self._aggregate(inputs.adjacency, source))
            if self.root_weight and inputs.target is not None:
                out = out + target_rows(self.lin_r, inputs)
        return F.normalize(self.unscaled(out), dim=-1) if self.normalize else out

    def site_outputs(self) -> tuple[nn.Module, ...]:
        """Where gradients of linear sites are taken.

        Returns
        -------
        tuple of torch.nn.Module
            Modules whose outputs are the z of the sites.
        """
        output = self.unscaled if self.normalize else self
        return (self.lin, output) if self.project else (output,)

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
        return _layer_sites.sage(self, *args, **kwargs)

    def _transform_first(self, source: Rows, inputs: Inputs) -> Tensor:
        """W_l before the aggregation; W_r beside it if the rows are the same."""
        if self.root_weight and inputs.target is source:
            neighbors, root = multiply_all((self.lin_l, self.lin_r), source)
            root = root[: inputs.adjacency.n_target]
        else:
            neighbors, root = self.lin_l(source, add_bias=False), None
            if self.root_weight and inputs.target is not None:
                root = target_rows(self.lin_r, inputs)
        out = self._aggregate(inputs.adjacency, neighbors, self.lin_l.bias)
        return out if root is None else out + root

    def _aggregate(self, adjacency: Adjacency, x: Rows, bias: Tensor | None = None) -> Tensor:
        """AGG, and the bias where AGG is a product."""
        if isinstance(x, SparseMatrix):
            raise TypeError(f"aggr={self.aggr!r} needs dense x without project: x.to_dense()")
        if self.aggr == "mean":
            return add_up(adjacency.mean_matrix(dtype=x.dtype), x, bias)
        if self.aggr in ("sum", "add"):
            return add_up(adjacency.matrix, x, bias)
        if self.aggr == "lstm":
            return last_states(self.aggr_module["lstm"], adjacency.matrix, x)
        return aggregate(adjacency.matrix, x, "max")

    def __repr__(self) -> str:
        return f"SAGEConv({self.in_channels}, {self.out_channels}, aggr={self.aggr})"


def last_states(lstm: nn.LSTM, matrix: SparseMatrix, x: Tensor) -> Tensor:
    """State of an LSTM after the last entry of every row; rows without entries give 0.

    Parameters
    ----------
    lstm : torch.nn.LSTM
        Of one layer.
    matrix : SparseMatrix of shape (n_rows, n_source)
        Entries of a row are read in their order; values are not looked at.
    x : Tensor of shape (n_source, channels)
        Features of the columns.

    Returns
    -------
    Tensor of shape (n_rows, hidden channels)
        The states.
    """
    lengths = matrix.indptr.diff()
    out = x.new_zeros(matrix.shape[0], lstm.hidden_size)
    if matrix.n_entries == 0:
        return out
    # The layout of a PackedSequence: all first entries, all second ones, ...; long rows first.
    by_length = lengths.argsort(descending=True, stable=True)
    rank = torch.empty_like(by_length)
    rank[by_length] = torch.arange(len(by_length), device=x.device)
    step = torch.arange(matrix.n_entries, device=x.device) - matrix.indptr[matrix.rows]
    order = (step * len(by_length) + rank[matrix.rows]).argsort()
    batch_sizes = torch.bincount(step).cpu()
    packed = PackedSequence(x[matrix.indices[order]], batch_sizes)
    states = lstm(packed)[1][0][0]
    return out.index_copy(0, by_length[: len(states)], states)
