"""Predict the solubility of molecules from their graphs: ESOL, by GCN and GAT.

    python examples/esol_regression.py                  # three random splits, some minutes
    python examples/esol_regression.py --model gat --seeds 1
    python examples/esol_regression.py --beside-pyg     # and by PyTorch Geometric's layers

Three layers of 64 channels, the mean over the atoms of a molecule, a linear layer. The molecules
are split at random, 80 % to train on, 10 % to choose the epoch by, 10 % to test on. Prints the root
mean squared error in log mols per litre. Needs ``pip install 'graphembed[molecules]'``.
"""

import argparse
import importlib
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from graphembed.datasets import GraphSample, load_esol, split_indices
from graphembed.nn.batch import GraphBatch, GraphLoader


class Regressor(nn.Module):
    """Three graph layers, the mean over the atoms, and a linear layer.

    `layers` is the module that the graph layers are taken from.
    """

    def __init__(self, model: str, n_features: int, layers: str = "graphembed.nn") -> None:
        super().__init__()
        source = importlib.import_module(layers)
        widths = pairwise((n_features, 64, 64, 64))
        if model == "gcn":
            convs = [source.GCNConv(a, b) for a, b in widths]
        else:
            convs = [source.GATConv(a, b // 4, heads=4) for a, b in widths]
        self.convs = nn.ModuleList(convs)
        self.out = nn.Linear(64, 1)
        self.is_pyg = layers == "torch_geometric.nn"

    def forward(self, batch: GraphBatch) -> Tensor:
        """Give one number for each graph of the batch."""
        h = batch.x
        edges = batch.edge_index if self.is_pyg else batch.adjacency
        for conv in self.convs:
            h = conv(h, edges).relu()
        return self.out(batch.readout(h, "mean"))[:, 0]


def one_hot(graphs: list[GraphSample], known_from: list[GraphSample]) -> list[GraphSample]:
    """One column for every value that a feature of an atom has in some of the graphs.

    Values that none of them has get no column, rather than one whose weights are never trained.
    """
    atoms = np.concatenate([graph.x for graph in known_from])
    values = [np.unique(column) for column in atoms.T]

    def encode(x: np.ndarray) -> np.ndarray:
        columns = [column[:, None] == known for column, known in zip(x.T, values, strict=True)]
        return np.concatenate(columns, axis=1).astype(np.float32)

    return [replace(graph, x=encode(graph.x)) for graph in graphs]


def train(model: Regressor, parts: list[GraphLoader], epochs: int) -> float:
    """Fit the model; give the error on the test part at the epoch with the best validation."""
    training, validation, test = parts
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    targets = torch.cat([batch.y for batch in training])
    mean, scale = targets.mean(), targets.std()
    best, result = float("inf"), float("nan")
    for _ in range(epochs):
        model.train()
        for batch in training:
            optimizer.zero_grad()
            nn.functional.mse_loss(model(batch), (batch.y - mean) / scale).backward()
            optimizer.step()
        model.eval()
        found = rmse(model, validation, mean, scale)
        if found < best:
            best, result = found, rmse(model, test, mean, scale)
    return result


@torch.no_grad()
def rmse(model: Regressor, loader: GraphLoader, mean: Tensor, scale: Tensor) -> float:
    """Root mean squared error."""
    errors = [model(batch) * scale + mean - batch.y for batch in loader]
    return float(torch.cat(errors).square().mean().sqrt())


def main() -> None:
    """Train and test, for every model and seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", choices=("gcn", "gat"), help="one model instead of both")
    parser.add_argument("--seeds", type=int, default=3, help="number of splits")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--beside-pyg", action="store_true", help="the same by PyG's layers too")
    options = parser.parse_args()
    graphs = list(load_esol())
    libraries = ["graphembed.nn"] + ["torch_geometric.nn"] * options.beside_pyg
    for name in [options.model] if options.model else ["gcn", "gat"]:
        for layers in libraries:
            start, errors = time.process_time(), []
            for seed in range(options.seeds):
                parts = [
                    [graphs[i] for i in part]
                    for part in split_indices(len(graphs), random_state=seed)
                ]
                loaders = [
                    GraphLoader(one_hot(part, parts[0]), 64, shuffle=k == 0, random_state=seed)
                    for k, part in enumerate(parts)
                ]
                torch.manual_seed(seed)
                model = Regressor(name, loaders[0].n_features, layers)
                errors.append(train(model, loaders, options.epochs))
            shown = ", ".join(f"{error:.3f}" for error in errors)
            print(
                f"{name} of {layers}: RMSE {np.mean(errors):.3f} +- {np.std(errors):.3f} "
                f"({shown}), {time.process_time() - start:.0f} s of CPU time"
            )


if __name__ == "__main__":
    main()
