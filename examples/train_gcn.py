"""Kipf and Welling's GCN on a citation graph: a plain loop of PyTorch.

    python examples/train_gcn.py --dataset citeseer

Prints the losses and the accuracy on the validation and test nodes of the public split.
"""

import argparse

import torch
from torch.nn.functional import cross_entropy

from graphembed.datasets import load_planetoid
from graphembed.nn import SparseMatrix
from graphembed.nn.models import GCN

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--dataset", choices=("cora", "citeseer", "pubmed"), default="cora")
parser.add_argument("--epochs", type=int, default=200)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

data = load_planetoid(args.dataset)
edges, x, y = data.graph.to_adjacency(), SparseMatrix.from_scipy(data.x), torch.tensor(data.y)
train, val, test = (torch.tensor(m) for m in (data.train_mask, data.val_mask, data.test_mask))

torch.manual_seed(args.seed)
model = GCN(data.n_features, 16, data.n_labels, dropout=0.5)
first, second = model.convs
optimizer = torch.optim.Adam(
    [{"params": first.parameters(), "weight_decay": 5e-4}, {"params": second.parameters()}],
    lr=0.01,
    fused=True,
)
x_train, blocks = model.restrict(x, edges, train)  # what the training nodes depend on, no more

for epoch in range(1, args.epochs + 1):
    model.train()
    optimizer.zero_grad()
    loss = cross_entropy(model(x_train, blocks), y[train])
    loss.backward()
    optimizer.step()
    if epoch % 20 == 0 or epoch == args.epochs:
        model.eval()
        with torch.no_grad():
            right = (model(x, edges).argmax(dim=1) == y).float()
        print(f"epoch {epoch}: loss {loss.item():.3f}, "
              f"validation {right[val].mean():.1%}, test {right[test].mean():.1%}")  # fmt: skip
