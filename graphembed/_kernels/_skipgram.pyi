import numpy as np
from numpy.typing import NDArray

LANES: int
MAX_BLOCK: int
INSTRUCTION_SETS: tuple[str, ...]

def scratch_size(negative: int, block: int) -> int: ...
def fill_uniform(
    table: NDArray[np.float32],
    n_components: int,
    seed: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def draw_parts(
    order: NDArray[np.int32],
    part: NDArray[np.int32],
    members: NDArray[np.int32],
    seed: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def build_noise(
    members: NDArray[np.int32],
    noise: NDArray[np.float64],
    scratch: NDArray[np.float64],
    cells: NDArray[np.uint64],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def count_pairs(
    walks: NDArray[np.int32],
    walk_ids: NDArray[np.int64],
    part: NDArray[np.int32],
    counts: NDArray[np.int64],
    n_parts: int,
    window: int,
    shrink: bool,
    first: int,
    last: int,
    seed: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def fill_pairs(
    walks: NDArray[np.int32],
    walk_ids: NDArray[np.int64],
    part: NDArray[np.int32],
    cursors: NDArray[np.int64],
    centres: NDArray[np.int32],
    contexts: NDArray[np.int32],
    n_parts: int,
    window: int,
    shrink: bool,
    first: int,
    last: int,
    seed: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def train_diagonals(
    first: int,
    last: int,
    starts: NDArray[np.int64],
    centres: NDArray[np.int32],
    contexts: NDArray[np.int32],
    input: NDArray[np.float32],
    output: NDArray[np.float32],
    members: NDArray[np.int32],
    cells: NDArray[np.uint64],
    rates: NDArray[np.float32],
    negatives: NDArray[np.int32],
    scratch: NDArray[np.float32],
    schedule: NDArray[np.int32],
    block: int,
    instructions: int,
    seed: int,
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
