"""Stand-in until the kernels are merged: the largest scores of each row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ENTRIES = 2**23


def top_k(
    queries: NDArray[np.float32],
    targets: NDArray[np.float32],
    k: int,
    *,
    exclude: Any = None,
    candidates: Any = None,
    n_jobs: int | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Largest inner products."""
    columns = np.arange(len(targets)) if candidates is None else np.asarray(candidates)
    tail = np.ascontiguousarray(targets[columns].T)
    n = max(1, _ENTRIES // max(1, len(columns)))
    index = np.full((len(queries), k), -1, np.int32)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    for a in range(0, len(queries), n):
        part = None if exclude is None else exclude[a : a + n][:, columns]
        found, values = top_k_scores(queries[a : a + n] @ tail, k, exclude=part, n_jobs=n_jobs)
        index[a : a + n] = np.where(found >= 0, columns[found], -1)
        scores[a : a + n] = values
    return index, scores


def top_k_scores(
    scores: NDArray[np.float32], k: int, *, exclude: Any = None, n_jobs: int | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Largest entries of rows; ties: lower index first."""
    scores = np.array(scores, np.float32)
    bad = np.isnan(scores).any(axis=1)
    if bad.any():
        raise ValueError(f"row {int(bad.argmax())} of the scores holds NaN")
    if exclude is not None:
        rows = np.repeat(np.arange(len(scores)), np.diff(exclude.indptr))
        scores[rows, exclude.indices] = -np.inf
    m = scores.shape[1]
    kk = min(k, m)
    index = np.full((len(scores), k), -1, np.int32)
    values = np.full((len(scores), k), -np.inf, np.float32)
    if kk == 0:
        return index, values
    kth = np.partition(scores, m - kk, axis=1)[:, m - kk, None]
    for i in range(len(scores)):
        keep = np.flatnonzero(scores[i] >= kth[i])
        keep = keep[np.lexsort((keep, -scores[i, keep]))][:kk]
        keep = keep[scores[i, keep] > -np.inf]
        index[i, : len(keep)] = keep
        values[i, : len(keep)] = scores[i, keep]
    return index, values
