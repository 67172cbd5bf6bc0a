"""How a PinSage is trained: batches made ahead, losses, steps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graphembed.nn.adjacency import Adjacency
from graphembed.nn.loader import _made_ahead
from graphembed.nn.sparse import SparseMatrix
from graphembed.recsys._losses import bpr, max_margin, sampled_softmax
from graphembed.recsys.pinsage._batches import Batch, Batches
from graphembed.recsys.pinsage._model import PinSageModel

_AHEAD = 2  # batches

Loss = Callable[..., Tensor]


def make_loss(name: str, *, margin: float, temperature: float) -> Loss:
    """A loss of (query, positive, pool, mask=, hard=)."""

    def softmax(query: Tensor, positive: Tensor, pool: Tensor, **rest: Any) -> Tensor:
        return sampled_softmax(query, positive, pool, None, temperature, **rest)

    def margins(query: Tensor, positive: Tensor, pool: Tensor, **rest: Any) -> Tensor:
        return max_margin(query, positive, pool, margin, **rest)

    return {"softmax": softmax, "max_margin": margins, "bpr": bpr}[name]


class Training:
    """A model, the own vectors of items, and the optimizer of both.

    Attributes
    ----------
    parameters : list of Tensor
        All that is learned.
    """

    def __init__(
        self,
        model: PinSageModel,
        own: Tensor | None,
        batches: Batches,
        loss: Loss,
        *,
        learning_rate: float,
        weight_decay: float,
        device: torch.device,
    ) -> None:
        self.model = model.to(device)
        self.own = None if own is None else nn.Parameter(own.to(device))
        self.parameters = [*model.parameters()] + ([] if self.own is None else [self.own])
        self._batches, self._loss, self._device = batches, loss, device
        self._optimizer = torch.optim.AdamW(
            self.parameters, lr=learning_rate, weight_decay=weight_decay, fused=True
        )

    def epoch(self, number: int) -> float:
        """Train for one epoch, counted from 1; return the mean loss of its batches."""
        batches, losses = self._batches, []

        def make(place: int) -> Batch | None:
            return batches.make(number - 1, place)

        for batch in _made_ahead(make, len(batches), _AHEAD):
            if batch is not None:
                losses.append(self._step(batch))
        if not losses:
            raise ValueError(
                "PinSage: train gave no pair to learn from, an item of a user to find from another "
                "one of the same user: train must have users with two items or more"
            )
        return float(np.mean(losses))

    def _step(self, batch: Batch) -> float:
        self.model.train()
        z, query = self.vectors(batch)
        hard = None if batch.hard is None else z[self._index(batch.hard)]
        loss = self._loss(
            query[self._index(batch.owner)],
            z[self._index(batch.positive)],
            z[self._index(batch.pool)],
            mask=torch.from_numpy(batch.mask).to(self._device),
            hard=hard,
        )
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return float(loss.detach())

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Vectors of the items of a batch, and of its queries."""
        own = None
        if self.own is not None:
            warm = torch.from_numpy(~batch.cold).to(self._device)
            own = self.own[self._index(batch.nodes)] * warm.unsqueeze(1)
        x = None if batch.x is None else sparse(batch.x, self._device)
        blocks = [adjacency(block, self._device) for block in batch.blocks]
        z = self.model(x, own, blocks)
        return z, self.model.query(sparse(batch.shares, self._device), z)

    def _index(self, places: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(places).to(self._device)


def sparse(matrix: sp.csr_matrix, device: torch.device) -> SparseMatrix:
    """A csr matrix for torch."""
    return SparseMatrix.from_scipy(matrix).to(device)


def adjacency(matrix: sp.csr_matrix, device: torch.device) -> Adjacency:
    """Edges into the rows of a csr matrix, from its columns."""
    return Adjacency(sparse(matrix, device), is_block=True)
