import numpy as np
from numpy.typing import NDArray

def count_groups(
    source: NDArray[np.int32],
    target: NDArray[np.int32],
    weights: NDArray[np.float64],
    mirror: bool,
    shift: int,
    counts: NDArray[np.int32],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def deal_arcs(
    source: NDArray[np.int32],
    target: NDArray[np.int32],
    weights: NDArray[np.float64],
    mirror: bool,
    shift: int,
    bucket: NDArray[np.int32],
    bits: int,
    places: NDArray[np.int64],
    keys: NDArray[np.uint32] | NDArray[np.uint64],
    values: NDArray[np.float64],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def sort_buckets(
    keys: NDArray[np.uint32] | NDArray[np.uint64],
    values: NDArray[np.float64],
    starts: NDArray[np.int64],
    nodes: NDArray[np.int64],
    bits: int,
    scratch: NDArray[np.uint64],
    taken: NDArray[np.int32],
    low: float,
    high: float,
    indptr: NDArray[np.int64],
    targets: NDArray[np.int32],
    n_distinct: NDArray[np.int64],
    unlike: NDArray[np.int8],
    bad: NDArray[np.int64],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def merge_rows(
    targets: NDArray[np.int32],
    values: NDArray[np.float64],
    starts: NDArray[np.int64],
    nodes: NDArray[np.int64],
    arcs: NDArray[np.int64],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.float32],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def is_symmetric(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.float32],
    cursor: NDArray[np.int64],
    begin: int,
    end: int,
) -> bool: ...
