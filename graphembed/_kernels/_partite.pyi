import numpy as np
from numpy.typing import NDArray

def two_colour(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    colours: NDArray[np.int8],
    queue: NDArray[np.int32],
    state: NDArray[np.int64],
    n_arcs: int,
) -> bool: ...
def count_heads(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    node_types: NDArray[np.int32],
    wanted: NDArray[np.int32],
    counts: NDArray[np.int64],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def gather_heads(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.float32],
    node_types: NDArray[np.int32],
    wanted: NDArray[np.int32],
    rows: NDArray[np.int64],
    heads: NDArray[np.int32],
    head_weights: NDArray[np.float32],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
