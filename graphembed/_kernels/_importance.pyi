import numpy as np
from numpy.typing import NDArray

SIDE: int
MAX_TRAVERSALS: int

def sample_top(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    cells: NDArray[np.uint64],
    penalties: NDArray[np.float32],
    seeds: NDArray[np.int32],
    nodes: NDArray[np.int32],
    weights: NDArray[np.float32],
    n_walks: int,
    stride: int,
    limits: NDArray[np.uint64],
    tables: NDArray[np.uint64],
    used: NDArray[np.uint32],
    entries: NDArray[np.uint64],
    bits: int,
    key: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def exact_top(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    arc_weights: NDArray[np.float32],
    strengths: NDArray[np.float64],
    in_indptr: NDArray[np.int64],
    in_indices: NDArray[np.int32],
    in_weights: NDArray[np.float32],
    penalties: NDArray[np.float32],
    seeds: NDArray[np.int32],
    nodes: NDArray[np.int32],
    weights: NDArray[np.float32],
    n_traversals: int,
    stride: int,
    survival: float,
    masses: NDArray[np.float64],
    marks: NDArray[np.uint64],
    entries: NDArray[np.uint64],
    key: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
