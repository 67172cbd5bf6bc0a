import numpy as np
from numpy.typing import NDArray

PADDING: int
MAX_EXPONENT: int
TALLY_SIZE: int
TALLY_LINES: int
TALLY_EDGES: int
TALLY_ODD: int
TALLY_WORDS: int
TALLY_WIDE: int
TALLY_FOREIGN: int

def read_integers(
    text: NDArray[np.uint8],
    layout: NDArray[np.int64],
    powers: NDArray[np.uint64],
    ids: NDArray[np.int64],
    weights: NDArray[np.float64],
    odd: NDArray[np.int64],
    tally: NDArray[np.int64],
    begin: int,
    end: int,
) -> None: ...
def read_words(
    text: NDArray[np.uint8],
    layout: NDArray[np.int64],
    powers: NDArray[np.uint64],
    spans: NDArray[np.int64],
    weights: NDArray[np.float64],
    odd: NDArray[np.int64],
    tally: NDArray[np.int64],
    begin: int,
    end: int,
) -> None: ...
def split_integers(
    ids: NDArray[np.int64],
    source: NDArray[np.int32] | NDArray[np.int64],
    target: NDArray[np.int32] | NDArray[np.int64],
) -> None: ...
