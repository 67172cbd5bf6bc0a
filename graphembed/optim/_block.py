"""One block of parameters with its pair of Kronecker factors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphembed.optim._distributed import Processes
from graphembed.optim._factors import BlockFactor, RowFactor
from graphembed.optim._solvers import (
    BlockInverse,
    DualInverse,
    EigenInverse,
    split_damping,
)
from graphembed.optim._trace_rule import TraceRule

METHODS = ("auto", "dual", "cholesky", "eigh", "thor")
_DENSE_DIM = 512  # up to here a dense Cholesky factorisation costs next to nothing
_DUAL_DIM = 2048  # beyond, a step costs more than in blocks, and on CiteSeer gains nothing


@dataclass
class Observation:
    """What one step has seen of a block; sums, so that several passes and processes add up.

    Attributes
    ----------
    rows : list of Tensor, each of shape (m, d_in)
        The input factor is ``sum of rows^T rows / a_mass``.
    a_mass : Tensor
        See `rows`.
    gram : Tensor of shape (d_out, d_out)
        The output factor is ``gram / g_mass``.
    g_mass : Tensor
        See `gram`.
    """

    rows: list[Tensor]
    a_mass: Tensor
    gram: Tensor
    g_mass: Tensor

    @classmethod
    def total(cls, several: "Sequence[Observation]") -> "Observation":
        """What several passes have seen together, at least one."""
        found = several[0]
        for other in several[1:]:
            found = cls(
                [*found.rows, *other.rows],
                found.a_mass + other.a_mass,
                found.gram + other.gram,
                found.g_mass + other.g_mass,
            )
        return found

    def is_finite(self) -> bool:
        """Whether there are numbers only; waits for the device."""
        return all(bool(tensor.isfinite().all()) for tensor in (*self.rows, self.gram))


class Block:
    """Weights side by side with their bias, of shape (d_out, d_in), and the factors A and G.

    Parameters
    ----------
    name : str
        Of the layer.
    weights : sequence of Parameter
        Each of shape (d_out, k).
    bias : Parameter, optional
        Of shape (d_out,); the last column.
    method : {"auto", "dual", "cholesky", "eigh", "thor"}
        How A is inverted.
    block_size : int
        Width of the blocks of "thor".
    n_rows : int
        Rows that A is made of in the first update; "auto" decides by them.
    """

    def __init__(
        self,
        name: str,
        weights: Sequence[Tensor],
        bias: Tensor | None,
        method: str,
        block_size: int,
        n_rows: int,
    ) -> None:
        self.name = name
        self.weights = tuple(weights)
        self.bias = bias
        self.d_out = bias.shape[0] if bias is not None else weights[0].shape[0]
        self.d_in = sum(weight.shape[1] for weight in weights) + (bias is not None)
        self.method = choose_method(self.d_in, n_rows) if method == "auto" else method
        self.block_size = block_size
        width = block_size if self.method == "thor" else max(self.d_in, self.d_out)
        self.a: BlockFactor | RowFactor
        if self.method == "dual":
            self.a = RowFactor(self.d_in, max(n_rows, self.d_in // 2))
        else:
            self.a = BlockFactor(self.d_in, width)
        self.g = BlockFactor(self.d_out, width)
        self.a_inverse: BlockInverse | DualInverse | EigenInverse | None = None
        self.g_inverse: BlockInverse | None = None
        self.n_updates = 0
        self.n_inversions = 0
        self.is_frozen = False
        self._last_rows: Tensor | None = None
        self._inverted: tuple[int, float] | None = None

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """All parameters of the block."""
        return self.weights if self.bias is None else (*self.weights, self.bias)

    @property
    def is_partly_fixed(self) -> bool:
        """Whether some, but not all of its parameters are no longer trained."""
        return len({parameter.requires_grad for parameter in self.parameters}) == 2

    def update(
        self,
        seen: Observation,
        ema: float,
        processes: Processes,
        rule: TraceRule | None = None,
        damping: float = 0.0,
    ) -> bool:
        """Take an observation into the running averages, if the rule is for it.

        The first one is taken as it is, and up to ``1 / (1 - ema)`` of them count alike: an average
        that begins at the identity or at zero would be ruled by that for a hundred steps.

        Parameters
        ----------
        seen : Observation
            Of this process.
        ema : float
            Decay.
        processes : Processes
            What they have seen is added up.
        rule : TraceRule, optional
            Whether to update, reuse or freeze.
        damping : float
            lambda, for the rule.

        Returns
        -------
        bool
            False for an observation that is not finite, which is left out.
        """
        decay = min(1 - 1 / (self.n_updates + 1), ema)
        a_mass = processes.sum(seen.a_mass)
        g = self.g.of_matrix(processes.sum(seen.gram) / processes.sum(seen.g_mass))
        is_known = self._is_known(seen.rows, processes)
        a = None if is_known else self._input_factor(seen.rows, a_mass, processes)
        if not bool(g.isfinite().all()) or (a is not None and not bool(a.isfinite().all())):
            return False
        if rule is not None and self.n_updates:
            verdict = rule.decide(self._change(a, g, decay, damping), self.n_updates)
            self.is_frozen = verdict == "freeze"
            if verdict != "update":
                return True
        if a is not None:
            self.a.update(a, decay)
        self.g.update(g, decay)
        self._last_rows = seen.rows[0] if len(seen.rows) == 1 else None
        self.n_updates += 1
        return True

    def _is_known(self, rows: list[Tensor], processes: Processes) -> bool:
        """Whether A would stay as it is: on a fixed graph, rows of the input are one object."""
        is_same = len(rows) == 1 and rows[0] is self._last_rows and processes.count == 1
        return is_same and self.a.is_constant

    def _input_factor(self, rows: list[Tensor], mass: Tensor, processes: Processes) -> Tensor:
        """What `update` of A takes."""
        if isinstance(self.a, RowFactor):
            own = rows[0] if len(rows) == 1 else torch.cat(rows)
            return processes.gather(own) / mass.sqrt()
        parts = [self.a.of_rows(part) for part in rows]
        return processes.sum(parts[0] if len(parts) == 1 else torch.stack(parts).sum(dim=0)) / mass

    def _change(self, a: Tensor | None, g: Tensor, decay: float, damping: float) -> float:
        """Relative change of ``tr(A (x) G + lambda I)`` that an update would make."""
        a_now, g_now = self.a.trace(), self.g.trace()
        a_next = a_now if a is None else torch.lerp(self.a.trace_of(a), a_now, decay)
        extra = damping * self.d_in * self.d_out
        before = a_now * g_now + extra
        after = a_next * torch.lerp(self.g.trace_of(g), g_now, decay) + extra
        return float((after - before).abs() / before)

    def values(self) -> Tensor:
        """A copy of the parameters side by side, of shape (d_out, d_in)."""
        columns = [p if p.dim() == 2 else p.unsqueeze(1) for p in self.parameters]
        return torch.cat([column.detach() for column in columns], dim=1)

    def curvature(self, direction: Tensor) -> Tensor:
        """``G direction A``, without damping."""
        outer = self.g.multiply(direction.t()).t()
        return self.a.multiply(outer)

    def invert(self, damping_value: float) -> None:
        """Compute the damped inverses anew, if factors or damping are not the same as before."""
        if self._inverted == (self.n_updates, damping_value) and self.a_inverse is not None:
            return
        self._inverted = (self.n_updates, damping_value)
        self.n_inversions += 1
        a, g = self.a, self.g
        value: Any = g.value
        damping = torch.full((), damping_value, dtype=value.dtype, device=value.device)
        if self.method == "eigh" and isinstance(a, BlockFactor):
            self.a_inverse = EigenInverse.of(a, g, damping)
            return
        a_damping, g_damping = split_damping(damping, a.trace() / self.d_in, g.trace() / self.d_out)
        old = self.a_inverse
        if isinstance(a, BlockFactor):
            self.a_inverse = BlockInverse.of(
                a, a_damping, old if isinstance(old, BlockInverse) else None
            )
        else:
            self.a_inverse = DualInverse.of(a, a_damping)
        self.g_inverse = BlockInverse.of(g, g_damping, self.g_inverse)

    def gradient(self) -> Tensor | None:
        """A copy of the gradients side by side, of shape (d_out, d_in); None if there is none.

        Zero for parameters that have none beside others that have.
        """
        if all(parameter.grad is None for parameter in self.parameters):
            return None
        columns = []
        for parameter in self.parameters:
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            columns.append(gradient if gradient.dim() == 2 else gradient.unsqueeze(1))
        return torch.cat(columns, dim=1)

    def precondition(self, gradient: Tensor) -> Tensor:
        """Multiply by the inverses: ``G^-1 gradient A^-1``."""
        inverse: Any = self.a_inverse
        rows = gradient.to(self.g.value.dtype) if self.g.value is not None else gradient
        if isinstance(inverse, EigenInverse):
            return inverse.apply(rows)
        outer: Any = self.g_inverse
        product: Tensor = inverse.apply(outer.apply_left(rows))
        return product

    def conditions(self) -> dict[str, float]:
        """Condition numbers of the damped factors, of the worst block of each."""
        found = {}
        for name, inverse in (("condition_a", self.a_inverse), ("condition_g", self.g_inverse)):
            if isinstance(inverse, DualInverse):
                found[name] = float(inverse.values.max() / inverse.damping + 1)
            elif isinstance(inverse, BlockInverse):
                found[name] = float(torch.linalg.cond(inverse.value.double()).max())
        return found

    def state(self) -> dict[str, Any]:
        """All that a checkpoint needs beside the parameters."""
        inverses = {"a_inverse": self.a_inverse, "g_inverse": self.g_inverse}
        return {
            "method": self.method,
            "block_size": self.block_size,
            "a": self.a.state(),
            "g": self.g.state(),
            "n_updates": self.n_updates,
            "n_inversions": self.n_inversions,
            "is_frozen": self.is_frozen,
            "inverted": self._inverted,
            **{name: inverse and inverse.tensors() for name, inverse in inverses.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take what `state` has returned, on the device of the parameters."""
        state = _moved(state, self.parameters[0].device)
        self.a.load(state["a"])
        self.g.load(state["g"])
        self.n_updates, self.n_inversions = state["n_updates"], state["n_inversions"]
        self.is_frozen, inverted = state["is_frozen"], state["inverted"]
        self._inverted = None if inverted is None else tuple(inverted)
        kinds: Any = {"dual": DualInverse, "eigh": EigenInverse}
        tensors = state["a_inverse"]
        if tensors is not None:
            self.a_inverse = kinds.get(self.method, BlockInverse)(**tensors)
        if state["g_inverse"] is not None:
            self.g_inverse = BlockInverse(**state["g_inverse"])

    def write(self, value: Tensor, scale: Tensor | None = None) -> None:
        """Put a matrix, times `scale`, in the place of the gradients."""
        widths = [
            1 if parameter.dim() == 1 else parameter.shape[1] for parameter in self.parameters
        ]
        for parameter, part in zip(self.parameters, value.split(widths, dim=1), strict=True):
            if parameter.grad is None:
                continue
            part = part if parameter.dim() == 2 else part.squeeze(1)
            if scale is None or part.dtype != parameter.grad.dtype:
                parameter.grad.copy_(part if scale is None else part * scale)
            else:
                torch.mul(part, scale, out=parameter.grad)


def choose_method(d_in: int, n_rows: int) -> str:
    """Choose how an input factor is inverted.

    Parameters
    ----------
    d_in : int
        Width of the factor.
    n_rows : int
        Rows that it is made of.

    Returns
    -------
    str
        "cholesky" where it is small, "dual" where it is not large and the rows are fewer than half
        the columns, and "thor" otherwise.
    """
    if d_in <= _DENSE_DIM:
        return "cholesky"
    return "dual" if d_in <= _DUAL_DIM and 2 * n_rows <= d_in else "thor"


def _moved(state: Any, device: torch.device) -> Any:
    if isinstance(state, Tensor):
        return state.to(device)
    if isinstance(state, dict):
        return {key: _moved(value, device) for key, value in state.items()}
    return [_moved(value, device) for value in state] if isinstance(state, list) else state
