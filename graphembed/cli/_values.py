"""Values of arguments that are checked before any work is done."""

import argparse
from collections.abc import Callable
from typing import Any, Final

from graphembed._validation import Constraint, float_in, int_at_least, positive_float


def checked(read: Callable[[str], Any], constraint: Constraint) -> Callable[[str], Any]:
    """Make a `type=` that reads a number and checks it."""

    def parse(text: str) -> Any:
        try:
            value = read(text)
        except ValueError:
            value = None
        if value is None or not constraint.holds(value):
            raise argparse.ArgumentTypeError(f"must be {constraint.wish}, got {text!r}")
        return value

    return parse


COUNT: Final = checked(int, int_at_least(1))
POSITIVE: Final = checked(float, positive_float())
FRACTION: Final = checked(float, float_in(0, 1, "neither"))
