"""Networks for node classification as users of PyTorch Geometric write them.

The layers may be PyG's or ours: `network(name, graphembed.nn, ...)` is the script with another
import. The recipes are those of the papers as PyG's examples have them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from citation import edge_index_of
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import graphembed.nn
from graphembed.datasets import NodeDataset


@dataclass(frozen=True)
class Recipe:
    """A network of two layers and how it is trained.

    Attributes
    ----------
    layers : callable
        Namespace of layers, number of features and of classes to the two layers.
    dropout : float
        Of the input and of the hidden layer.
    activation : callable
        After the first layer.
    learning_rate : float
        Of Adam.
    decay : tuple of two floats
        Weight decay of each layer.
    """

    layers: Callable[[Any, int, int], tuple[nn.Module, nn.Module]]
    dropout: float = 0.5
    activation: Callable[[Tensor], Tensor] = F.relu
    learning_rate: float = 0.01
    decay: tuple[float, float] = (5e-4, 0.0)


RECIPES = {
    "gcn": Recipe(
        lambda lib, d, c: (lib.GCNConv(d, 16, cached=True), lib.GCNConv(16, c, cached=True))
    ),
    "cheb": Recipe(lambda lib, d, c: (lib.ChebConv(d, 16, K=3), lib.ChebConv(16, c, K=3))),
    "gat": Recipe(
        lambda lib, d, c: (
            lib.GATConv(d, 8, heads=8, dropout=0.6),
            lib.GATConv(64, c, heads=1, concat=False, dropout=0.6),
        ),
        dropout=0.6, activation=F.elu, learning_rate=0.005, decay=(5e-4, 5e-4),
    ),
    "sage": Recipe(
        lambda lib, d, c: (lib.SAGEConv(d, 64), lib.SAGEConv(64, c)), decay=(5e-4, 5e-4)
    ),
}  # fmt: skip


class Network(nn.Module):
    """Two layers, with dropout before each."""

    def __init__(self, recipe: Recipe, library: Any, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.conv1, self.conv2 = recipe.layers(library, n_features, n_classes)

    def forward(self, x: Any, edge_index: Any) -> Tensor:
        """Return a row of logits for each node."""
        p = self.recipe.dropout
        x = F.dropout(x, p, self.training)
        x = self.recipe.activation(self.conv1(x, edge_index))
        x = F.dropout(x, p, self.training)
        return self.conv2(x, edge_index)


@dataclass
class Training:
    """A network with its data: what one epoch is, and what it has learnt."""

    model: nn.Module
    x: Any
    edge_index: Any
    data: NodeDataset

    def __post_init__(self) -> None:
        recipe, data = self.model.recipe, self.data
        self.y, self.train, self.val, self.test = map(
            torch.tensor, (data.y, data.train_mask, data.val_mask, data.test_mask)
        )
        layers = (self.model.conv1, self.model.conv2)
        self.optimizer = torch.optim.Adam(
            [
                {"params": layer.parameters(), "weight_decay": decay}
                for layer, decay in zip(layers, recipe.decay, strict=True)
            ],
            lr=recipe.learning_rate,
        )

    def epoch(self) -> float:
        """One step on all training nodes; returns the loss."""
        self.model.train()
        self.optimizer.zero_grad()
        out = self.model(self.x, self.edge_index)
        loss = F.cross_entropy(out[self.train], self.y[self.train])
        loss.backward()
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def logits(self) -> Tensor:
        """Logits of all nodes, without dropout."""
        self.model.eval()
        return self.model(self.x, self.edge_index)

    def evaluate(self) -> tuple[float, float, float]:
        """Loss and accuracy in % of the validation nodes, accuracy of the test nodes."""
        logits = self.logits()
        right = 100.0 * (logits.argmax(1) == self.y)
        loss = F.cross_entropy(logits[self.val], self.y[self.val])
        return float(loss), float(right[self.val].mean()), float(right[self.test].mean())


def as_written(data: NodeDataset, name: str, library: Any) -> Training:
    """The script as PyG's users have it: dense features, layers of `library`."""
    model = Network(RECIPES[name], library, data.n_features, data.n_labels)
    return Training(model, torch.from_numpy(data.x.toarray()), edge_index_of(data), data)


class OurNetwork(Network):
    """The same with our layers and sparse features: another dropout, or they would be dense."""

    def __init__(self, recipe: Recipe, n_features: int, n_classes: int) -> None:
        super().__init__(recipe, graphembed.nn, n_features, n_classes)
        self.dropout = graphembed.nn.Dropout(recipe.dropout)

    def forward(self, x: Any, edge_index: Any) -> Tensor:
        """Return a row of logits for each node."""
        x = self.recipe.activation(self.conv1(self.dropout(x), edge_index))
        return self.conv2(self.dropout(x), edge_index)


def with_our_layers(data: NodeDataset, name: str) -> Training:
    """The script with our layers, sparse features and our form of the edges."""
    model = OurNetwork(RECIPES[name], data.n_features, data.n_labels)
    x = graphembed.nn.SparseMatrix.from_scipy(data.x)
    return Training(model, x, data.graph.to_adjacency(), data)
