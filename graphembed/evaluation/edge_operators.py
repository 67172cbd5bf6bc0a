"""The binary operators of node2vec (Grover & Leskovec 2016, table 1): vectors of pairs of nodes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from graphembed._validation import check_params, one_of
from graphembed.evaluation._checks import check_embedding

FloatArray = npt.NDArray[np.floating[Any]]
IndexArray = npt.NDArray[np.integer[Any]]

EDGE_OPERATORS: tuple[str, ...] = ("average", "hadamard", "l1", "l2")
_BLOCK_ENTRIES = 2**18  # of a block of features, which stays in the cache


def edge_features(embedding: npt.ArrayLike, pairs: npt.ArrayLike, operator: str) -> FloatArray:
    """Turn the vectors of two nodes into a vector of the pair.

    With ``u`` and ``v`` the two rows of `embedding` (Grover & Leskovec 2016, table 1):
    ``average`` is ``(u + v) / 2``, ``hadamard`` is ``u * v``, ``l1`` is ``|u - v|`` and ``l2`` is
    ``|u - v| ** 2`` (the paper's Weighted-L1 and Weighted-L2), element by element. All four ignore
    the order of the pair.

    Parameters
    ----------
    embedding : array-like of shape (n_nodes, n_components)
        One row per node.
    pairs : int array-like of shape (n_pairs, 2)
        Rows of `embedding`.
    operator : {"average", "hadamard", "l1", "l2"}
        How the two rows are combined.

    Returns
    -------
    ndarray of shape (n_pairs, n_components)
        In the precision of `embedding` (float32 or float64).

    Raises
    ------
    TypeError
        If `embedding` does not hold real numbers or `pairs` no integers.
    ValueError
        If `operator` is unknown, a shape is wrong, `embedding` holds NaN or infinity, or a pair
        names a row that `embedding` does not have.

    See Also
    --------
    graphembed.EdgeEmbedder : The same for pairs of node ids, as a transformer of scikit-learn.

    Notes
    -----
    O(n_pairs * n_components) time; beside the result one block of it, 1 or 2 MB.
    """
    check_params({"operator": operator}, {"operator": one_of(*EDGE_OPERATORS)})
    array = check_embedding(embedding)
    return combine(array, _check_pairs(pairs, len(array)), operator)


def combine(array: FloatArray, pairs: IndexArray, operator: str) -> FloatArray:
    """Do what `edge_features` does, without its checks.

    Parameters
    ----------
    array : ndarray of float, shape (n_nodes, n_components)
        One row per node.
    pairs : ndarray of int, shape (n_pairs, 2)
        Rows of `array`.
    operator : str
        One of `EDGE_OPERATORS`.

    Returns
    -------
    ndarray of shape (n_pairs, n_components)
        In the precision of `array`.
    """
    features = np.empty((len(pairs), array.shape[1]), array.dtype)
    n_rows = max(1, _BLOCK_ENTRIES // array.shape[1])
    for start in range(0, len(pairs), n_rows):
        block = pairs[start : start + n_rows]
        out = features[start : start + n_rows]
        np.take(array, block[:, 0], axis=0, out=out, mode="clip")  # "raise" would copy `out`
        other = array[block[:, 1]]
        if operator == "hadamard":
            out *= other
        elif operator == "average":
            out += other
            out /= 2
        else:
            out -= other
            np.abs(out, out=out) if operator == "l1" else np.square(out, out=out)
    return features


def _check_pairs(pairs: npt.ArrayLike, n_nodes: int) -> IndexArray:
    array = np.asarray(pairs)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"pairs must have the shape (n_pairs, 2), got {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"pairs must hold integers, got dtype {array.dtype}")
    outside = ((array < 0) | (array >= n_nodes)).any(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(
            f"pairs must name rows of embedding in [0, {n_nodes}), got {array[row].tolist()} "
            f"at position {row}"
        )
    return array
