"""Run a kernel on several threads: with OpenMP inside the kernel, or with Python threads."""

import _thread
import atexit
import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from weakref import WeakSet

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
_LOOK = 0.05  # seconds after which one who waits looks whether it is over
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
    parts = deque(_ranges(begin, end, n_threads * _RANGES_PER_THREAD))
    crew = Crew()

    def work() -> None:
        while not (crew.stopped or crew.errors):
            try:
                part = parts.popleft()
            except IndexError:
                return
            kernel(*part, 1)

    try:
        crew.start(work, n_threads)
        crew.wait()
    finally:
        crew.stop()
    if crew.errors:
        raise crew.errors[0]


class Crew:
    """Threads, with a caller that Ctrl-C may interrupt at any point.

    An exception in the midst of `threading.Condition` or `Event`, and so of a pool, leaves their
    locks taken, and who waits for the threads then waits for ever. Here the caller waits in calls
    of C alone, and for a count, so that it may wait again.

    Attributes
    ----------
    stopped : bool
        Whether the threads are to end; `work` looks at it.
    errors : list of BaseException
        What the threads raised.
    """

    def __init__(self) -> None:
        self.stopped = False
        self.errors: list[BaseException] = []
        self._n_started = 0
        self._begun: list[None] = []
        self._ended: list[None] = []
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._pid = os.getpid()

    def start(self, work: Callable[[], None], n_threads: int) -> None:
        """Call `work` on so many threads."""
        _crews.add(self)
        for _ in range(n_threads):
            _thread.start_new_thread(self._run, (work,))
            self._n_started += 1

    def wait(self) -> None:
        """Wait until all have ended."""
        self.wait_for(lambda: len(self._ended) == self._n_started)

    def stop(self) -> None:
        """Have the threads end, and wait for it; one that has not begun never calls `work`."""
        self.stopped = True
        self.wait_for(lambda: len(self._ended) == len(self._begun))

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Wait until something is so; a thread that brings it about calls `ring`.

        False, at once, in a forked child, where the threads are not.
        """
        while not condition():
            if os.getpid() != self._pid:
                return False
            with suppress(Empty):
                self._bell.get(timeout=_LOOK)
        return True

    def ring(self) -> None:
        """Wake the caller in `wait_for`."""
        self._bell.put(None)

    def _run(self, work: Callable[[], None]) -> None:
        self._begun.append(None)
        try:
            if not self.stopped:
                work()
        except BaseException as error:
            self.errors.append(error)
        finally:
            self._ended.append(None)
            self.ring()


# Where an iterator outlives the program. Later, the interpreter kills threads, and those in C++
# take the process along.
_crews: WeakSet[Crew] = WeakSet()


@atexit.register
def _stop_crews() -> None:
    for crew in list(_crews):
        crew.stop()


def _ranges(begin: int, end: int, count: int) -> Iterator[tuple[int, int]]:
    """Cut begin..end into about equal ranges, `count` of them if there are as many items."""
    count = max(1, min(count, end - begin))
    return itertools.pairwise(begin + (end - begin) * i // count for i in range(count + 1))
