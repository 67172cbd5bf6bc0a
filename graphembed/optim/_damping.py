"""Damping that follows how well the quadratic model predicts the loss."""

import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graphembed._validation import check_params, float_in, int_at_least
from graphembed.optim._block import Block


class LevenbergMarquardt:
    """Damping lambda by the ratio of true to predicted change (Martens & Grosse 2015, section 6.5).

    Every `interval` steps ``rho = (loss(w + d) - loss(w)) / (<g, d> + <d, F d> / 2)``, where d is
    what the optimizer has made of the step. ``rho > 3/4`` multiplies lambda by
    ``decay^interval``, ``rho < 1/4`` divides it by that. Give the loss, without a penalty that
    `KFAC` adds, to ``KFAC.step(loss)``, or a closure to the step of `KFACSGD`.

    Parameters
    ----------
    initial : float, default=1e-2
        First lambda.
    decay : float, default=0.95
        Change for every step.
    interval : int, default=5
        Steps between two looks, each of which waits for the device.
    lowest, highest : float
        Bounds of lambda.

    Notes
    -----
    Dropout and mini-batches make the losses noisy, and rho with them. O(parameters) memory. It
    belongs to the first `KFAC` it is given to: another training needs another one.
    """

    def __init__(
        self,
        initial: float = 1e-2,
        *,
        decay: float = 0.95,
        interval: int = 5,
        lowest: float = 1e-8,
        highest: float = 1e2,
    ) -> None:
        positive = float_in(0, 1e30, "right")
        check_params(
            {
                "initial": initial,
                "decay": decay,
                "interval": interval,
                "lowest": lowest,
                "highest": highest,
            },
            {
                "initial": positive,
                "decay": float_in(0, 1, "neither"),
                "interval": int_at_least(1),
                "lowest": positive,
                "highest": positive,
            },
            owner="LevenbergMarquardt",
        )
        if lowest > highest:
            raise ValueError(
                "LevenbergMarquardt: lowest must be at most highest, got "
                f"lowest={lowest!r}, highest={highest!r}"
            )
        self.value = initial
        self.decay = decay
        self.interval = interval
        self.lowest = lowest
        self.highest = highest
        self.ratio: float | None = None
        self._before: tuple[float, dict[str, tuple[Tensor, Tensor]]] | None = None
        self._owner: weakref.ref[Any] | None = None

    def claim(self, owner: object) -> None:
        """Belong to an engine, and to no other one.

        Parameters
        ----------
        owner : object
            The engine; not kept alive.

        Raises
        ------
        ValueError
            If it belongs to another one.
        """
        known = owner if self._owner is None else self._owner()
        is_used = self._before is not None or self.ratio is not None
        if known is not owner and (known is not None or is_used):
            raise ValueError(
                "KFAC: damping must be a LevenbergMarquardt of its own, got that of "
                "another one: make a new one"
            )
        self._owner = weakref.ref(owner)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_owner": None, "_before": None}  # a copy belongs to no engine

    def __call__(self, step: int) -> float:
        """Return lambda, whatever the step."""
        return self.value

    def look(self, loss: Tensor | float, blocks: Mapping[str, Block]) -> None:
        """Compare the loss with what was predicted in the step before, if it was noted.

        Parameters
        ----------
        loss : Tensor or float
            The loss of this step's backward pass.
        blocks : mapping of str to Block
            With the factors of the step that was noted.
        """
        if self._before is None:
            return
        loss_before, kept = self._before
        self._before = None
        predicted = sum(_predicted(blocks[name], *tensors) for name, tensors in kept.items())
        change = _number(loss) - loss_before
        self.ratio = change / predicted if predicted else 0.0
        factor = self.decay**self.interval
        if self.ratio > 0.75:
            self.value = max(self.lowest, self.value * factor)
        elif not self.ratio >= 0.25:  # also where it is no number
            self.value = min(self.highest, self.value / factor)

    def note(self, step: int, loss: Tensor | float, blocks: Mapping[str, Block]) -> None:
        """Keep what the next `look` needs, if it is time.

        Parameters
        ----------
        step : int
            Steps done so far.
        loss : Tensor or float
            As in `look`.
        blocks : mapping of str to Block
            With the gradients of this very loss, without a penalty.
        """
        if step % self.interval:
            return
        kept = {}
        for name, block in blocks.items():
            gradient = block.gradient()
            if gradient is not None and block.n_updates:
                kept[name] = (gradient, block.values())
        self._before = _number(loss), kept

    def state_dict(self) -> dict[str, Any]:
        """Return the damping, and what the next look needs.

        Returns
        -------
        dict
            For `load_state_dict`.
        """
        return {"value": self.value, "ratio": self.ratio, "before": self._before}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what `state_dict` has returned.

        Parameters
        ----------
        state : dict
            The damping.
        """
        self.value, self.ratio, self._before = state["value"], state["ratio"], state["before"]


def _number(loss: Tensor | float) -> float:
    return float(loss.detach()) if isinstance(loss, Tensor) else float(loss)


def _predicted(block: Block, gradient: Tensor, before: Tensor) -> float:
    """``<g, d> + <d, (A (x) G) d> / 2`` with d what has changed since `before`."""
    d = block.values() - before.to(block.parameters[0].device)
    gradient = gradient.to(d.device)
    return float((gradient * d).sum() + torch.sum(d * block.curvature(d)) / 2)
