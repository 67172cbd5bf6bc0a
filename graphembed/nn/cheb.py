"""The Chebyshev graph convolution of Defferrard et al."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from graphembed._validation import check_params, int_at_least
from graphembed.nn import _layer_sites
from graphembed.nn._inputs import Edges, Features, Inputs, read_inputs, refuse_options
from graphembed.nn._ops import spmm
from graphembed.nn._sites import LayerSites
from graphembed.nn.linear import Linear, multiply_all

Operator = Callable[[Tensor], Tensor]


class ChebConv(nn.Module):  # type: ignore[misc]
    """Chebyshev convolution: ``x' = sum_{k<K} T_k(L^) x W_k + b`` (Defferrard et al. 2016, eq. 5).

    ``T_0 = 1``, ``T_1 = L^``, ``T_k = 2 L^ T_{k-1} - T_{k-2}`` and ``L^ = 2 L / lambda_max - I``.
    Shapes: x (n_nodes, in_channels), W_k (in_channels, out_channels), x' (n_nodes, out_channels).

    Parameters
    ----------
    in_channels : int
        Width of x; -1 takes it from the first x that comes.
    out_channels : int
        Width of x'.
    K : int
        Number of polynomials, of the orders 0 to K - 1; Kipf & Welling's "K" is one less.
    normalization : {"sym", "rw"} or None, default="sym"
        L is ``I - D^-1/2 A D^-1/2``, ``I - D^-1 A``, or ``D - A``.
    bias : bool, default=True
        Learn b.
    **options : Any
        PyG's other options, at their defaults; anything else raises.

    Notes
    -----
    O(K * entries of x * out_channels + (K - 1) * n_edges * min(in_channels, out_channels)) time.
    A wide or sparse x is multiplied by all W_k in one pass, and Clenshaw's recurrence
    ``b_k = x W_k + 2 L^ b_{k+1} - b_{k+2}``, ``x' = x W_0 + L^ b_1 - b_2`` propagates the narrow
    products; a narrow x is propagated itself.

    As in PyG, self-loops are removed, the degrees count the edges that leave, `lambda_max` is by
    default twice the largest entry of L (2 for "sym", where the paper computes it), the W_k are
    drawn by Glorot's law and b starts at zero. Unlike PyG, L^ is -I on a graph without edges whose
    L is zero (PyG divides 0 by 0), and sparse tensors and `Adjacency` are accepted, with K <= 2
    also the blocks of `Adjacency.restrict`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        K: int,
        normalization: str | None = "sym",
        bias: bool = True,
        **options: Any,
    ) -> None:
        super().__init__()
        refuse_options("ChebConv", options)
        check_params({"K": K}, {"K": int_at_least(1)})
        if normalization not in ("sym", "rw", None):
            raise ValueError(f"normalization must be 'sym', 'rw' or None, got {normalization!r}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.normalization = normalization
        self.lins = nn.ModuleList(
            Linear(in_channels, out_channels, bias=False, weight_initializer="glorot")
            for _ in range(K)
        )
        self.register_parameter("bias", nn.Parameter(torch.empty(out_channels)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the W_k anew and set b to zero."""
        for lin in self.lins:
            lin.reset_parameters()
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self,
        x: Features,
        edge_index: Edges,
        edge_weight: Tensor | None = None,
        batch: Tensor | None = None,
        lambda_max: float | Tensor | None = None,
    ) -> Tensor:
        """Apply the layer.

        Parameters
        ----------
        x : Tensor or SparseMatrix of shape (n_nodes, in_channels)
            Features.
        edge_index : Tensor, Adjacency or Graph
            Sources over targets, (2, n_edges); or a sparse tensor whose rows are targets.
        edge_weight : Tensor of shape (n_edges,), optional
            Weights of the edges; differentiable.
        batch : Tensor of shape (n_nodes,), optional
            Graph of every node; read only if `lambda_max` holds one number per graph.
        lambda_max : float or Tensor, optional
            Largest eigenvalue of L, or one for every graph of `batch`.

        Returns
        -------
        Tensor of shape (n_nodes, out_channels)
            The new features.
        """
        inputs = read_inputs(x, edge_index, edge_weight)
        n_target = inputs.adjacency.n_target
        is_pair = inputs.target is not None and inputs.target is not inputs.source
        if is_pair and not inputs.adjacency.is_bipartite:
            raise ValueError(
                "x must be the rows of all nodes, got a pair (x_source, x_target): the layer reads "
                "a node as source and as target from the same row"
            )
        if inputs.adjacency.is_bipartite and len(self.lins) > 2:
            raise ValueError(
                f"K={len(self.lins)} needs edges among the same nodes, got "
                f"{inputs.adjacency.n_source} sources and {n_target} targets; blocks need K <= 2"
            )
        laplacian = self._laplacian(inputs, batch, lambda_max)
        rows = inputs.source
        if isinstance(rows, Tensor) and rows.shape[1] < self.out_channels:
            out = self._propagate_rows(laplacian, rows, n_target)
        else:
            out = clenshaw(laplacian, multiply_all(list(self.lins), rows), n_target)
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
        return _layer_sites.cheb(self, *args, **kwargs)

    def _laplacian(
        self, inputs: Inputs, batch: Tensor | None, lambda_max: float | Tensor | None
    ) -> Operator:
        """Multiplication by L^."""
        dtype, adjacency = inputs.dtype, inputs.adjacency
        n_target = adjacency.n_target
        if not isinstance(lambda_max, Tensor) or not (
            lambda_max.numel() > 1 or lambda_max.requires_grad
        ):
            largest = None if lambda_max is None else float(lambda_max)
            matrix = adjacency.cheb_matrix(self.normalization, largest, dtype=dtype)
            return lambda z: spmm(matrix, z)
        scale = 2 / lambda_max.to(dtype)
        if lambda_max.numel() > 1:
            if batch is None:
                raise ValueError(
                    f"lambda_max holds {lambda_max.numel()} numbers, one per graph: give batch, "
                    f"the graph of every node"
                )
            scale = scale[batch[:n_target]].unsqueeze(1)
        # L^ = (2 / lambda_max) L - I, from L - I.
        minus_one = adjacency.cheb_matrix(self.normalization, 2.0, dtype=dtype)

        def multiply(z: Tensor) -> Tensor:
            rows = z[:n_target]
            return scale.to(z.dtype) * (spmm(minus_one, z) + rows) - rows

        return multiply

    def _propagate_rows(self, laplacian: Operator, x: Tensor, n_target: int) -> Tensor:
        """Sum T_k(L^) x W_k in the order of k."""
        out: Tensor = self.lins[0](x[:n_target])
        before, now = x, x
        for k, lin in enumerate(self.lins[1:], start=1):
            step = laplacian(now)
            before, now = now, step if k == 1 else torch.sub(2 * step, before)
            out = out + lin(now)
        return out

    def __repr__(self) -> str:
        channels = f"{self.in_channels}, {self.out_channels}"
        return f"ChebConv({channels}, K={len(self.lins)}, normalization={self.normalization})"


def clenshaw(laplacian: Operator, terms: list[Tensor], n_target: int) -> Tensor:
    """Sum T_k(L^) terms[k] by Clenshaw's recurrence, from the highest order down.

    Parameters
    ----------
    laplacian : callable
        Multiplies by L^.
    terms : list of Tensor, each of shape (n_source, channels)
        What the polynomials multiply.
    n_target : int
        Rows of the result.

    Returns
    -------
    Tensor of shape (n_target, channels)
        The sum.
    """
    first = terms[0][:n_target]
    if len(terms) == 1:
        return first
    last, after_last = terms[-1], None
    for term in reversed(terms[1:-1]):
        now = torch.add(term, laplacian(last), alpha=2)
        last, after_last = (now if after_last is None else now - after_last), last
    out = first + laplacian(last)
    return out if after_last is None else out - after_last
