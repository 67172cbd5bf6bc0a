import numpy as np
from numpy.typing import NDArray

ROWS: int
INSTRUCTION_SETS: tuple[str, ...]

def work_size(block: int, width: int) -> int: ...
def top_products(
    queries: NDArray[np.float32],
    targets: NDArray[np.float32],
    candidates: NDArray[np.int32],
    exclude_indptr: NDArray[np.int64],
    exclude: NDArray[np.int32],
    top: NDArray[np.int32],
    scores: NDArray[np.float32],
    work: NDArray[np.float32],
    entries: NDArray[np.uint64],
    thresholds: NDArray[np.float32],
    counts: NDArray[np.int64],
    instructions: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def top_of_rows(
    values: NDArray[np.float32],
    exclude_indptr: NDArray[np.int64],
    exclude: NDArray[np.int32],
    top: NDArray[np.int32],
    scores: NDArray[np.float32],
    entries: NDArray[np.uint64],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
