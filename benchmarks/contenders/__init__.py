"""Us and the peers, one short function each; `worker` runs one of them in its own process.

A module has `CONTENDERS`, a table of `Contender`s by name, and `prepare(contender, case, threads)`,
which gives the function that is timed. It gets the number of the run, for a seed, and returns what
`finish(result, case)` turns into figures afterwards. Packages are imported by the functions, so
that a missing one is a row "skipped" with the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any


@dataclass(frozen=True)
class Contender:
    """A library's way to do the task."""

    start: Callable[..., Callable[[int], Any]]
    packages: tuple[str, ...]

    def version(self) -> str:
        """Names and versions of its packages."""
        return ", ".join(f"{name} {_version(name)}" for name in self.packages)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"
