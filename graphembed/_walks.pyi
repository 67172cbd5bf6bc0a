import numpy as np
from numpy.typing import NDArray

def first_order_walks(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    cells: NDArray[np.uint64],
    starts: NDArray[np.int32],
    walk_ids: NDArray[np.int64],
    walks: NDArray[np.int32],
    first_step: int,
    last_step: int,
    seed: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def metapath_walks(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    cells: NDArray[np.uint64],
    layers: NDArray[np.int32],
    starts: NDArray[np.int32],
    walk_ids: NDArray[np.int64],
    walks: NDArray[np.int32],
    first_step: int,
    last_step: int,
    seed: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def return_walks(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.float32],
    cells: NDArray[np.uint64],
    strengths: NDArray[np.float64],
    starts: NDArray[np.int32],
    walk_ids: NDArray[np.int64],
    walks: NDArray[np.int32],
    ratio: float,
    first_step: int,
    last_step: int,
    seed: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def build_filter(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    filter: NDArray[np.uint8],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def rejection_walks(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.float32],
    cells: NDArray[np.uint64],
    strengths: NDArray[np.float64],
    filter: NDArray[np.uint8],
    starts: NDArray[np.int32],
    walk_ids: NDArray[np.int64],
    walks: NDArray[np.int32],
    p: float,
    q: float,
    directed: bool,
    first_step: int,
    last_step: int,
    seed: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def build_second_order_alias(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.float32],
    offsets: NDArray[np.int64],
    scratch: NDArray[np.float64],
    cells: NDArray[np.uint64],
    p: float,
    q: float,
    directed: bool,
    first_tail: int,
    last_tail: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def alias_walks(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    cells: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    second_cells: NDArray[np.uint64],
    starts: NDArray[np.int32],
    walk_ids: NDArray[np.int64],
    walks: NDArray[np.int32],
    first_step: int,
    last_step: int,
    seed: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def permute(
    values: NDArray[np.int32], first: int, n: int, seed: int, begin: int, end: int, n_threads: int
) -> None: ...
def draw_nodes(
    nodes: NDArray[np.int32],
    cells: NDArray[np.uint64],
    first: int,
    seed: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def count_visits(
    walks: NDArray[np.int32], counts: NDArray[np.int64], begin: int, end: int, n_threads: int
) -> None: ...
