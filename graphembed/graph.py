"""`Graph`: the one door for user data, an immutable CSR with the user's node ids."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np

from graphembed._ingest.csr_arrays import read_csr
from graphembed._ingest.detect import kind_of
from graphembed._ingest.doors import Doors
from graphembed._ingest.edge_list import Array
from graphembed._ingest.ids import check_distinct
from graphembed._ingest.node_index import NodeIndex
from graphembed._ingest.node_types import read_node_types
from graphembed._ingest.options import check_options, refuse_columns, refuse_weight_name
from graphembed._ingest.structure import PathLike
from graphembed._storage import decode_ids, encode_ids, read_arrays, write_arrays
from graphembed._validation import import_optional
from graphembed.exceptions import FileFormatError, GraphFormatError

__all__ = ["Graph", "NodeIndex"]


class Graph(Doors):
    """An immutable graph: sorted CSR arrays, optional weights, and the user's node ids.

    There is no constructor: a graph is made by `from_any` or by one of the named ``from_...``
    doors, which check the data once. Parallel edges are summed, edges of weight zero are removed
    (their nodes stay), self-loops and isolated nodes are kept. The arrays are read-only.

    Attributes
    ----------
    indptr : ndarray of int64, shape (n_nodes + 1,)
        Arcs of node index i are ``indptr[i] : indptr[i + 1]``.
    indices : ndarray of int32, shape (n_arcs,)
        Targets, strictly ascending within a node. An undirected edge is stored in both
        directions, a self-loop once.
    weights : ndarray of float32, shape (n_arcs,), or None
        None means that every weight is 1.
    node_ids : ndarray of shape (n_nodes,)
        int64 for integer ids, object for any others; row i of an embedding is node_ids[i].
    directed : bool
        Whether an arc may lack its reverse.
    node_types : ndarray of int32, shape (n_nodes,), or None
        Position of every node's type in `type_names`; None means that nodes have no types.
    type_names : ndarray of shape (n_types,), or None
        The user's own types, int64 or object.

    See Also
    --------
    Graph.from_any : Takes whatever you have.

    Examples
    --------
    >>> from graphembed.graph import Graph
    >>> Graph.from_any([("ann", "bob"), ("bob", "cem")])
    Graph(n_nodes=3, n_edges=2, undirected, unweighted)
    """

    __slots__ = ("__weakref__",)

    @classmethod
    def from_any(
        cls,
        G: Any,
        *,
        weight: str | None = "weight",
        directed: bool | None = None,
        nodes: Iterable[Any] | None = None,
        source: str | None = None,
        target: str | None = None,
        node_types: Any = None,
    ) -> "Graph":
        """Make a graph of whatever is given, by the door made for it.

        Parameters
        ----------
        G : Graph, networkx or igraph graph, scipy sparse matrix, array, iterable, frame or path
            A `Graph` is returned as it is. Arrays: square means adjacency matrix, (m, 2) and
            (m, 3) mean edges, (2, 2) and (3, 3) are refused as ambiguous, also as lists of
            numbers. Also a data frame, a torch edge_index of shape (2, m), a PyG ``Data``, an
            iterable of tuples; no set, which has no order.
        weight : str or None, default="weight"
            Edge attribute or column that holds the weights. None ignores the weights.
        directed : bool or None, default=None
            None asks the graph: networkx and igraph know; matrices and edge indices are
            undirected if they are symmetric; edge lists, frames and files are undirected.
        nodes : iterable of ids, optional
            Adds isolated nodes. For matrices and edge indices: the ids of all rows.
        source, target : str, optional
            Names of the columns of a data frame or file.
        node_types : str, mapping, pandas Series or sequence, optional
            A type for every node, for walks along a metapath: the name of a node attribute
            (networkx, igraph); a mapping or Series from ids to types; or a type per node in the
            order of ``node_ids``. Types are hashable, such as strings or integers.

        Returns
        -------
        Graph
            The graph.

        Raises
        ------
        GraphFormatError
            If `G` is no graph; the message names the first offending position.
        ValueError
            If an option does not apply to `G`.

        Notes
        -----
        O(n_nodes + n_edges) time, except that integer ids far apart are sorted.
        """
        graph = cls._of_kind(G, weight, directed, nodes, source, target)
        if node_types is None:
            return graph
        types = read_node_types(node_types, G, graph.node_ids, graph._node_index)
        return graph._with_types(*types)

    @classmethod
    def _of_kind(
        cls,
        G: Any,
        weight: str | None,
        directed: bool | None,
        nodes: Iterable[Any] | None,
        source: str | None,
        target: str | None,
    ) -> "Graph":
        """Choose the door."""
        check_options(weight, directed)
        if isinstance(G, Graph):
            return G._as_asked(weight, directed, nodes, source, target)
        kind = kind_of(G)
        if kind == "file" or kind == "frame":
            door = cls.from_edge_list_file if kind == "file" else cls.from_dataframe
            return door(
                G, source=source, target=target, weight=weight, directed=directed, nodes=nodes
            )
        refuse_columns(kind, source, target)
        if kind == "networkx":
            return cls.from_networkx(G, weight=weight, directed=directed, nodes=nodes)
        if kind == "igraph":
            return cls.from_igraph(G, weight=weight, directed=directed, nodes=nodes)
        if kind == "pyg":
            return cls.from_pyg(G, weight=weight, directed=directed, nodes=nodes)
        refuse_weight_name(kind, weight)
        weighted = weight is not None
        if kind == "scipy":
            return cls.from_scipy(G, directed=directed, nodes=nodes, weighted=weighted)
        if kind == "dense":
            return cls.from_dense(G, directed=directed, nodes=nodes, weighted=weighted)
        if kind == "edge_index":
            return cls.from_edge_index(G, directed=directed, nodes=nodes)
        return cls.from_edges(G, directed=directed, nodes=nodes, weighted=weighted)

    def save(self, path: PathLike) -> None:
        """Write the graph to one file, atomically; `load` reads it.

        Parameters
        ----------
        path : str or path-like
            The file; its name is taken as it is.

        Raises
        ------
        TypeError
            If a node id is of a type that cannot be saved without pickle.
        """
        meta, arrays = encode_ids(self.node_ids)
        arrays |= {"indptr": self.indptr, "indices": self.indices}
        if self.weights is not None:
            arrays["weights"] = self.weights
        meta["directed"] = self.directed
        if self.node_types is not None and self.type_names is not None:
            type_meta, type_arrays = encode_ids(self.type_names)
            meta["type_names"] = type_meta["node_ids"]
            arrays |= {k.replace("node_ids", "type_names"): v for k, v in type_arrays.items()}
            arrays["node_types"] = self.node_types
        write_arrays(path, kind="graph", meta=meta, arrays=arrays)

    @classmethod
    def load(cls, path: PathLike, *, mmap: bool = True, verify: bool = True) -> Self:
        """Read a graph that `save` wrote. Nothing in the file is ever executed.

        Parameters
        ----------
        path : str or path-like
            The file.
        mmap : bool, default=True
            Map the arrays instead of reading them into memory.
        verify : bool, default=True
            Compare the checksum of the data. The structure is checked in any case.

        Returns
        -------
        Graph
            The graph.

        Raises
        ------
        FileFormatError
            If the file is damaged, foreign, or does not hold a well-formed graph.
        """
        meta, arrays = read_arrays(path, kind="graph", mmap=mmap, verify=verify)
        directed = meta.get("directed")
        if not isinstance(directed, bool):
            raise FileFormatError(f"{Path(path)}: 'directed' must be true or false")
        wanted = {
            "indptr": np.int64,
            "indices": np.int32,
            "weights": np.float32,
            "node_types": np.int32,
        }
        for name, dtype in wanted.items():
            if name in arrays and arrays[name].dtype != dtype:
                raise FileFormatError(f"{Path(path)}: {name} has dtype {arrays[name].dtype}")
        if not {"indptr", "indices"} <= arrays.keys():
            raise FileFormatError(f"{Path(path)}: the file has no indptr and indices")
        try:
            csr, ids = read_csr(
                arrays["indptr"],
                arrays["indices"],
                arrays.get("weights"),
                node_ids=decode_ids(meta, arrays),
                directed=directed,
                canonical=True,
            )
            graph = cls._from_csr(csr, ids)
            if "node_types" not in arrays:
                return graph
            return graph._with_types(arrays["node_types"], _decode_types(meta, arrays, len(ids)))
        except (GraphFormatError, FileFormatError) as error:
            raise FileFormatError(f"{Path(path)}: not a well-formed graph: {error}") from error

    def to_adjacency(self) -> Any:
        """The edges by target, for the layers of `graphembed.nn`; needs torch.

        Returns
        -------
        graphembed.nn.adjacency.Adjacency
            Arrays of its own, on the CPU; ``.to(device)`` moves them.

        Raises
        ------
        ImportError
            If torch is not installed; the message holds the pip command.

        Notes
        -----
        O(n_nodes + n_arcs) time and memory; those of a directed graph are sorted by target.
        """
        import_optional("torch", extra="torch")
        # Not an import: this floor knows nothing of the layers above it.
        return import_module("graphembed.nn.adjacency").Adjacency.from_graph(self)

    def _as_asked(
        self,
        weight: str | None,
        directed: bool | None,
        nodes: Iterable[Any] | None,
        source: str | None,
        target: str | None,
    ) -> "Graph":
        """Obey the options of `from_any`: what this graph cannot be is an error."""
        refuse_columns("Graph", source, target)
        refuse_weight_name("Graph", weight)
        if directed is not None and directed != self.directed:
            raise ValueError(f"directed={directed!r}, but the graph has directed={self.directed!r}")
        if nodes is not None:
            missing = next((node for node in nodes if node not in self), None)
            if missing is not None:
                raise ValueError(f"a Graph is immutable: the node {missing!r} cannot be added")
        if weight is None and self.weights is not None:
            return self._trusted(
                self.indptr,
                self.indices,
                None,
                self.node_ids,
                self.directed,
                self.node_types,
                self.type_names,
            )
        return self

    def _with_types(self, node_types: Array, type_names: Array) -> Self:
        """The same graph with other types; the arrays are shared."""
        return self._trusted(
            self.indptr,
            self.indices,
            self.weights,
            self.node_ids,
            self.directed,
            node_types,
            type_names,
        )


def _decode_types(meta: Mapping[str, Any], arrays: Mapping[str, Array], n_nodes: int) -> Array:
    """Check the types of a file and return their names."""
    names = decode_ids(
        {"node_ids": meta.get("type_names")},
        {k.replace("type_names", "node_ids"): v for k, v in arrays.items() if "type_names" in k},
    )
    check_distinct(names, "type_names")
    codes = arrays["node_types"]
    if codes.shape != (n_nodes,):
        raise FileFormatError(f"node_types must have the shape ({n_nodes},), got {codes.shape}")
    if n_nodes and not 0 <= codes.min() <= codes.max() < len(names):
        raise FileFormatError(f"node_types must be in [0, {len(names)})")
    return names
