"""Run a kernel on several threads: with OpenMP inside the kernel, or with Python threads."""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from graphembed._kernels import _build

# GNU OpenMP's threads do not survive a fork, and a child that asks for them hangs: there Python
# threads do the work.
_use_openmp = _build.HAS_OPENMP


def _after_fork() -> None:
    global _use_openmp
    _use_openmp = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

# Ranges per thread: more than one, so that a thread with cheap rows takes over work.
_RANGES_PER_THREAD = 4
# Fewer elementary steps (10 to 200 ns) than this are not worth waking another thread.
_WORK_PER_THREAD = 2**15
# More than this are done in several calls, between which Python looks for Ctrl-C.
_WORK_PER_CALL = 2**21
# Seconds that a call should take, as the one before has shown.
_SECONDS_PER_CALL = 0.1


def run_parallel(
    kernel: Callable[[int, int, int], None], n_items: int, n_threads: int, *, work: int
) -> None:
    """Call ``kernel(begin, end, n_threads)`` so that all items are done once.

    A kernel releases the GIL and its result does not depend on how the range is split, so both
    ways give the same bits.

    Parameters
    ----------
    kernel : callable
        Works on the items ``begin <= i < end`` with `n_threads` OpenMP threads.
    n_items : int
        Number of items.
    n_threads : int
        Number of threads at most.
    work : int
        About how many elementary steps there are in all, or an upper bound of it; few of them are
        done on one thread, many in several calls.
    """
    n_threads = max(1, min(n_threads, n_items, work // _WORK_PER_THREAD))
    begin, size = 0, max(1, n_items // max(1, work // _WORK_PER_CALL))
    while begin < n_items:
        end, started = min(begin + size, n_items), time.perf_counter()
        if _use_openmp or n_threads == 1:
            kernel(begin, end, n_threads)
        else:
            _run_in_python_threads(kernel, begin, end, n_threads)
        seconds = time.perf_counter() - started
        size = max(1, int(size * min(4.0, _SECONDS_PER_CALL / max(seconds, 1e-9))))
        begin = end


def _run_in_python_threads(
    kernel: Callable[[int, int, int], None], begin: int, end: int, n_threads: int
) -> None:
    with ThreadPoolExecutor(n_threads) as pool:
        ranges = _ranges(begin, end, n_threads * _RANGES_PER_THREAD)
        parts = [pool.submit(kernel, a, b, 1) for a, b in ranges]
        for part in parts:
            part.result()


def _ranges(begin: int, end: int, count: int) -> Iterator[tuple[int, int]]:
    """Cut begin..end into about equal ranges, `count` of them if there are as many items."""
    count = max(1, min(count, end - begin))
    return itertools.pairwise(begin + (end - begin) * i // count for i in range(count + 1))
