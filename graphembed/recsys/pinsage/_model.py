"""PinSage's network: what goes in, K convolutions, the head."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from graphembed.nn import _ops
from graphembed.nn.adjacency import Adjacency
from graphembed.nn.linear import Linear
from graphembed.nn.pinsage import PinSageConv
from graphembed.nn.sparse import SparseMatrix
from graphembed.recsys.pinsage._settings import Settings


class Inputs(NamedTuple):
    """Width of the features, and widths of W0 x and of own vectors."""

    n_features: int
    widths: tuple[int, int]

    @classmethod
    def of(cls, settings: Settings, rows: sp.csr_matrix | None, *, plain: bool) -> Self:
        """What `rows` of features need; `plain` ones of the paper's model go in as they are."""
        n_features = 0 if rows is None else rows.shape[1]
        has_own = rows is None if settings.id_vectors is None else bool(settings.id_vectors)
        if rows is None and not has_own:
            raise ValueError(
                "PinSage: without item_features and item_edges there must be id_vectors, got "
                "id_vectors=False"
            )
        whole = settings.n_components
        if has_own:
            own = whole // 2 if n_features else whole
            return cls(n_features, (whole - own, own))
        return cls(n_features, (0 if plain and not settings.residual else whole, 0))


class PinSageModel(nn.Module):  # type: ignore[misc]
    """K convolutions and the head ``z = G2 ReLU(G1 h^K + g)`` (Ying et al. 2018, algorithm 2).

    With `residual`, ``z = (h^0 + G2 ReLU(G1 h^K + g))`` over its norm, where h^0 is the input: the
    unit vector of ``W0 x`` beside the item's own vector e, over its norm. G2 is zero at first, so
    that the model begins with the geometry of h^0. With `widths` of (0, 0) h^0 is x as it is, as in
    the paper.

    Parameters
    ----------
    n_features : int
        Width of x; 0 without features.
    widths : (int, int)
        Of W0 x and of e, either 0 where there is none.
    hidden : int
        Width of the convolutions, inside and out.
    n_components : int
        Width of z; with `residual` the sum of `widths`.
    n_layers : int
        K; with 0, h^K is h^0.
    pooling : {"importance", "mean", "max"}, default="importance"
        Of `PinSageConv`.
    residual : bool, default=True
        As above.

    Notes
    -----
    The parameters of a layer are shared by all items. ``layer(k, h, edges)`` for k < K is a
    convolution.
    """

    def __init__(
        self,
        n_features: int,
        widths: tuple[int, int],
        hidden: int,
        n_components: int,
        n_layers: int,
        *,
        pooling: str = "importance",
        residual: bool = True,
    ) -> None:
        super().__init__()
        inside = sum(widths)
        if residual and inside != n_components:
            raise ValueError(f"residual needs n_components={inside}, got {n_components}")
        self.residual, self.encodes = residual, inside > 0
        self.basis = Linear(n_features, widths[0], bias=False) if widths[0] else None
        inside = inside or n_features
        sizes = [inside] + [hidden] * n_layers
        self.convs = nn.ModuleList(PinSageConv(n, hidden, hidden, pooling) for n in sizes[:-1])
        self.G1 = Linear(sizes[-1], hidden)
        self.G2 = Linear(hidden, n_components, bias=False)
        if residual:
            nn.init.zeros_(self.G2.weight)

    @property
    def num_layers(self) -> int:
        """K."""
        return len(self.convs)

    def encode(self, x: SparseMatrix | None, own: Tensor | None) -> Tensor | SparseMatrix:
        """h^0 of items with the features x and the own vectors `own`.

        Parameters
        ----------
        x : SparseMatrix of shape (n, n_features), or None
            Features.
        own : Tensor of shape (n, width), or None
            Of unit length, or zero for items that have none.

        Returns
        -------
        Tensor or SparseMatrix
            h^0.
        """
        if not self.encodes:
            if x is None:
                raise ValueError("without own vectors there must be features")
            return x
        parts = [] if own is None else [F.normalize(own, dim=1)]
        if self.basis is not None:
            parts.insert(0, F.normalize(self.basis(x), dim=1))
        return F.normalize(torch.cat(parts, dim=1), dim=1)

    def layer(self, k: int, h: Tensor | SparseMatrix, edges: Adjacency) -> Tensor:
        """The convolution k: rows of the targets of a block."""
        out: Tensor = self.convs[k](h, edges)
        return out

    def head(self, h: Tensor | SparseMatrix, first: Tensor | SparseMatrix) -> Tensor:
        """What z is of h^K, with h^0 for the residual."""
        out: Tensor = self.G2(self.G1(h).relu())
        return F.normalize(first + out, dim=1) if self.residual else out

    def forward(
        self, x: SparseMatrix | None, own: Tensor | None, blocks: Sequence[Adjacency]
    ) -> Tensor:
        """Vectors z of the targets of the last block; of all rows, where there are no layers.

        Parameters
        ----------
        x, own
            Of the sources of the first block.
        blocks : sequence of Adjacency
            One for each layer; the targets of one are the sources of the next, and come first
            among its own sources.

        Returns
        -------
        Tensor of shape (n_targets, n_components)
            z.
        """
        first = self.encode(x, own)
        h = first
        for conv, block in zip(self.convs, blocks, strict=True):
            h = conv(h, block)
        if isinstance(first, SparseMatrix):
            return self.head(h, first)
        return self.head(h, first[: h.shape[0]])

    def query(self, shares: SparseMatrix, z: Tensor) -> Tensor:
        """Vectors of those who have several items: sums of z by shares, of unit length if z is."""
        mean = _ops.spmm(shares, z)
        return F.normalize(mean, dim=1) if self.residual else mean


def make_model(settings: Settings, inputs: Inputs) -> PinSageModel:
    """The network; its parameters are drawn from torch's generator."""
    return PinSageModel(
        inputs.n_features,
        inputs.widths,
        settings.hidden,
        settings.n_components,
        settings.n_layers,
        pooling=settings.pooling,
        residual=settings.residual,
    )
