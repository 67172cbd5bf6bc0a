import numpy as np
from numpy.typing import NDArray

def count_groups(
    source: NDArray[np.int32],
    target: NDArray[np.int32],
    weights: NDArray[np.float64],
    mirror: bool,
    shift: int,
    counts: NDArray[np.int64],
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
    records: NDArray[np.uint64],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def sort_buckets(
    records: NDArray[np.uint64],
    starts: NDArray[np.int64],
    nodes: NDArray[np.int64],
    bits: int,
    origin: int,
    scratch: NDArray[np.uint64],
    low: float,
    high: float,
    n_distinct: NDArray[np.int64],
    unlike: NDArray[np.int8],
    bad: NDArray[np.int64],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def write_rows(
    records: NDArray[np.uint64],
    starts: NDArray[np.int64],
    nodes: NDArray[np.int64],
    bits: int,
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
