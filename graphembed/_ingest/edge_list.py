"""What every door delivers, and the checks of weights they share."""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graphembed.exceptions import GraphFormatError

Array = npt.NDArray[Any]

FLOAT32 = np.finfo(np.float32)
BLOCK = 1 << 20  # elements looked at together: bounds the memory of the checks
MAX_NODES = 2**31 - 2  # node indices are int32, and n_nodes itself must be one


@dataclass(frozen=True)
class EdgeList:
    """Edges as node indices, and the ids the indices stand for.

    `both_ways` tells the two conventions apart. False: every pair is one edge, and an undirected
    edge is listed once. True: the pairs are the entries of a matrix, so an undirected graph lists
    (i, j) and (j, i); then `directed` may be None, "directed unless the entries are symmetric".
    With `pattern`, the weights only say which entries there are.
    """

    source: Array
    target: Array
    weights: Array | None
    node_ids: Array
    directed: bool | None
    both_ways: bool = False
    pattern: bool = False

    def describe(self, position: int) -> str:
        """Name an edge the way the user knows it."""
        pair = name_pair(self.node_ids, self.source[position], self.target[position])
        return f"edge {pair} at position {position}"


def name_pair(node_ids: Array, source: Any, target: Any) -> str:
    """Write an edge with the ids of its ends."""
    return f"({_plain(node_ids[source])!r}, {_plain(node_ids[target])!r})"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def plain_array(values: Any) -> Array:
    """Make an array of a torch tensor (on any device), an array or nested lists.

    Arrays are handed through, np.matrix as the array it is below, for its rows are matrices
    again; masked ones are refused, for their mask would be forgotten.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    if isinstance(values, np.ma.MaskedArray):
        raise GraphFormatError("masked arrays are not supported: fill the masked entries first")
    if isinstance(values, np.ndarray):
        return np.asarray(values) if isinstance(values, np.matrix) else values
    array = np.asarray(values)
    return array if array.size else array.astype(np.int64)  # numpy takes [] for floats


def refuse_set(values: Any, name: str) -> None:
    """Refuse what would be read in another order in every process."""
    if isinstance(values, set | frozenset):
        raise GraphFormatError(
            f"{name} must have an order, got a {type(values).__name__}: a set has no order, so the "
            "rows would change from process to process: hand over sorted(...)"
        )


def check_n_nodes(n_nodes: int) -> None:
    """Refuse graphs without nodes, and those whose indices do not fit int32."""
    if n_nodes < 1:
        raise GraphFormatError("the graph has no nodes: give at least one edge, or ids in nodes=")
    if n_nodes > MAX_NODES:
        raise GraphFormatError(
            f"n_nodes must be < 2**31 - 1 (node indices are int32), got {n_nodes}"
        )


def first_bad_weight(weights: Array) -> int | None:
    """Position of the first NaN, infinite or negative weight."""
    for start in range(0, len(weights), BLOCK):
        block = weights[start : start + BLOCK]
        good = np.isfinite(block)
        good &= block >= 0
        if not good.all():
            return start + int(np.argmin(good))
    return None


def bad_weight_message(edge: str, weight: Any) -> str:
    """Say what is wrong with the weight of an edge."""
    return f"{edge}: the weight must be finite and >= 0, got {float(weight)!r}"


def weight_array(weights: Any, n_edges: int, name: str) -> Array:
    """Check shape and type of an array of weights; the values are checked later, with the ids."""
    values = np.asarray(weights)
    if values.dtype.kind not in "biuf":
        raise GraphFormatError(
            f"{name} must hold real numbers, got dtype {values.dtype}; convert it to float64"
        )
    if values.shape != (n_edges,):
        raise GraphFormatError(
            f"{name} must have one value per edge, shape ({n_edges},), got shape {values.shape}"
        )
    return values


def weights_from_list(weights: Sequence[Any], pairs: Sequence[Any]) -> Array:
    """Turn Python numbers into float64; `pairs` names the edge whose weight is no number."""
    try:
        if set(map(type, weights)) <= {int, float}:
            return np.asarray(weights, dtype=np.float64)
    except OverflowError:
        pass  # an int beyond float64: found and named below
    values = np.empty(len(weights), dtype=np.float64)
    for position, weight in enumerate(weights):
        if not isinstance(weight, numbers.Real | np.bool_):
            raise GraphFormatError(
                f"edge {tuple(pairs[position][:2])!r} at position {position}: the weight must be "
                f"a number, got {weight!r}"
            )
        try:
            values[position] = float(weight)
        except OverflowError:
            raise GraphFormatError(
                f"edge {tuple(pairs[position][:2])!r} at position {position}: the weight is too "
                "large for float32; divide all weights by a constant"
            ) from None
    return values
