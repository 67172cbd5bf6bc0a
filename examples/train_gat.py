"""The graph attention network of Velickovic et al. on a citation graph, with their early stopping.

python examples/train_gat.py --dataset citeseer
"""

import argparse

import torch

from graphembed.datasets import load_planetoid
from graphembed.nn import SparseMatrix
from graphembed.nn.models import GAT
from graphembed.nn.training import EarlyStopping, Part, evaluate, make_optimizer, train

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--dataset", choices=("cora", "citeseer", "pubmed"), default="cora")
parser.add_argument("--epochs", type=int, default=1000, help="at most")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

data = load_planetoid(args.dataset)
edges, x, y = data.graph.to_adjacency(), SparseMatrix.from_scipy(data.x), torch.tensor(data.y)
masks = [torch.tensor(mask) for mask in (data.train_mask, data.val_mask, data.test_mask)]

torch.manual_seed(args.seed)
model = GAT(data.n_features, 64, data.n_labels, heads=8, dropout=0.6, act="elu")
training, val, test = (Part.of(model, x, edges, y, mask) for mask in masks)
history = train(
    model,
    make_optimizer(model, "adam", lr=0.005, weight_decay=5e-4),
    [training],
    epochs=args.epochs,
    validate=lambda model: evaluate(model, val),
    stopping=EarlyStopping("both", patience=100),
)

epochs, seconds = len(history["epoch"]), sum(history["seconds"])
print(f"{epochs} epochs in {seconds:.1f} s: "
      f"validation {evaluate(model, val)[1]:.1%}, test {evaluate(model, test)[1]:.1%}")  # fmt: skip
