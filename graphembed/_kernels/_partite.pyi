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
