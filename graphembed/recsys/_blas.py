"""Dense algebra whose bits do not depend on the number of threads."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

FloatArray = NDArray[np.float32]

_ROWS = 64


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread: with more, a product is split, and its sums come out otherwise."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def products(rows: FloatArray, others: FloatArray) -> FloatArray:
    """``rows @ others.T`` with the same bits of a row whatever other rows there are.

    BLAS chooses its way by the shape, so every product has the shape of `_ROWS` rows, filled up
    with zeros.
    """
    found = np.empty((len(rows), len(others)), np.float32)
    for begin in range(0, len(rows), _ROWS):
        block = rows[begin : begin + _ROWS]
        filled = np.zeros((_ROWS, rows.shape[1]), np.float32)
        filled[: len(block)] = block
        found[begin : begin + len(block)] = (filled @ others.T)[: len(block)]
    return found


def for_blocks(work: Callable[[int, int], None], n_items: int, size: int, n_threads: int) -> None:
    """Call ``work(begin, end)`` for blocks of `size` items, `n_threads` at a time.

    The blocks do not depend on `n_threads`, so what each of them computes does not, either.
    """
    begins = range(0, n_items, size)
    if n_threads == 1 or len(begins) <= 1:
        for begin in begins:
            work(begin, min(begin + size, n_items))
        return
    with ThreadPoolExecutor(min(n_threads, len(begins))) as pool:
        jobs = [pool.submit(work, begin, min(begin + size, n_items)) for begin in begins]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
