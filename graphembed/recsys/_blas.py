"""Dense algebra whose bits do not depend on the number of threads."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

FloatArray = NDArray[np.float32]


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread: with more, a product is split, and its sums come out otherwise."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def products(rows: FloatArray, others: FloatArray) -> FloatArray:
    """``rows @ others.T``, one row at a time.

    In a product of matrices the bits of a row depend on its place among the rows.
    """
    found = np.empty((len(rows), len(others)), np.float32)
    for row, place in zip(rows, found, strict=True):
        np.dot(others, row, out=place)
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
