"""A network of Chebyshev filters on a citation graph; the epoch is chosen on the validation nodes.

python examples/train_cheb.py --dataset citeseer
"""

import argparse

import torch

from graphembed.datasets import load_planetoid
from graphembed.nn import SparseMatrix
from graphembed.nn.models import ChebNet
from graphembed.nn.training import EarlyStopping, Part, evaluate, make_optimizer, train_step

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--dataset", choices=("cora", "citeseer", "pubmed"), default="cora")
parser.add_argument("--epochs", type=int, default=200)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

data = load_planetoid(args.dataset)
edges, x, y = data.graph.to_adjacency(), SparseMatrix.from_scipy(data.x), torch.tensor(data.y)
masks = [torch.tensor(mask) for mask in (data.train_mask, data.val_mask, data.test_mask)]

torch.manual_seed(args.seed)
model = ChebNet(data.n_features, 16, data.n_labels, K=3, dropout=0.5)
train, val, test = (Part.of(model, x, edges, y, mask) for mask in masks)
optimizer = make_optimizer(model, "adam", lr=0.01, weight_decay=5e-4, decay="first")
best = EarlyStopping("loss", patience=args.epochs)

for epoch in range(1, args.epochs + 1):
    model.train()
    train_step(model, optimizer, train)
    loss, accuracy = evaluate(model, val)
    best.update(model, {"epoch": epoch, "val_loss": loss, "val_accuracy": accuracy})

best.restore(model)
print(f"epoch {best.best['epoch']} of {args.epochs}: "
      f"validation {evaluate(model, val)[1]:.1%}, test {evaluate(model, test)[1]:.1%}")  # fmt: skip
