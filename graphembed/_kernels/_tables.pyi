import numpy as np
from numpy.typing import NDArray

def hash_words(
    text: NDArray[np.uint8],
    spans: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    seed: int,
    begin: int,
    end: int,
) -> None: ...
def number_words(
    text: NDArray[np.uint8],
    spans: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    slots: NDArray[np.uint64],
    store: NDArray[np.uint64],
    used: NDArray[np.int64],
    numbers: NDArray[np.int32],
    begin: int,
    end: int,
) -> int: ...
def unpack_words(
    store: NDArray[np.uint64], text: NDArray[np.uint8], ends: NDArray[np.int64]
) -> None: ...
def number_integers(
    ids: NDArray[np.int64],
    slots: NDArray[np.uint64],
    distinct: NDArray[np.int64],
    used: NDArray[np.int64],
    numbers: NDArray[np.int32],
    seed: int,
    begin: int,
    end: int,
) -> int: ...
def move_slots(
    source: NDArray[np.uint64], target: NDArray[np.uint64], seed: int, words: bool
) -> None: ...
def mark_ids(
    ids: NDArray[np.int32] | NDArray[np.int64],
    low: int,
    flags: NDArray[np.uint32],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def join_flags(
    flags: NDArray[np.uint32],
    cells: NDArray[np.uint64],
    counts: NDArray[np.int32],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def rank_ids(
    ids: NDArray[np.int32] | NDArray[np.int64],
    low: int,
    cells: NDArray[np.uint64],
    ranks: NDArray[np.int32],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
def renumber(
    numbers: NDArray[np.int32],
    rank: NDArray[np.int32],
    ranks: NDArray[np.int32],
    begin: int,
    end: int,
    n_threads: int,
) -> None: ...
