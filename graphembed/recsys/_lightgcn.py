"""What a `LightGCN` does with torch: smoothing, steps of an epoch, vectors."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from graphembed.nn import _ops
from graphembed.nn.sparse import SparseMatrix
from graphembed.recsys._losses import bpr, sampled_softmax
from graphembed.recsys._negatives import SeenItems, draw_pool

_INIT_STD = 0.1  # of the authors' program
Index = NDArray[np.int64]
Vectors = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Settings:
    """Parameters of a `LightGCN`, with numbers where it has None for what depends on the loss."""

    n_components: int
    n_layers: int
    loss: str
    cosine: bool
    temperature: float
    n_negatives: int | None
    user_exponent: float
    reg: float
    learning_rate: float
    batch_size: int
    n_epochs: int


def normalized_adjacency(matrix: sp.csr_matrix) -> SparseMatrix:
    """D^-1/2 A D^-1/2 of the graph of users, then items (He et al. 2020, eq. 8); A is 0 or 1.

    A row is empty where a user or an item has no interaction.
    """
    users = np.diff(matrix.indptr)
    items = np.bincount(matrix.indices, minlength=matrix.shape[1])
    values = (np.repeat(users, users) * items[matrix.indices].astype(np.float64)) ** -0.5
    scaled = sp.csr_matrix((values, matrix.indices, matrix.indptr), matrix.shape)
    blocks: list[list[Any]] = [[None, scaled], [scaled.T, None]]
    return SparseMatrix.from_scipy(sp.bmat(blocks, format="csr", dtype=np.float32))


def propagate(adjacency: SparseMatrix, x: Tensor, n_layers: int) -> list[Tensor]:
    """E(0) to E(K), eq. 7."""
    layers = [x]
    for _ in range(n_layers):
        layers.append(_ops.spmm(adjacency, layers[-1]))
    return layers


class Training:
    """The table of a model while it is learned.

    Attributes
    ----------
    table : Tensor of shape (n_users + n_items, n_components)
        E(0), users first.
    """

    def __init__(
        self, settings: Settings, matrix: sp.csr_matrix, seed: int, device: torch.device
    ) -> None:
        self._settings, self._matrix, self._seed, self._device = settings, matrix, seed, device
        self._n_users, self._n_items = matrix.shape
        self._adjacency = normalized_adjacency(matrix).to(device)
        first = torch.empty(sum(matrix.shape), settings.n_components).normal_(std=_INIT_STD)
        self.table = first.to(device).requires_grad_()
        self._optimizer = torch.optim.Adam([self.table], lr=settings.learning_rate, fused=True)

    def epoch(self, number: int) -> float:
        """Go through all interactions once; return their mean loss."""
        generator = np.random.default_rng([self._seed, number])
        total, count = 0.0, 0
        for loss, n_pairs in self._losses(generator):
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            total, count = total + float(loss.detach()) * n_pairs, count + n_pairs
        if not count:
            raise ValueError(
                "LightGCN: loss='bpr' needs an item that a user has not had, but every user of "
                "train with interactions has had all items: use loss='softmax'"
            )
        return total / count

    def vectors(self) -> Vectors:
        """Vectors of users and of items, and what those of new users are summed from."""
        with torch.no_grad():
            layers = propagate(self._adjacency, self.table, self._settings.n_layers)
            out = self._combine(layers)
            degrees = np.bincount(self._matrix.indices, minlength=self._n_items).clip(min=1)
            scale = torch.from_numpy(degrees**-0.5 / len(layers)).to(self.table)
            below = torch.stack([layer[self._n_users :] for layer in layers[:-1] or layers]).sum(0)
            users, items, folding = (
                x.cpu().numpy()
                for x in (
                    out[: self._n_users],
                    out[self._n_users :],
                    below * scale.unsqueeze(1),
                )
            )
        return users, items, folding

    def _combine(self, layers: list[Tensor]) -> Tensor:
        """E, eq. 4 with equal weights."""
        out = torch.stack(layers).mean(0)
        return F.normalize(out, dim=1) if self._settings.cosine else out

    def _forward(self) -> Tensor:
        return self._combine(propagate(self._adjacency, self.table, self._settings.n_layers))

    @cached_property
    def _seen_items(self) -> SeenItems:
        return SeenItems(self._matrix)

    # -- Losses of the steps of an epoch, with the number of interactions of each ------------

    def _losses(self, generator: np.random.Generator) -> Iterator[tuple[Tensor, int]]:
        if self._settings.loss == "bpr":
            return self._pairwise(generator)
        if self._settings.n_negatives is None:
            return self._over_all_items(generator)
        return self._over_pools(generator, self._settings.n_negatives)

    def _pairwise(self, generator: np.random.Generator) -> Iterator[tuple[Tensor, int]]:
        """Each interaction against an item that the user has not had."""
        for users, items in self._batches_of_pairs(generator):
            negatives = self._seen_items.draw_unseen(users, 1, generator)[:, 0]
            kept = negatives >= 0  # not so where a user has had everything
            if not kept.any():
                continue
            u, i, j = (
                self._rows(rows[kept])
                for rows in (users, self._n_users + items, self._n_users + negatives)
            )
            out = self._forward()
            loss = bpr(out[u], out[i], out[j].unsqueeze(1))
            yield loss + self._penalty(len(u), u, i, j), len(u)

    def _over_pools(
        self, generator: np.random.Generator, size: int
    ) -> Iterator[tuple[Tensor, int]]:
        """Each interaction among items drawn for the batch."""
        popularity = np.bincount(self._matrix.indices, minlength=self._n_items).astype(float)
        for users, items in self._batches_of_pairs(generator):
            drawn, log_q = draw_pool(popularity, size, generator)
            hits = torch.from_numpy(drawn == items[:, np.newaxis]).to(self._device)
            u, i, pool = (
                self._rows(rows) for rows in (users, self._n_users + items, self._n_users + drawn)
            )
            out = self._forward()
            loss = sampled_softmax(
                out[u],
                out[i],
                out[pool],
                torch.from_numpy(log_q).to(self._device),
                self._settings.temperature,
                mask=hits,
            )
            yield loss + self._penalty(len(u), u, i, pool), len(u)

    def _over_all_items(self, generator: np.random.Generator) -> Iterator[tuple[Tensor, int]]:
        """All interactions of a batch of users, each among all items."""
        everyone = np.flatnonzero(np.diff(self._matrix.indptr))
        size = self._settings.batch_size
        shuffled = generator.permutation(everyone)
        for begin in range(0, len(shuffled), size):
            users = shuffled[begin : begin + size]
            had = self._matrix[users]
            counts = np.diff(had.indptr)
            rows = np.repeat(np.arange(len(users)), counts)
            weights = counts[rows] ** (self._settings.user_exponent - 1)
            weights = torch.from_numpy(weights / weights.sum()).to(self.table)
            u, places = self._rows(users), self._rows(rows * self._n_items + had.indices)
            out = self._forward()
            logits = out[u] @ out[self._n_users :].t() / self._settings.temperature
            chosen = F.log_softmax(logits, dim=1).view(-1)[places]
            items = slice(self._n_users, None)
            yield self._penalty(len(u), u, items) - weights @ chosen, len(rows)

    def _batches_of_pairs(self, generator: np.random.Generator) -> Iterator[tuple[Index, Index]]:
        users = np.repeat(np.arange(self._n_users), np.diff(self._matrix.indptr))
        order = generator.permutation(len(users))
        size = self._settings.batch_size
        for begin in range(0, len(order), size):
            pairs = order[begin : begin + size]
            yield users[pairs], self._matrix.indices[pairs].astype(np.int64)

    def _penalty(self, n: int, *read: Tensor | slice) -> Tensor | float:
        """L2 of the rows of E(0) that the step reads."""
        if not self._settings.reg:
            return 0.0
        squares = torch.stack([self.table[rows].square().sum() for rows in read]).sum()
        return self._settings.reg / (2 * n) * squares

    def _rows(self, rows: NDArray[np.integer]) -> Tensor:
        return torch.from_numpy(rows.astype(np.int64)).to(self._device)
