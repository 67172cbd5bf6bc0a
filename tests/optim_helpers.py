"""Small networks, and the exact curvature of their blocks by explicit Jacobians."""

import itertools

import torch
from torch import nn

from graphembed.nn import GCNConv
from graphembed.optim import KFAC

N_NODES = 14


class Chain(nn.Module):
    """Layers one after the other; ``relu=False`` makes a linear network of linear layers."""

    def __init__(self, layers, relu=True):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.relu = relu

    def forward(self, x, edge_index):
        for k, layer in enumerate(self.layers):
            x = layer(x) if isinstance(layer, nn.Linear) else layer(x, edge_index)
            if self.relu and k < len(self.layers) - 1:
                x = x.relu()
        return x


def graph(seed=0, n=N_NODES):
    """Edges in both directions and features, in float64."""
    generator = torch.Generator().manual_seed(seed)
    upper = torch.rand(n, n, generator=generator).triu(1) > 0.75
    one_way = upper.nonzero().t()
    edges = torch.cat([one_way, one_way.flip(0)], dim=1)
    return edges, torch.randn(n, 4, generator=generator, dtype=torch.float64)


def seeded(make, seed=3):
    torch.manual_seed(seed)
    return make().double()


def gcn(relu=True, dims=(4, 3, 3, 3), seed=3):
    return seeded(lambda: Chain([GCNConv(a, b) for a, b in itertools.pairwise(dims)], relu), seed)


def loss_hessians(loss, outputs):
    """Hessian of the loss of every row, of shape (n, k, k)."""
    k = outputs.shape[1]
    if loss == "mse":
        return torch.eye(k, dtype=outputs.dtype).mul(2 / k).expand(len(outputs), k, k)
    p = outputs.softmax(1)
    return torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)


def exact_block(block, outputs, loss):
    """Gauss-Newton block of the mean loss over `outputs`, of side d_out * d_in."""
    jacobian = []
    for value in outputs.flatten():
        parts = torch.autograd.grad(value, block.parameters, retain_graph=True)
        columns = [part if part.dim() == 2 else part.unsqueeze(1) for part in parts]
        jacobian.append(torch.cat(columns, dim=1).flatten())
    jacobian = torch.stack(jacobian).view(*outputs.shape, -1)
    hessians = loss_hessians(loss, outputs.detach())
    return torch.einsum("icp,icd,idq->pq", jacobian, hessians, jacobian) / len(outputs)


def kronecker(block):
    """The block as the engine sees it: G (x) A."""
    a = block.a.value[0] if hasattr(block.a, "value") else block.a.matrix().t() @ block.a.matrix()
    return torch.kron(block.g.value[0], a.contiguous())


def relative_error(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


def run(model, x, edges, rows, *, loss="mse", y=None, n_passes=1, **options):
    """One step of the engine after some passes; returns it and the last outputs of the rows."""
    options = {"fisher": "exact", "kl_clip": None, "method": "cholesky"} | options
    pre = KFAC(model, rows=rows, loss=loss, **options)
    model.zero_grad()
    for _ in range(n_passes):
        outputs = model(x, edges)
        outputs = outputs if rows is None else outputs[rows]
        torch.manual_seed(11)
        if loss == "mse":
            target = torch.randn(outputs.shape, dtype=outputs.dtype) if y is None else y
            value = nn.functional.mse_loss(outputs, target)
        else:
            target = torch.randint(outputs.shape[1], (len(outputs),)) if y is None else y
            value = nn.functional.cross_entropy(outputs, target)
        (value / n_passes).backward(retain_graph=True)
    pre.step()
    pre.close()
    return pre, outputs
