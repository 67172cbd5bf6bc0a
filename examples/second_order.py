"""Adam and K-FAC side by side: validation loss over epochs and over seconds.

    python examples/second_order.py --dataset citeseer --output second_order.png

Trains Kipf and Welling's GCN with several seeds, the optimizers in turn, and draws the mean of the
validation loss with its 95 % confidence band (Student's t over the seeds).
"""

import argparse
import time

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import stats
from torch.nn.functional import cross_entropy

from graphembed.datasets import load_planetoid
from graphembed.nn import SparseMatrix
from graphembed.nn.models import GCN
from graphembed.optim import KFACSGD

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--dataset", choices=("cora", "citeseer", "pubmed"), default="cora")
parser.add_argument("--epochs", type=int, default=100)
parser.add_argument("--seeds", type=int, default=10)
parser.add_argument("--output", default="second_order.png")
args = parser.parse_args()

torch.set_num_threads(1)
data = load_planetoid(args.dataset)
edges, x, y = data.graph.to_adjacency(), SparseMatrix.from_scipy(data.x), torch.tensor(data.y)
train, val = (torch.tensor(mask) for mask in (data.train_mask, data.val_mask))


def groups(model):
    """L2 on the first layer only, as in Kipf and Welling's program."""
    first, second = model.convs
    return [
        {"params": list(first.parameters()), "weight_decay": 5e-4},
        {"params": list(second.parameters()), "weight_decay": 0.0},
    ]


OPTIMIZERS = {
    "Adam, lr 0.01": lambda model: torch.optim.Adam(groups(model), lr=0.01, fused=True),
    "Adam, lr 0.1": lambda model: torch.optim.Adam(groups(model), lr=0.1, fused=True),
    "K-FAC, lr 0.05": lambda model: KFACSGD(model, lr=0.05, params=groups(model)),
}
COLORS = ("#332288", "#88CCEE", "#CC6677")


def run(make, seed):
    """Validation loss and seconds of training after every epoch."""
    torch.manual_seed(seed)
    model = GCN(data.n_features, 16, data.n_labels, dropout=0.5)
    optimizer = make(model)
    # What the nodes depend on, no more: the outputs of a block are the rows of the loss.
    x_train, train_blocks = model.restrict(x, edges, train)
    x_val, val_blocks = model.restrict(x, edges, val)
    losses, seconds, total = [], [], 0.0
    for _ in range(args.epochs):
        begin = time.perf_counter()
        model.train()
        optimizer.zero_grad()
        cross_entropy(model(x_train, train_blocks), y[train]).backward()
        optimizer.step()
        total += time.perf_counter() - begin
        model.eval()
        with torch.no_grad():
            losses.append(float(cross_entropy(model(x_val, val_blocks), y[val])))
        seconds.append(total)
    return losses, seconds


def band(ax, positions, values, label, color):
    """A mean, and where it is with 95 % confidence."""
    mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1) / len(values) ** 0.5
    width = stats.t.ppf(0.975, len(values) - 1) * spread
    ax.plot(positions, mean, color=color, linewidth=1.6, label=label)
    ax.fill_between(positions, mean - width, mean + width, color=color, alpha=0.2, linewidth=0)


results = {name: [] for name in OPTIMIZERS}
for seed in range(args.seeds):
    for name, make in OPTIMIZERS.items():  # in turn, so that all meet the same machine
        results[name].append(run(make, seed))

figure = Figure(figsize=(9, 3.6), dpi=150, layout="constrained")
over_epochs, over_seconds = figure.subplots(1, 2, sharey=True)
for (name, runs), color in zip(results.items(), COLORS, strict=True):
    losses, seconds = (np.array(part) for part in zip(*runs, strict=True))
    band(over_epochs, np.arange(1, args.epochs + 1), losses, name, color)
    band(over_seconds, np.median(seconds, axis=0), losses, name, color)
    best = losses.min(axis=1).mean()
    print(f"{name}: best validation loss {best:.3f}, {1e3 * seconds[:, -1].mean():.0f} ms")
over_epochs.set(xlabel="epoch", ylabel="validation loss")
over_seconds.set(xlabel="seconds of training")
for ax in (over_epochs, over_seconds):
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
over_seconds.legend(frameon=False)
figure.suptitle(args.dataset)
figure.savefig(args.output)
print(f"{args.output}: the curves")
