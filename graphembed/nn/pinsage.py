"""The convolution of PinSage (Ying et al.)."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from graphembed._validation import check_params, one_of
from graphembed.nn import _layer_sites
from graphembed.nn._inputs import Edges, Features, read_inputs, target_rows
from graphembed.nn._ops import aggregate, spmm
from graphembed.nn._sites import LayerSites
from graphembed.nn.adjacency import Adjacency
from graphembed.nn.linear import Linear, pair_of_widths
from graphembed.nn.sparse import SparseMatrix


class PinSageConv(nn.Module):  # type: ignore[misc]
    """PinSage: ``z_u = ReLU(W [h_u ; n_u] + w)`` over its norm (Ying et al. 2018, algorithm 1).

    ``n_u = sum_v a_v ReLU(Q h_v + q) / sum_v a_v`` over the edges from v to u with importance a
    (line 1), then W on the concatenation (line 2), then ``z_u / |z_u|`` (line 3). Shapes: h
    (n_nodes, in_channels), Q (hidden_channels, in_channels), W (out_channels, in_channels +
    hidden_channels), z (n_nodes, out_channels).

    Parameters
    ----------
    in_channels : int or (int, int)
        Width of h, or of the sources' and the targets' h; -1 takes it from the first h that comes.
    hidden_channels : int
        Width of Q h.
    out_channels : int
        Width of z.
    pooling : {"importance", "mean", "max"}, default="importance"
        What n_u is: the weighted mean above, or for comparison the mean or the elementwise maximum
        of all neighbours alike, whatever their importances.

    Notes
    -----
    O(entries of h * (hidden_channels + out_channels) + n_edges * hidden_channels) time. W is kept
    as its two parts, `lin_self` and `lin_neighbors`, so that nothing is concatenated and a sparse
    h stays sparse.

    The weighted mean is the paper's importance pooling, with a_v the normalised visit counts of
    random walks; counts may be given as they are. Nodes without neighbours, or with importances
    that are all zero, have n = 0, and a z that ReLU makes zero stays zero and has no gradient. The
    paper does not name an initialisation: Q and the parts of W are drawn by Glorot's law, q and w
    as in `torch.nn.Linear`. PyG has no such layer.
    """

    def __init__(
        self,
        in_channels: int | tuple[int, int],
        hidden_channels: int,
        out_channels: int,
        pooling: str = "importance",
    ) -> None:
        super().__init__()
        names = ("importance", "mean", "max")
        check_params({"pooling": pooling}, {"pooling": one_of(*names)}, owner="PinSageConv")
        source, target = pair_of_widths(in_channels)
        self.in_channels = in_channels
        self.hidden_channels = hidden_channels
        self.out_channels = out_channels
        self.pooling = pooling
        self.lin_pool = Linear(source, hidden_channels, weight_initializer="glorot")
        self.lin_self = Linear(target, out_channels, weight_initializer="glorot")
        self.lin_neighbors = Linear(hidden_channels, out_channels, bias=False)

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew."""
        for lin in self.children():
            lin.reset_parameters()

    def forward(self, x: Features, edge_index: Edges, edge_weight: Tensor | None = None) -> Tensor:
        """Apply the layer.

        Parameters
        ----------
        x : Tensor or SparseMatrix of shape (n_nodes, in_channels), or a pair
            h, or the sources' and the targets' h.
        edge_index : Tensor, Adjacency or Graph
            Sources over targets, (2, n_edges); or a sparse tensor whose rows are targets.
        edge_weight : Tensor of shape (n_edges,), optional
            Importances a, not negative; without any, all neighbours count alike. Differentiable.

        Returns
        -------
        Tensor of shape (n_target, out_channels)
            z, of length 1 or 0.
        """
        inputs = read_inputs(x, edge_index, edge_weight)
        if inputs.target is None:
            raise ValueError("PinSageConv needs the rows of the targets, but x[1] is None")
        pooled = self._pool(inputs.adjacency.matrix, self.lin_pool(inputs.source).relu())
        z = (target_rows(self.lin_self, inputs) + self.lin_neighbors(pooled)).relu()
        return F.normalize(z, dim=1)

    def _pool(self, matrix: SparseMatrix, hidden: Tensor) -> Tensor:
        """What n is of every target."""
        if self.pooling == "max":
            return aggregate(matrix, hidden, "max")
        if self.pooling == "mean":
            matrix = matrix.with_values(None)
        sums = spmm(matrix, hidden)
        totals = spmm(matrix, hidden.new_ones(matrix.shape[1], 1))
        return sums / totals.masked_fill(totals == 0, 1)

    def site_outputs(self) -> tuple[nn.Module, ...]:
        """Where gradients of linear sites are taken.

        Returns
        -------
        tuple of torch.nn.Module
            Modules whose outputs are the z of the sites.
        """
        return (self.lin_pool, self.lin_neighbors)

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
        if self.pooling == "max":
            raise NotImplementedError(
                "PinSageConv(pooling='max') has no linear sites: train it with a first-order "
                "optimizer, or choose pooling='importance' or 'mean'"
            )
        if self.pooling == "mean":
            inputs = read_inputs(*args, **kwargs)
            matrix = inputs.adjacency.matrix.with_values(None)
            alike = Adjacency(matrix, is_block=inputs.adjacency.is_bipartite)
            return _layer_sites.pinsage(self, (inputs.source, inputs.target), alike)
        return _layer_sites.pinsage(self, *args, **kwargs)

    def __repr__(self) -> str:
        pooling = "" if self.pooling == "importance" else f", pooling={self.pooling!r}"
        sizes = f"{self.in_channels}, {self.hidden_channels}, {self.out_channels}"
        return f"PinSageConv({sizes}{pooling})"
