"""Checks of the nodes that batches are made for."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def check_seeds(seeds: ArrayLike, n_nodes: int) -> NDArray[np.int32]:
    """Node indices as int32, or an error that names the first bad position."""
    found = np.asarray(seeds)
    if found.ndim != 1:
        raise ValueError(f"seeds must have one dimension, got the shape {found.shape}")
    if len(found) == 0:
        return np.empty(0, np.int32)
    if found.dtype.kind not in "iu":
        hint = " (numpy.flatnonzero turns a mask into them)" if found.dtype.kind == "b" else ""
        raise ValueError(f"seeds must be node indices{hint}, got the dtype {found.dtype}")
    bad = (found < 0) | (found >= n_nodes)
    if bad.any():
        where = int(np.argmax(bad))
        raise IndexError(f"seeds must be in [0, {n_nodes}), got {found[where]} at position {where}")
    return found.astype(np.int32)


def refuse_repeated(seeds: NDArray[np.int32]) -> None:
    """Name the first seed that comes again, if there is one."""
    values, first, counts = np.unique(seeds, return_index=True, return_counts=True)
    repeated = counts > 1
    if not repeated.any():
        return
    value = int(values[repeated][np.argmin(first[repeated])])
    where = np.flatnonzero(seeds == value)
    raise ValueError(
        f"seeds must be different, got {value} at positions {where[0]} and {where[1]}: "
        "use numpy.unique, whose return_inverse leads back to the repeated ones"
    )
