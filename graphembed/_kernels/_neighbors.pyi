import numpy as np
from numpy.typing import NDArray

def count_targets(
    indices: NDArray[np.int32],
    counts: NDArray[np.int64],
    begin: int,
    end: int,
) -> None: ...
def deal_by_target(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    places: NDArray[np.int64],
    sources: NDArray[np.int32],
    order: NDArray[np.int64],
    begin: int,
    end: int,
) -> None: ...
def layer_key(seed: int, batch: int, layer: int) -> int: ...
def count_slots(
    indptr: NDArray[np.int64],
    targets: NDArray[np.int32],
    fanout: int,
    replace: bool,
    counts: NDArray[np.int64],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def sample_slots(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.float32],
    cells: NDArray[np.uint64],
    strengths: NDArray[np.float64],
    order: NDArray[np.int64],
    targets: NDArray[np.int32],
    slots: NDArray[np.int64],
    fanout: int,
    replace: bool,
    arcs: NDArray[np.int64],
    nodes: NDArray[np.int32],
    values: NDArray[np.float32],
    keys: NDArray[np.float64],
    key: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def number_nodes(
    nodes: NDArray[np.int32],
    node_index: NDArray[np.int32],
    n_known: NDArray[np.int64],
    table: NDArray[np.uint64],
    bits: int,
    begin: int,
    end: int,
) -> None: ...
