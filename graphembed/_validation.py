"""Parameter checks, seeds, thread counts and optional packages.

A constraint is a pair of a predicate and the wish it stands for. An estimator keeps a table
``_constraints = {"p": positive_float(), "walk_length": int_at_least(1)}`` and calls
`check_params` on the first line of ``fit``, before any work is done.
"""

import importlib
import math
import numbers
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Constraint:
    """What a parameter must be: a predicate and the words for an error message."""

    holds: Callable[[Any], bool]
    wish: str


def _is_int(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))


def _is_real(value: Any) -> bool:
    if not isinstance(value, numbers.Real) or isinstance(value, (bool, np.bool_)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond every float
        return False


def int_at_least(low: int, *, bits: int = 31) -> Constraint:
    """Whole numbers from `low` up, below 2 ** `bits`."""
    return Constraint(
        lambda v: _is_int(v) and low <= v < 2**bits, f"an int >= {low} and < 2**{bits}"
    )


def int_in(low: int, high: int) -> Constraint:
    """Whole numbers from `low` to `high`, both included."""
    return Constraint(lambda v: _is_int(v) and low <= v <= high, f"an int from {low} to {high}")


def positive_float() -> Constraint:
    """Numbers above zero whose products and quotients stay finite."""
    return Constraint(
        lambda v: _is_real(v) and 1e-100 <= float(v) <= 1e100,
        "a finite number > 0 (1e-100 to 1e100)",
    )


def float_in(
    low: float,
    high: float,
    inclusive: Literal["both", "left", "right", "neither"] = "both",
) -> Constraint:
    """Finite numbers in an interval."""
    left, right = inclusive in ("both", "left"), inclusive in ("both", "right")

    def holds(value: Any) -> bool:
        return (
            _is_real(value)
            and (float(value) >= low if left else float(value) > low)
            and (float(value) <= high if right else float(value) < high)
        )

    interval = f"{'[' if left else '('}{low:g}, {high:g}{']' if right else ')'}"
    return Constraint(holds, f"a finite number in {interval}")


def one_of(*choices: str) -> Constraint:
    """One of a few strings."""
    names = ", ".join(repr(c) for c in choices)
    return Constraint(lambda v: isinstance(v, str) and v in choices, f"one of {names}")


def boolean() -> Constraint:
    """True or False."""
    return Constraint(lambda v: isinstance(v, (bool, np.bool_)), "True or False")


def verbosity() -> Constraint:
    """How much is shown: 0 or False nothing, more a progress bar per phase."""
    return Constraint(
        lambda v: isinstance(v, (bool, np.bool_)) or (_is_int(v) and v >= 0),
        "an int >= 0 or a bool",
    )


def optional(constraint: Constraint) -> Constraint:
    """None, or what `constraint` wants."""
    return Constraint(lambda v: v is None or constraint.holds(v), f"None or {constraint.wish}")


def random_state_like() -> Constraint:
    """What `draw_seed` accepts."""
    return Constraint(
        lambda v: (
            v is None
            or (_is_int(v) and v >= 0)
            or isinstance(v, (np.random.Generator, np.random.RandomState))
        ),
        "None, an int >= 0, a numpy Generator or a numpy RandomState",
    )


def n_jobs_like() -> Constraint:
    """What `effective_n_threads` accepts."""
    return Constraint(
        lambda v: v is None or (_is_int(v) and v != 0),
        "None or an int other than 0 (-1 means all usable cores)",
    )


def check_params(
    params: Any, constraints: Mapping[str, Constraint], *, owner: str | None = None
) -> None:
    """Raise on the first parameter that breaks its constraint.

    Parameters
    ----------
    params : mapping or object
        Parameter values by name, or an object that has them as attributes.
    constraints : mapping of str to Constraint
        The table.
    owner : str, optional
        Name put in front of the message.

    Raises
    ------
    ValueError
        If a value breaks its constraint; the message names the parameter, the wish and the value.
    """
    prefix = f"{owner}: " if owner else ""
    for name, constraint in constraints.items():
        value = params[name] if isinstance(params, Mapping) else getattr(params, name)
        if not constraint.holds(value):
            raise ValueError(f"{prefix}{name} must be {constraint.wish}, got {value!r}")


def draw_seed(random_state: Any) -> int:
    """Turn `random_state` into one unsigned 64-bit seed.

    The same integer gives the same seed on every machine; a generator is advanced by one draw;
    None takes fresh entropy from the operating system. Global generators are never touched.

    Parameters
    ----------
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Where the seed comes from.

    Returns
    -------
    int
        A seed in [0, 2**64).
    """
    check_params({"random_state": random_state}, {"random_state": random_state_like()})
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**64, dtype=np.uint64))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**64, dtype=np.uint64))
    entropy = None if random_state is None else int(random_state)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])


def effective_n_threads(n_jobs: int | None) -> int:
    """Turn `n_jobs` into a number of threads, by scikit-learn's rules.

    Parameters
    ----------
    n_jobs : int or None
        None means 1; -1 all cores this process may use; -2 all but one, and so on.

    Returns
    -------
    int
        At least 1.
    """
    check_params({"n_jobs": n_jobs}, {"n_jobs": n_jobs_like()})
    if n_jobs is None:
        return 1
    if n_jobs > 0:
        return int(n_jobs)
    return max(1, usable_cores() + 1 + int(n_jobs))


def usable_cores() -> int:
    """Count the cores this process may run on (affinity mask where the system has one)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def import_optional(name: str, *, extra: str) -> ModuleType:
    """Import a package that graphembed can do without.

    Parameters
    ----------
    name : str
        Module to import.
    extra : str
        The extra of graphembed that installs it.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ImportError
        If the package is not installed; the message holds the pip command.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name != name.split(".")[0]:
            raise  # the package is there, but broken: its own message says more
        package = name.split(".")[0]
        alone = f" (or pip install {package})" if extra == "all" else ""
        raise ImportError(
            f"this needs the package {package!r}, which is not installed: "
            f"pip install 'graphembed[{extra}]'{alone}"
        ) from error
