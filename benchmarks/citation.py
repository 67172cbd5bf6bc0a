"""Cora, CiteSeer, and a graph shaped like PubMed, as arrays.

"pubmed-shaped" has PubMed's edges and classes, but rows of features drawn with replacement from
the 1060 that are given (10 % dense, as all are): it is for timing, accuracy on it means nothing.
"""

import functools
import io
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed import DatasetNotFoundError

Array = NDArray[Any]
_GLOBALS = {
    ("scipy.sparse.csr", "csr_matrix"): sp.csr_matrix,
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "defaultdict"): __import__("collections").defaultdict,
    ("__builtin__", "list"): list,
    ("builtins", "list"): list,
}


@dataclass(frozen=True)
class Citation:
    """A citation graph; `train`, `val`, `test` are the nodes of the public split."""

    x: sp.csr_array  # float32, rows sum to 1
    edge_index: Array  # int64 (2, 2 * edges), no loops, no duplicates
    y: Array
    train: Array
    val: Array
    test: Array


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _GLOBALS[module, name]


def _part(name: str, what: str) -> Any:
    folder = Path(os.environ.get("GRAPHEMBED_DATA", "")) / "planetoid"
    try:
        data = (folder / f"ind.{name}.{what}").read_bytes()
    except OSError as error:
        raise DatasetNotFoundError(f"{name} is not on this machine: {error}") from None
    if what == "test.index":
        return np.array(data.split(), np.int64)
    return _Unpickler(io.BytesIO(data), encoding="latin1").load()


@functools.cache
def load(name: str) -> Citation:
    """Read "cora", "citeseer" or "pubmed-shaped"."""
    stem = name.removesuffix("-shaped")
    adjacency, order = _part(stem, "graph"), _part(stem, "test.index")
    n = len(adjacency)
    ally, ty = _part(stem, "ally"), _part(stem, "ty")
    y = np.zeros(n, np.int64)
    y[: len(ally)] = ally.argmax(1)
    y[order] = ty.argmax(1)
    if name.endswith("-shaped"):
        given = sp.vstack([_part(stem, "x"), _part(stem, "tx")]).tocsr()
        x = given[np.random.default_rng(0).integers(given.shape[0], size=n)]
    else:
        allx, tx = _part(name, "allx"), _part(name, "tx")
        rows = sp.lil_matrix((n, allx.shape[1]), dtype=np.float32)
        rows[: allx.shape[0]] = allx
        rows[order] = tx
        x = rows.tocsr()
    sums = np.asarray(x.sum(axis=1)).ravel()
    x = sp.csr_array(sp.diags_array(1 / np.maximum(sums, 1e-12)) @ x).astype(np.float32)
    source = np.repeat(np.arange(n), [len(adjacency[i]) for i in range(n)])
    target = np.concatenate([adjacency[i] for i in range(n)]).astype(np.int64)
    keep = source != target
    codes = np.unique(
        np.concatenate([(source * n + target)[keep], (target * n + source)[keep]])
    )
    n_train = _part(stem, "y").shape[0]
    return Citation(
        x, np.stack([codes % n, codes // n]), y,
        np.arange(n_train), np.arange(n_train, n_train + 500), np.sort(order),
    )
