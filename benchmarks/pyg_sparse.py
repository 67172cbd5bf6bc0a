"""PyG's layers with sparse features in the first one, by torch's CSR products.

No change of the law: dropout on the stored values is dropout on all, since zeros stay zero; and
SAGEConv and ChebConv, which aggregate before they transform, give the same in the other order,
which sparse features need.
"""

import warnings
from typing import Any

import torch
import torch_geometric.nn as pyg
from citation import edge_index_of
from networks import RECIPES, Network, Training
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from graphembed.datasets import NodeDataset

# Torch warns of both at the first matrix.
torch.sparse.check_sparse_tensor_invariants.disable()
warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")


class Features:
    """A CSR matrix with its transpose, so that neither product has to transpose anything."""

    def __init__(self, pattern: tuple[Tensor, ...], values: Tensor, shape: torch.Size) -> None:
        self.pattern, self.values, self.shape = pattern, values, shape

    @classmethod
    def from_scipy(cls, matrix: Any) -> "Features":
        """Copy a scipy CSR matrix."""
        numbers = matrix.copy()
        numbers.data = torch.arange(1, matrix.nnz + 1).double().numpy()
        turned = numbers.T.tocsr()
        order = torch.from_numpy(turned.data).long() - 1
        arrays = (matrix.indptr, matrix.indices, turned.indptr, turned.indices)
        pattern = (*(torch.from_numpy(a).int() for a in arrays), order)
        return cls(pattern, torch.from_numpy(matrix.data), torch.Size(matrix.shape))

    def dropout(self, p: float, training: bool) -> "Features":
        """Drop stored values."""
        return Features(self.pattern, F.dropout(self.values, p, training), self.shape)


class _Product(torch.autograd.Function):
    """`features @ weight.T`; only the weight has a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Features, weight: Tensor) -> Tensor:
        ctx.x = x
        indptr, indices = x.pattern[:2]
        return torch.sparse_csr_tensor(indptr, indices, x.values, x.shape) @ weight.t().contiguous()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        x = ctx.x
        indptr, indices, order = x.pattern[2:]
        turned = torch.sparse_csr_tensor(indptr, indices, x.values[order], x.shape[::-1])
        return None, (turned @ grad.contiguous()).t()


class SparseLinear(nn.Module):
    """PyG's Linear, fed `Features`; shares the parameters of the layer that it stands for."""

    def __init__(self, dense: nn.Module) -> None:
        super().__init__()
        self.weight, self.bias = dense.weight, dense.bias

    def forward(self, x: Features) -> Tensor:
        """Return x W^T + b."""
        out = _Product.apply(x, self.weight)
        return out if self.bias is None else out + self.bias


class _Transformed(nn.Module):
    """GCNConv and GATConv transform first by themselves."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.lin, self.conv = SparseLinear(conv.lin), conv
        conv.lin = nn.Identity()

    def forward(self, x: Features, edge_index: Tensor) -> Tensor:
        """As PyG's."""
        return self.conv(self.lin(x), edge_index)


class _Sage(nn.Module):
    """The mean of the transformed rows; the bias of `lin_l` goes with the nodes' own rows."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv, self.lin_l, conv.lin_r = conv, SparseLinear(conv.lin_l), SparseLinear(conv.lin_r)
        conv.lin_r.bias, self.lin_l.bias = self.lin_l.bias, None
        conv.lin_l = nn.Identity()

    def forward(self, x: Features, edge_index: Tensor) -> Tensor:
        """As PyG's."""
        return self.conv((self.lin_l(x), x), edge_index)


class _Cheb(nn.Module):
    """For K = 3: Z0 - Z2 + L (Z1 + 2 L Z2) with Zk = X Wk, which is Clenshaw's recurrence."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        conv.lins = nn.ModuleList([SparseLinear(lin) for lin in conv.lins])

    def forward(self, x: Features, edge_index: Tensor) -> Tensor:
        """As PyG's."""
        z0, z1, z2 = (lin(x) for lin in self.conv.lins)
        edges, norm = self.conv.__norm__(edge_index, len(z0), None, "sym", dtype=z0.dtype)
        inner = z1 + 2 * self.conv.propagate(edges, x=z2, norm=norm)
        return z0 - z2 + self.conv.propagate(edges, x=inner, norm=norm) + self.conv.bias


_FIRST = {"gcn": _Transformed, "gat": _Transformed, "sage": _Sage, "cheb": _Cheb}


class SparseNetwork(Network):
    """The same network for `Features`."""

    def __init__(self, name: str, n_features: int, n_classes: int) -> None:
        super().__init__(RECIPES[name], pyg, n_features, n_classes)
        self.conv1 = _FIRST[name](self.conv1)

    def forward(self, x: Features, edge_index: Tensor) -> Tensor:
        """Return a row of logits for each node."""
        p = self.recipe.dropout
        x = self.conv1(x.dropout(p, self.training), edge_index)
        return self.conv2(F.dropout(self.recipe.activation(x), p, self.training), edge_index)


def with_sparse_features(data: NodeDataset, name: str) -> Training:
    """The script with CSR features."""
    model = SparseNetwork(name, data.n_features, data.n_labels)
    return Training(model, Features.from_scipy(data.x), edge_index_of(data), data)
