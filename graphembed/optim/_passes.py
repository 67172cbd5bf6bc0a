"""The forward passes between two steps, without those whose gradients were thrown away."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_MOST = 1024


@dataclass(eq=False)
class Pass:
    """One forward pass.

    Attributes
    ----------
    parameters : list of Tensor
        One of every site.
    seen : Any
        What it says about the factors, or what that is computed of once it has gradients.
    task : int, optional
        Number of the backward pass that has come to its output.
    """

    parameters: list[Tensor]
    seen: Any
    task: int | None = None


class Passes:
    """Passes since the last step, the latest 1024 at most.

    Where a step is left out, as by a gradient scaler, nothing is called here. It shows by gradients
    that are zero or None when the next backward pass comes, although there was one before.
    """

    def __init__(self) -> None:
        self._kept: deque[Pass] = deque(maxlen=_MOST)

    def __iter__(self) -> Iterator[Pass]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Begin another step."""
        self._kept.clear()

    def note_backward(self, made: Pass) -> None:
        """Called when gradients come to the output of a pass; that pass is kept from then on."""
        made.task = torch._C._current_graph_task_id()
        earlier = [p for p in self._kept if p is not made and p.task not in (None, made.task)]
        if earlier and all(_is_zero(w) for p in earlier for w in p.parameters):
            self._kept = deque((p for p in self._kept if p not in earlier), maxlen=_MOST)
        if made not in self._kept:
            self._kept.append(made)


def _is_zero(parameter: Tensor) -> bool:
    return parameter.grad is None or not bool(parameter.grad.any())
