"""The immutable arrays of a graph and what can be read off them; the doors are in `Graph`."""

import os
from collections.abc import Iterable
from inspect import Signature
from typing import Any, Never, Self

import numpy as np
import scipy.sparse as sp

from graphembed._ingest.edge_list import Array
from graphembed._ingest.node_index import NodeIndex
from graphembed._ingest.sparse import expand

PathLike = str | os.PathLike[str]


class Structure:
    """Read-only CSR arrays with node ids; `Graph` documents the attributes."""

    __signature__ = Signature()  # what __init__ takes is for its error message only
    __slots__ = (
        "_index",
        "_n_edges",
        "directed",
        "indices",
        "indptr",
        "node_ids",
        "node_types",
        "type_names",
        "weights",
    )
    __hash__ = None  # type: ignore[assignment]

    indptr: Array
    indices: Array
    weights: Array | None
    node_ids: Array
    directed: bool
    node_types: Array | None
    type_names: Array | None
    _index: NodeIndex | None
    _n_edges: int | None

    def __init__(self, *args: Never, **kwargs: Never) -> None:
        raise TypeError("Graph has no constructor: use Graph.from_any(...) or Graph.from_csr(...)")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Graph is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Graph is immutable: cannot delete {name!r}")

    @classmethod
    def _trusted(
        cls,
        indptr: Array,
        indices: Array,
        weights: Array | None,
        node_ids: Array,
        directed: bool,
        node_types: Array | None = None,
        type_names: Array | None = None,
    ) -> Self:
        """Make a graph of arrays that were checked already; takes read-only views, no copies."""
        graph = cls.__new__(cls)
        fields = {
            "indptr": _read_only(indptr),
            "indices": _read_only(indices),
            "weights": None if weights is None else _read_only(weights),
            "node_ids": _read_only(node_ids),
            "directed": directed,
            "node_types": None if node_types is None else _read_only(node_types),
            "type_names": None if type_names is None else _read_only(type_names),
            "_index": None,
            "_n_edges": None,
        }
        for name, value in fields.items():
            object.__setattr__(graph, name, value)
        return graph

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.node_ids)

    @property
    def n_arcs(self) -> int:
        """Number of stored arcs, ``len(indices)``."""
        return len(self.indices)

    @property
    def n_edges(self) -> int:
        """Number of edges: of arcs if directed, else every edge and self-loop counted once."""
        if self._n_edges is None:
            n_edges = self.n_arcs
            if not self.directed:
                loops = np.count_nonzero(expand(self.indptr, self.n_nodes) == self.indices)
                n_edges = (n_edges + int(loops)) // 2
            object.__setattr__(self, "_n_edges", n_edges)
        return self._n_edges  # type: ignore[return-value]  # set above

    @property
    def is_weighted(self) -> bool:
        """Whether some weight is not 1."""
        return self.weights is not None

    @property
    def degrees(self) -> Array:
        """Number of out-arcs of every node, int64."""
        return np.diff(self.indptr)

    def __contains__(self, node: object) -> bool:
        return node in self._node_index

    def index_of(self, ids: Iterable[Any]) -> Array:
        """Find the indices of nodes by their ids.

        Parameters
        ----------
        ids : iterable
            Node ids.

        Returns
        -------
        ndarray of int64
            Their indices.

        Raises
        ------
        KeyError
            If an id is not in the graph; the message names it.
        """
        return self._node_index.positions(ids)

    @property
    def _node_index(self) -> NodeIndex:
        if self._index is None:
            object.__setattr__(self, "_index", NodeIndex(self.node_ids))
        return self._index  # type: ignore[return-value]  # set above

    def __repr__(self) -> str:
        direction = "directed" if self.directed else "undirected"
        weights = "weighted" if self.is_weighted else "unweighted"
        types = "" if self.type_names is None else f", {len(self.type_names)} node types"
        counts = f"n_nodes={self.n_nodes}, n_edges={self.n_edges}"
        return f"Graph({counts}, {direction}, {weights}{types})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Structure):
            return NotImplemented
        return (
            self.directed == other.directed
            and _equal(self.indptr, other.indptr)
            and _equal(self.indices, other.indices)
            and _equal(self.weights, other.weights)
            and _equal(self.node_ids, other.node_ids)
            and _equal(self.node_types, other.node_types)
            and _equal(self.type_names, other.type_names)
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._trusted, (
            self.indptr,
            self.indices,
            self.weights,
            self.node_ids,
            self.directed,
            self.node_types,
            self.type_names,
        )

    def to_scipy(self) -> sp.csr_array:
        """Copy the graph into a scipy CSR array.

        Returns
        -------
        scipy.sparse.csr_array of float32, shape (n_nodes, n_nodes)
            Entry (i, j) is the weight of the arc i -> j.
        """
        weights = np.ones(self.n_arcs, np.float32) if self.weights is None else self.weights
        shape = (self.n_nodes, self.n_nodes)
        return sp.csr_array((weights, self.indices, self.indptr), shape=shape, copy=True)


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def _equal(a: Array | None, b: Array | None) -> bool:
    if a is None or b is None:
        return a is b
    if a.dtype == object or b.dtype == object:
        return a.dtype == b.dtype and a.tolist() == b.tolist()
    return bool(np.array_equal(a, b))
