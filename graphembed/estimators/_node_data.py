"""Features, labels and masks as a user hands them over: checked, and made plain arrays."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed.graph import Graph

Features = NDArray[np.float32] | sp.csr_array
_SPARSE_BELOW = 0.2  # dense features with a smaller part of non-zeros are kept as sparse ones


class Labels(NamedTuple):
    """Classes of the nodes: positions in `classes`, -1 where there is none."""

    codes: NDArray[np.int64]
    classes: NDArray[Any]


class Split(NamedTuple):
    """Indices of the nodes to train on and of those to validate on."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]


def read_features(X: Any, graph: Graph) -> Features:
    """Turn `X` into finite float32 numbers, one row for each node."""
    array: Any = _by_node(_with_one_dtype(X), graph, "X")
    is_sparse = sp.issparse(array)
    array = sp.csr_array(array) if is_sparse else np.asarray(array)
    if array.ndim != 2:
        raise ValueError(f"X must have 2 dimensions, (n_nodes, n_features), got {array.ndim}")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"X must hold numbers, got dtype {array.dtype}")
    _check_length(array, graph, "X")
    if not array.shape[1]:
        raise ValueError(
            "X must have at least 1 column, got 0; without features, give every node one of its "
            "own: scipy.sparse.eye_array(n_nodes)"
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is found so
        array = array.astype(np.float32, copy=False)
    _check_finite(array, is_sparse, graph)
    features: Features
    if is_sparse:
        if not array.has_canonical_format:
            array = array.copy()  # never changed in place: it may be the user's
            array.sum_duplicates()
        features = array
    elif np.count_nonzero(array) < _SPARSE_BELOW * array.size:
        features = sp.csr_array(array)
    else:
        features = np.ascontiguousarray(array)
    return features


def _with_one_dtype(X: Any) -> Any:
    """A frame of numbers and bools with one dtype: numpy would make objects of both."""
    dtypes = list(X.dtypes) if hasattr(X, "iloc") and hasattr(X, "columns") else []
    if len(set(dtypes)) > 1 and all(isinstance(d, np.dtype) and d.kind in "fiub" for d in dtypes):
        return X.astype(np.result_type(*dtypes))
    return X


def _check_finite(array: Any, is_sparse: bool, graph: Graph) -> None:
    values = array.data if is_sparse else array
    if np.isfinite(values).all():
        return
    first = np.argwhere(~np.isfinite(values))[0]
    entries = array.tocoo() if is_sparse else None
    row, column = first if entries is None else (entries.row[first[0]], entries.col[first[0]])
    value = values[tuple(first)]
    raise ValueError(
        f"X must be finite in float32, got {value} in row {row}, column {column} "
        f"(node {_id(graph, row)})"
    )


def read_labels(y: Any, graph: Graph) -> Labels:
    """Turn `y` into codes; -1 among integers and None, NaN among others mean no label."""
    given = _by_node(y, graph, "y")
    # Of a list numpy would make strings if one of its numbers is one.
    is_list = isinstance(given, (list, tuple))
    array: NDArray[Any] = np.asarray(given, dtype=object if is_list else None)
    if array.ndim != 1:
        raise ValueError(f"y must have 1 dimension, one class per node, got shape {array.shape}")
    _check_length(array, graph, "y")
    if array.dtype.kind not in "biufUO":
        raise TypeError(f"y must hold integers or strings, got dtype {array.dtype}")
    if array.dtype.kind == "O":
        known = np.array([not _is_missing(v) for v in array], dtype=bool)
    elif array.dtype.kind == "f":
        known = ~np.isnan(array)
    else:
        known = np.ones(len(array), dtype=bool)
    found = array[known]
    if found.dtype.kind == "O":
        found = _of_one_kind(found)
    if found.dtype.kind == "f":
        broken = np.flatnonzero((found != np.floor(found)) | (np.abs(found) >= 2.0**63))
        if broken.size:
            node = _id(graph, np.flatnonzero(known)[broken[0]])
            raise ValueError(
                f"y must hold classes, not measurements, got {found[broken[0]]} for node {node}"
            )
        found = found.astype(np.int64)
    if found.dtype.kind in "iu":
        known[known] = found != -1
        found = found[found != -1]
    codes = np.full(len(array), -1, dtype=np.int64)
    classes, codes[known] = np.unique(found, return_inverse=True)
    return Labels(codes, classes)


def _is_missing(value: Any) -> bool:
    """None, NaN, or NA of pandas."""
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


def _of_one_kind(objects: NDArray[Any]) -> NDArray[Any]:
    """Strings, integers or booleans that came as objects."""
    for kinds, dtype in (
        ((str,), np.str_),
        ((bool, np.bool_), np.bool_),
        ((int, np.integer), np.int64),
        ((float, np.floating), np.float64),
    ):
        if all(isinstance(v, kinds) for v in objects):
            return objects.astype(dtype)
    odd = next((v for v in objects if type(v) is not type(objects[0])), objects[0])
    raise TypeError(
        f"y must hold strings only or integers only, got {objects[0]!r} and {odd!r} (no label: "
        "None among strings, -1 or None among integers)"
    )


def read_split(train: Any, val: Any, labels: Labels, graph: Graph) -> Split:
    """Nodes to train on and nodes to validate on; without `train`, all that have a label."""
    val_rows = np.empty(0, np.int64) if val is None else read_mask(val, graph, "val_mask")
    if train is None:
        rest = labels.codes >= 0
        rest[val_rows] = False
        train_rows = np.flatnonzero(rest)
    else:
        train_rows = read_mask(train, graph, "train_mask")
    for name, rows, given in (("train_mask", train_rows, True), ("val_mask", val_rows, val)):
        if given is not None and not len(rows):
            raise ValueError(f"{name} must select at least one node with a label, got none")
        bare = rows[labels.codes[rows] < 0]
        if len(bare):
            raise ValueError(
                f"{name} selects {len(bare)} nodes without a label in y, the first is node "
                f"{_id(graph, bare[0])}: leave them out of {name}"
            )
    both = np.intersect1d(train_rows, val_rows)
    if len(both):
        raise ValueError(
            f"train_mask and val_mask must not overlap, but both select {len(both)} nodes, "
            f"the first is node {_id(graph, both[0])}"
        )
    if len(labels.classes) < 2:
        raise ValueError(f"y must have at least 2 classes, got {len(labels.classes)}")
    return Split(train_rows, val_rows)


def check_labelled(rows: NDArray[np.int64], labels: Labels, graph: Graph) -> None:
    """Raise unless the rows to be scored are there and have labels."""
    if not len(rows):
        raise ValueError("mask must select at least one node with a label, got none")
    bare = rows[labels.codes[rows] < 0]
    if len(bare):
        raise ValueError(
            f"mask selects nodes without a label in y, the first is node {_id(graph, bare[0])}"
        )


def read_mask(mask: Any, graph: Graph, name: str) -> NDArray[np.int64]:
    """Turn a boolean mask, or indices of nodes, into indices."""
    n_nodes = graph.n_nodes
    array = np.asarray(_by_node(mask, graph, name) if _has_index(mask, name) else _detached(mask))
    if array.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, got shape {array.shape}")
    if array.dtype == np.bool_:
        if len(array) != n_nodes:
            raise ValueError(f"{name} must have one bool per node, {n_nodes}, got {len(array)}")
        return np.flatnonzero(array)
    if not len(array):
        return np.empty(0, np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold bools or indices of nodes, got dtype {array.dtype}")
    bad = np.flatnonzero((array < 0) | (array >= n_nodes))
    if bad.size:
        raise ValueError(
            f"{name} must hold indices in [0, {n_nodes}), got {array[bad[0]]} at position {bad[0]}"
        )
    values, counts = np.unique(array, return_counts=True)
    if counts.max() > 1:
        if len(array) == n_nodes and values[-1] == 1:
            raise ValueError(
                f"{name} must hold bools or indices of nodes, got {n_nodes} times 0 or 1: "
                f"hand over {name}.astype(bool)"
            )
        node = _id(graph, values[counts.argmax()])
        raise ValueError(f"{name} names node {node} more than once")
    return array.astype(np.int64)


def _has_index(rows: Any, name: str) -> bool:
    """Whether rows are taken by an index; a mask of integers names nodes by their numbers."""
    if not hasattr(rows, "iloc"):
        return False
    return "mask" not in name or getattr(rows, "dtype", np.dtype(object)).kind not in "iu"


def _by_node(data: Any, graph: Graph, name: str) -> Any:
    """Rows in the order of the nodes: a pandas object is taken by its index."""
    if not hasattr(data, "iloc"):
        return _detached(data)
    ids = graph.node_ids.tolist()
    if data.index.tolist() == ids:
        return data.to_numpy()
    if not data.index.is_unique or set(data.index) != set(ids):
        raise ValueError(
            f"the index of {name} must be the ids of the nodes; or hand over {name}.to_numpy(), "
            "with the rows in the order of Graph.from_any(G).node_ids"
        )
    return data.reindex(ids).to_numpy()


def check_order(graph: Graph, *, permuted: bool = False, **data: Any) -> bool:
    """Raise if the index of one argument changes the order of its rows and another has no index.

    Returns whether an index changes the order; `permuted`: that of X in `fit` has.
    """
    ids = graph.node_ids.tolist()
    indexed = {name for name, rows in data.items() if _has_index(rows, name)}
    moved = sorted(name for name in indexed if data[name].index.tolist() != ids)
    plain = sorted(name for name in data.keys() - indexed if data[name] is not None)
    if plain and (moved or permuted):
        raise ValueError(
            f"{moved[0] if moved else 'X in fit'} is taken by its index, which is not in the order "
            f"of the nodes, but {plain[0]} has no index: give it as a pandas object with the same "
            "index, or all without, with rows in the order of Graph.from_any(G).node_ids"
        )
    return bool(moved) or permuted


def _id(graph: Graph, row: Any) -> str:
    """The id of a node as messages show it."""
    return repr(graph.node_ids[row : row + 1].tolist()[0])


def _detached(data: Any) -> Any:
    """Numpy's or scipy's view of a torch tensor or a `SparseMatrix`; others as they are."""
    if hasattr(data, "indptr") and hasattr(data, "with_values"):  # a SparseMatrix
        data = data.to_torch()
    if not hasattr(data, "detach"):
        return data
    tensor = data.detach().cpu()
    if str(tensor.layout) == "torch.strided":
        return tensor.numpy()
    if str(tensor.layout) == "torch.sparse_coo":
        tensor = tensor.coalesce()
        places = tuple(tensor.indices().numpy())
        return sp.csr_array((tensor.values().numpy(), places), shape=tuple(tensor.shape))
    tensor = tensor.to_sparse_csr()
    parts = (tensor.values(), tensor.col_indices(), tensor.crow_indices())
    return sp.csr_array(tuple(part.numpy() for part in parts), shape=tuple(tensor.shape))


def _check_length(array: Any, graph: Graph, name: str) -> None:
    if array.shape[0] != graph.n_nodes:
        raise ValueError(
            f"{name} must have one row for each of the {graph.n_nodes} nodes of the graph, got "
            f"{array.shape[0]}; nodes without edges are named by nodes=, for example "
            f"nodes=range({array.shape[0]})"
        )
