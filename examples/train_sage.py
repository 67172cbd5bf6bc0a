"""GraphSAGE on a citation graph, trained on batches of sampled neighbours as on a large graph.

python examples/train_sage.py --dataset citeseer
"""

import argparse

import torch
from torch.nn.functional import cross_entropy

from graphembed.datasets import load_planetoid
from graphembed.nn import SparseMatrix
from graphembed.nn.inference import layerwise_inference
from graphembed.nn.loader import NeighborLoader
from graphembed.nn.models import GraphSAGE

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--dataset", choices=("cora", "citeseer", "pubmed"), default="cora")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

data = load_planetoid(args.dataset)
x, y = SparseMatrix.from_scipy(data.x), torch.tensor(data.y)
val, test = torch.tensor(data.val_mask), torch.tensor(data.test_mask)

torch.manual_seed(args.seed)
model = GraphSAGE(data.n_features, 64, data.n_labels, dropout=0.6)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4, fused=True)
loader = NeighborLoader(
    data.graph, x, fanouts=[15, 10], batch_size=32, seeds=data.train_mask, y=y,
    shuffle=True, random_state=args.seed,
)  # fmt: skip

for epoch in range(1, args.epochs + 1):
    model.train()
    for batch in loader:
        optimizer.zero_grad()
        loss = cross_entropy(model(batch.x, batch.edges), batch.y)
        loss.backward()
        optimizer.step()
    right = (layerwise_inference(model, x, data.graph).argmax(dim=1) == y).float()
    print(f"epoch {epoch}: loss {loss.item():.3f}, "
          f"validation {right[val].mean():.1%}, test {right[test].mean():.1%}")  # fmt: skip
