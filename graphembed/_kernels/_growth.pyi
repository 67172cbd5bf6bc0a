import numpy as np
from numpy.typing import NDArray

MAX_LOT: int

def fingerprint_rows(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.float32],
    n_counted: int,
    prints: NDArray[np.uint64],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def average_rows(
    indptr: NDArray[np.int64],
    heads: NDArray[np.int32],
    weights: NDArray[np.float32],
    table: NDArray[np.float32],
    means: NDArray[np.float32],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def train_rows(
    walks: NDArray[np.int32],
    numbers: NDArray[np.int64],
    rows: NDArray[np.float32],
    table: NDArray[np.float32],
    cells: NDArray[np.uint64],
    window: int,
    shrink: bool,
    negative: int,
    lot: int,
    rate: float,
    last_rate: float,
    instructions: int,
    seed: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
