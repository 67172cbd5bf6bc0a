import numpy as np
from numpy.typing import NDArray

def build_alias(
    indptr: NDArray[np.int64],
    weights: NDArray[np.float32],
    cells: NDArray[np.uint64],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def sum_rows(
    indptr: NDArray[np.int64],
    weights: NDArray[np.float32],
    sums: NDArray[np.float64],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
