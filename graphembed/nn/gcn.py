"""The graph convolution of Kipf and Welling."""

from typing import Any

import torch
from torch import Tensor, nn

from graphembed.nn import _layer_sites
from graphembed.nn._inputs import (
    Edges,
    Features,
    Inputs,
    add_up,
    multiply_first,
    read_inputs,
    refuse_options,
)
from graphembed.nn._ops import spmm
from graphembed.nn._sites import LayerSites
from graphembed.nn.linear import Linear
from graphembed.nn.sparse import SparseMatrix


class GCNConv(nn.Module):  # type: ignore[misc]
    """Graph convolution: ``x' = D^-1/2 (A + I) D^-1/2 x W + b`` (Kipf & Welling 2017, eq. 2).

    Node by node ``x'_i = b + W^T sum_j w_ji / sqrt(d_i d_j) x_j`` over the edges from j to i and
    the self-loop of i, with ``d_i`` the sum of their weights. Shapes: x (n_nodes, in_channels), W
    (in_channels, out_channels), x' (n_nodes, out_channels).

    Parameters
    ----------
    in_channels : int
        Width of x; -1 takes it from the first x that comes.
    out_channels : int
        Width of x'.
    improved : bool, default=False
        Self-loops weigh 2 instead of 1.
    cached : bool, default=False
        Keep the normalised matrix of the first call and use it ever after, whatever edges are given
        then. Without it the matrix is remembered as long as the edges live and torch sees no write
        to them (writes through numpy or to their ``.data`` it does not see), which is as fast. With
        weights that take a gradient, only the first backward works, as in PyG.
    add_self_loops : bool or None, default=None
        Give a self-loop to the nodes that have none; None means `normalize`.
    normalize : bool, default=True
        Divide by the square roots of the degrees; False takes the weights as they are.
    bias : bool, default=True
        Learn b.
    **options : Any
        PyG's other options, at their defaults; anything else raises.

    Notes
    -----
    O(entries of x * out_channels + n_edges * min(in_channels, out_channels)) time: the narrower of
    x and ``x W`` is propagated (in a block, what is cheaper for its numbers of nodes), and of a
    sparse x only what it stores is multiplied.

    As in PyG, the degrees count the edges that arrive; W is drawn by Glorot's law and b starts at
    zero. Unlike PyG, `improved` is obeyed on edges without weights, too; a self-loop in a sparse
    `edge_index` keeps its weight, as one in a dense `edge_index` does (PyG adds to it); under
    autocast the result is of its dtype (PyG's weights of edges make it float32 again); and blocks
    of mini-batches are accepted.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        improved: bool = False,
        cached: bool = False,
        add_self_loops: bool | None = None,
        normalize: bool = True,
        bias: bool = True,
        **options: Any,
    ) -> None:
        super().__init__()
        refuse_options("GCNConv", options)
        if add_self_loops and not normalize:
            raise ValueError("add_self_loops=True needs normalize=True, got normalize=False")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.improved = improved
        self.cached = cached
        self.add_self_loops = normalize if add_self_loops is None else add_self_loops
        self.normalize = normalize
        self.lin = Linear(in_channels, out_channels, bias=False, weight_initializer="glorot")
        self.register_parameter("bias", nn.Parameter(torch.empty(out_channels)) if bias else None)
        self._cached_matrix: SparseMatrix | None = None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W anew, set b to zero, forget a cached matrix."""
        self.lin.reset_parameters()
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        self._cached_matrix = None

    def forward(self, x: Features, edge_index: Edges, edge_weight: Tensor | None = None) -> Tensor:
        """Apply the layer.

        Parameters
        ----------
        x : Tensor or SparseMatrix of shape (n_nodes, in_channels)
            Features; a pair (x_source, x_target) is taken for a block, of which x_source is read.
        edge_index : Tensor, Adjacency or Graph
            Sources over targets, (2, n_edges); or a sparse tensor whose rows are targets.
        edge_weight : Tensor of shape (n_edges,), optional
            Weights of the edges; differentiable.

        Returns
        -------
        Tensor of shape (n_target, out_channels)
            The new features.
        """
        inputs = read_inputs(x, edge_index, edge_weight)
        rows, matrix = inputs.source, self._matrix(inputs)
        if multiply_first(rows, inputs.adjacency, self.out_channels):
            return add_up(matrix, self.lin(rows), self.bias)
        out: Tensor = self.lin(spmm(matrix, rows))
        return out if self.bias is None else out + self.bias

    def site_outputs(self) -> tuple[nn.Module, ...]:
        """Where gradients of linear sites are taken.

        Returns
        -------
        tuple of torch.nn.Module
            Modules whose outputs are the z of the sites.
        """
        return (self,)

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
        return _layer_sites.gcn(self, *args, **kwargs)

    def _matrix(self, inputs: Inputs) -> SparseMatrix:
        """What the rows are multiplied by."""
        if self._cached_matrix is not None:
            return self._cached_matrix
        adjacency = inputs.adjacency
        if self.normalize:
            matrix = adjacency.gcn_matrix(self.improved, self.add_self_loops, dtype=inputs.dtype)
        else:
            matrix = adjacency.matrix
        if self.cached:
            self._cached_matrix = matrix
        return matrix

    def __repr__(self) -> str:
        return f"GCNConv({self.in_channels}, {self.out_channels})"
