"""Recognise what `Graph.from_any` was given, without importing the package it comes from."""

import numbers
import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from graphembed.exceptions import GraphFormatError

Kind = Literal[
    "file", "networkx", "igraph", "scipy", "pyg", "edge_index", "frame", "dense", "edges"
]

_FRAME_PACKAGES = {
    *("pandas", "polars", "pyarrow", "narwhals", "modin", "cudf", "duckdb", "dask"),
    *("ibis", "pyspark", "sqlframe"),
}

WANTED = (
    "a networkx or igraph graph, a scipy sparse matrix, a square array, an edge array of shape "
    "(m, 2) or (m, 3), an iterable of tuples, a data frame, a torch edge_index, a PyG Data object "
    "or the path of an edge list"
)


def kind_of(obj: Any) -> Kind:
    """Name the door for an object; GraphFormatError if there is none or more than one."""
    package = type(obj).__module__.split(".")[0]
    if isinstance(obj, str | os.PathLike):
        return "file"
    if all(hasattr(obj, name) for name in ("is_multigraph", "is_directed", "edges", "adj")):
        return "networkx"
    if package == "igraph" or hasattr(obj, "get_edgelist"):
        return "igraph"
    if sp.issparse(obj):
        return "scipy"
    if hasattr(obj, "edge_index") and hasattr(obj, "num_nodes"):
        return "pyg"
    if package in _FRAME_PACKAGES:
        return "frame"
    if hasattr(obj, "detach") and hasattr(obj, "cpu"):
        return _kind_of_tensor(obj)
    if isinstance(obj, np.ndarray):
        return _kind_of_array(obj)
    if isinstance(obj, Mapping):
        raise GraphFormatError(
            "a mapping is not a graph: hand over its edges as tuples, or networkx.Graph(mapping)"
        )
    if isinstance(obj, list) and _is_small_matrix(obj):
        raise _ambiguous("a list of lists", (len(obj), len(obj)))
    if isinstance(obj, Iterable) and not isinstance(obj, bytes | bytearray):
        return "edges"
    raise GraphFormatError(f"G must be {WANTED}; got {type(obj).__name__}")


def _kind_of_tensor(tensor: Any) -> Kind:
    shape = tuple(tensor.shape)
    if "sparse" in str(tensor.layout):
        raise GraphFormatError(
            "a sparse torch tensor is not read directly: hand over its indices() as edge_index"
        )
    if len(shape) == 2 and shape[0] == 2 and not tensor.dtype.is_floating_point:
        return "edge_index"
    if len(shape) == 2 and shape[0] == shape[1]:
        return "dense"
    raise GraphFormatError(
        f"a tensor must be an edge_index of shape (2, m) or a square matrix, got shape {shape}"
    )


def _kind_of_array(array: np.ndarray[Any, Any]) -> Kind:
    shape = array.shape
    is_square = len(shape) == 2 and shape[0] == shape[1]
    if is_square and shape[1] in (2, 3):
        raise _ambiguous("an array", shape)
    if is_square:
        return "dense"
    if len(shape) == 2 and shape[1] in (2, 3):
        return "edges"
    hint = "; an edge_index goes through Graph.from_edge_index" if shape[:1] == (2,) else ""
    raise GraphFormatError(
        "an array must be square or have shape (m, 2) or (m, 3) to be read as a graph, "
        f"got shape {shape}{hint}"
    )


def _is_small_matrix(rows: list[Any]) -> bool:
    """Tell whether lists of numbers may be the rows of a matrix as well as edges."""
    return len(rows) in (2, 3) and all(
        isinstance(row, list)
        and len(row) == len(rows)
        and all(isinstance(value, numbers.Real) for value in row)
        for row in rows
    )


def _ambiguous(what: str, shape: tuple[int, ...]) -> GraphFormatError:
    return GraphFormatError(
        f"{what} of shape {shape} may be a matrix or {shape[0]} edges: "
        "say which with Graph.from_dense or Graph.from_edges"
    )
