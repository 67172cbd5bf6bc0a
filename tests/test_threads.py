"""Python threads that do the work of a kernel, or read: order, errors, Ctrl-C."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Barrier, get_ident

import pytest

from graphembed import _threads

INTERRUPTED = """
import _thread, gc, random, signal, sys, time
from contextlib import closing
from graphembed import _threads
from graphembed._ingest import pieces, threads

pieces.PIECE = 64
threads.usable_cores = lambda: 4
rng = random.Random(0)

def busy(begin, end, n_threads):
    time.sleep(0.0001)

def kernels():
    _threads._run_in_python_threads(busy, 0, 1000, 4)

def reading():
    with open(sys.argv[1], "rb") as raw, closing(pieces.map_pieces(raw, 0, len_of)) as sizes:
        assert sum(sizes) == 8000
    files.append(raw)

def len_of(piece):
    return piece.size

def threads_left():
    for _ in range(200):
        if _thread._count() == 0:
            return 0
        time.sleep(0.01)
    return _thread._count()

def interrupt(*_):
    raise KeyboardInterrupt

def seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started

signal.signal(signal.SIGALRM, interrupt)
for run in (kernels, reading):
    files = []
    usual = min(seconds(run) for _ in range(5))  # one may be held up
    interrupted = 0
    for _ in range(300):
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, 1.2 * usual))
            run()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupted += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.collect()
        assert threads_left() == 0, run
    assert interrupted > 50, (run, interrupted)
    run()
print("done")
"""


# Windows has none
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers")
def test_an_interrupt_at_any_time_ends_all_threads(tmp_path: Path) -> None:
    path = tmp_path / "edges"
    path.write_text("1 2 3 4\n" * 1000)
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "done\n", done.stderr


def test_all_items_are_done_once_from_the_front() -> None:
    done: list[tuple[int, int]] = []
    _threads._run_in_python_threads(lambda a, b, n: done.append((a, b)), 3, 103, 4)
    assert sorted(done) == list(_threads._ranges(3, 103, 16))
    done.clear()
    _threads._run_in_python_threads(lambda a, b, n: done.append((a, b)), 3, 103, 1)
    assert done == list(_threads._ranges(3, 103, 4))


def test_as_many_threads_as_wanted_run_at_a_time() -> None:
    barrier = Barrier(5, timeout=30)  # each waits for all others
    names: set[int] = set()

    def kernel(begin: int, end: int, n_threads: int) -> None:
        names.add(get_ident())
        barrier.wait()

    _threads._run_in_python_threads(kernel, 0, 5, 5)
    assert len(names) == 5


def test_an_error_of_a_kernel_stops_the_others() -> None:
    begun: list[int] = []

    def kernel(begin: int, end: int, n_threads: int) -> None:
        begun.append(begin)
        if begin == 0:
            raise IndexError("of the kernel")
        time.sleep(0.2)  # time for the error to be seen where cores are busy

    with pytest.raises(IndexError, match="of the kernel"):
        _threads._run_in_python_threads(kernel, 0, 1000, 2)
    assert len(begun) < 8
