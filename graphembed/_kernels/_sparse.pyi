from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

# One function for each type of number: multiply["float32_t"](...), multiply["float64_t"](...).
_Fused = Mapping[str, Callable[..., None]]

multiply: _Fused
sample: _Fused
take_maxima: _Fused
return_maxima: _Fused
softmax: _Fused
softmax_backward: _Fused
weigh: _Fused
weigh_backward: _Fused
dots: _Fused
sum_entries: _Fused
transpose: _Fused
drop: _Fused

def use_baseline(plain: bool) -> None: ...
def count_columns(
    indices: NDArray[np.int32], counts: NDArray[np.int64], begin: int, end: int
) -> None: ...
def group(
    indices: NDArray[np.int32],
    places: NDArray[np.int64],
    order: NDArray[np.int32],
    begin: int,
    end: int,
) -> None: ...
def deal_entries(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    places: NDArray[np.int64],
    rows: NDArray[np.int32],
    order: NDArray[np.int32],
    begin: int,
    end: int,
) -> None: ...
