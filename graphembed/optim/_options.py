"""What `KFAC` is told: its options, with their checks."""

import re
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from torch import Tensor, nn

from graphembed._validation import check_params, float_in, int_at_least, one_of, optional
from graphembed.optim._block import METHODS
from graphembed.optim._fisher import LOSSES
from graphembed.optim._trace_rule import TraceRule

Schedule = float | Callable[[int], float]


@dataclass(eq=False, repr=False)
class Options:
    """The parameters of `KFAC`, which describes them, as attributes that may be set anew."""

    model: nn.Module
    lr: Schedule | None = None
    _: KW_ONLY
    rows: Tensor | None = None
    damping: Schedule = 5e-4
    ema: Schedule = 0.95
    cov_update_freq: int = 1
    inv_update_freq: int = 1
    approx: str = "reduce"
    fisher: str = "mc"
    loss_scale: float | Callable[[], float] = 1.0
    loss: str = "cross_entropy"
    method: str = "auto"
    block_size: int = 32
    kl_clip: float | Callable[[int], float | None] | None = 1e-3
    weight_decay: float | Callable[[str], float] = 0.0
    skip: Iterable[str] = ()
    unlabeled_weight: float = 0.0
    trace_rule: TraceRule | None = None
    interval_growth: float = 1.5
    seed: int = 0
    process_group: Any = None

    def __post_init__(self) -> None:
        wishes = {
            name: wish
            for name, wish in _CONSTRAINTS.items()
            if not (name in _SCHEDULES and callable(getattr(self, name)))  # checked by their use
        }
        check_params(self, wishes, owner="KFAC")
        if self.fisher == "empirical" and self.unlabeled_weight > 0:
            raise ValueError(
                'KFAC: fisher="empirical" sees no gradients of unlabelled rows: unlabeled_weight '
                f'must be 0, got {self.unlabeled_weight!r}; or take fisher="mc"'
            )
        if isinstance(self.skip, str):
            raise TypeError(
                f"KFAC: skip must be an iterable of str, got the str {self.skip!r}: [{self.skip!r}]"
            )
        if not isinstance(self.trace_rule, (TraceRule, type(None))):
            raise TypeError(
                f"KFAC: trace_rule must be a TraceRule or None, got {self.trace_rule!r}"
            )
        self.skip = tuple(self.skip)

    def _at(self, name: str, n_steps: int) -> Any:
        """An option that may be a schedule: its value after some steps, which is checked."""
        given = getattr(self, name)
        if not callable(given):
            return given
        value = given(n_steps)
        if not _CONSTRAINTS[name].holds(value):
            raise ValueError(
                f"KFAC: {name} must be {_CONSTRAINTS[name].wish}, got {value!r} from its schedule "
                f"at step {n_steps}"
            )
        return value


class Skipped:
    """Which layers and parameters are left out.

    Parameters
    ----------
    patterns : iterable of str
        Regular expressions, looked for in names and classes.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(re.compile(pattern) for pattern in patterns)

    def layer(self, name: str, module: nn.Module) -> bool:
        """Whether a layer is meant."""
        return self.text(name) or self.text(type(module).__name__)

    def text(self, text: str) -> bool:
        """Whether a name is meant."""
        return any(pattern.search(text) for pattern in self._patterns)


_SCHEDULES = ("lr", "damping", "ema", "kl_clip", "weight_decay", "loss_scale")
_CONSTRAINTS = {
    "lr": optional(float_in(0, 1e30, "right")),
    "damping": float_in(0, 1e30, "right"),
    "ema": float_in(0, 1, "left"),
    "cov_update_freq": int_at_least(1),
    "inv_update_freq": int_at_least(1),
    "approx": one_of("reduce", "expand"),
    "fisher": one_of("mc", "exact", "empirical"),
    "loss_scale": float_in(0, 1e30, "right"),
    "loss": one_of(*LOSSES),
    "method": one_of(*METHODS),
    "block_size": int_at_least(1),
    "kl_clip": optional(float_in(0, 1e30, "right")),
    "weight_decay": float_in(0, 1e30),
    "unlabeled_weight": float_in(0, 1e6),
    "interval_growth": float_in(1, 100),
    "seed": int_at_least(0, bits=63),
}
