"""Reading uses all cores: its result does not depend on their number."""

from collections.abc import Callable

from graphembed._threads import run_parallel
from graphembed._validation import usable_cores

_MAX_THREADS = 16  # more only wait for the memory


def n_threads() -> int:
    """Number of threads that read."""
    return min(usable_cores(), _MAX_THREADS)


def run(
    kernel: Callable[[int, int, int], None], n_items: int, *, work: int, most: int = _MAX_THREADS
) -> None:
    """Call a kernel on all cores, `most` of them.

    `work` is about the number of edges or arcs it touches.
    """
    if n_items:
        run_parallel(kernel, n_items, min(most, n_threads()), work=work)
