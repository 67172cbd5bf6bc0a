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
    """The parameters of `KFAC`, which describes them, as attributes.

    Those in `AT_EVERY_STEP` may be set anew, and are checked then.
    """

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
        if not isinstance(self.model, nn.Module):
            raise TypeError(
                "KFAC: model must be a torch.nn.Module, not its parameters, got "
                f"{type(self.model).__name__}"
            )
        for name in _CONSTRAINTS:
            _check(name, getattr(self, name))
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
        self._is_made = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__dict__.get("_is_made") and name in self.__dataclass_fields__:
            if name not in AT_EVERY_STEP:
                raise AttributeError(
                    f"KFAC: {name} cannot be set anew, only {', '.join(AT_EVERY_STEP)}: make a new "
                    "KFAC"
                )
            if name != "rows":  # which are checked by the next pass
                _check(name, value)
        super().__setattr__(name, value)

    def _at(self, name: str, n_steps: int) -> Any:
        """An option that may be a schedule: its value after some steps, which is checked."""
        given = getattr(self, name)
        return _given(name, given(n_steps), f"step {n_steps}") if callable(given) else given

    def _penalty_of(self, parameter: str) -> Any:
        """`weight_decay` of a parameter, which is checked."""
        given = self.weight_decay
        if not callable(given):
            return given
        return _given("weight_decay", given(parameter), f"parameter {parameter!r}")

    def _scale_now(self) -> Any:
        """`loss_scale` of this pass, which is checked."""
        given = self.loss_scale
        return _given("loss_scale", given(), "this pass") if callable(given) else given


def _check(name: str, value: Any) -> None:
    if not (name in _SCHEDULES and callable(value)):  # what they give is checked
        check_params({name: value}, {name: _CONSTRAINTS[name]}, owner="KFAC")


def _given(name: str, value: Any, place: str) -> Any:
    constraint = float_in(0, 1e30) if name == "lr" else _CONSTRAINTS[name]  # 0: to warm up
    if not constraint.holds(value):
        raise ValueError(
            f"KFAC: {name} must be {constraint.wish}, got {value!r} from its schedule at {place}"
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
        self._patterns = tuple(map(_compiled, patterns))

    def layer(self, name: str, module: nn.Module) -> bool:
        """Whether a layer is meant."""
        return self.text(name) or self.text(type(module).__name__)

    def text(self, text: str) -> bool:
        """Whether a name is meant."""
        return any(pattern.search(text) for pattern in self._patterns)


def _compiled(pattern: Any) -> re.Pattern[str]:
    if not isinstance(pattern, str):
        raise TypeError(f"KFAC: skip must be an iterable of str, got {pattern!r} in it")
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"KFAC: skip must have regular expressions, got {pattern!r}: {error}"
        ) from error


AT_EVERY_STEP = (
    "rows",
    "lr",
    "damping",
    "ema",
    "inv_update_freq",
    "kl_clip",
    "weight_decay",
    "loss_scale",
    "interval_growth",
)
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
