"""Checks of what a checkpoint holds: every error names the place, the wish and the fact."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

Shape = tuple[int | None, ...]
_DTYPES = (torch.float32, torch.float64)


def factor_dtype(dtype: torch.dtype) -> torch.dtype:
    """That of the factors of a model of some dtype."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    is_real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def is_count(value: Any, low: int = 0) -> bool:
    """Whether a value is an int from `low` up."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def is_interval(value: Any) -> bool:
    """Whether a value is an interval between updates and the step of the next one."""
    if not (isinstance(value, (list, tuple)) and len(value) == 2):
        return False
    return is_number(value[0]) and value[0] >= 1 and is_count(value[1])


def expect_keys(state: Any, wanted: Iterable[str], where: str) -> None:
    """Check that a part of the state is a dict of these fields."""
    expect(isinstance(state, Mapping), where, "a dict", state)
    for name in wanted:
        if name not in state:
            raise ValueError(f"KFAC.load_state_dict: {where} has no field {name!r}")
    for name in state:
        if name not in wanted:
            raise ValueError(f"KFAC.load_state_dict: {where} has an unknown field {name!r}")


def expect_tensor(
    where: str,
    value: Any,
    shape: Shape,
    *,
    of_factor: bool = True,
) -> None:
    """Check that a part of the state is a Tensor; None in a shape is any number."""
    wish = f"a Tensor of shape {tuple('m' if n is None else n for n in shape)}"
    expect(isinstance(value, Tensor), where, wish, value)
    fits = value.dim() == len(shape) and all(
        n is None or n == m for n, m in zip(shape, value.shape, strict=True)
    )
    expect(fits, where, wish, tuple(value.shape))
    if of_factor:
        expect(value.dtype in _DTYPES, where, "of float32 or float64", value.dtype)
        expect(bool(value.isfinite().all()), where, "of finite numbers", value)


def expect(is_right: bool, where: str, wish: Any, value: Any) -> None:
    """Raise a ValueError if something is not right; of tensors and dicts it has the class only."""
    if not is_right:
        found = type(value).__name__ if isinstance(value, (Tensor, Mapping, nn.Module)) else value
        raise ValueError(f"KFAC.load_state_dict: {where} must be {wish}, got {found!r}")
