"""The named doors of `Graph`: for each kind of input one class method that documents its rules."""

from collections.abc import Iterable
from typing import Any, Self

from graphembed._ingest.csr import Csr, assemble
from graphembed._ingest.csr_arrays import read_csr
from graphembed._ingest.edge_index import read_edge_index, read_pyg
from graphembed._ingest.edge_list import Array, EdgeList
from graphembed._ingest.edges import read_edges
from graphembed._ingest.frame import read_frame
from graphembed._ingest.networkx import read_igraph, read_networkx
from graphembed._ingest.options import check_options
from graphembed._ingest.sparse import read_dense, read_scipy
from graphembed._ingest.structure import PathLike, Structure
from graphembed._ingest.text import read_text
from graphembed._validation import boolean, check_params, optional


class Doors(Structure):
    """Every way to make a graph but `Graph.from_any`, which chooses one of these."""

    __slots__ = ()

    @classmethod
    def _from_edge_list(cls, edges: EdgeList) -> Self:
        return cls._from_csr(assemble(edges), edges.node_ids)

    @classmethod
    def _from_csr(cls, csr: Csr, node_ids: Array) -> Self:
        return cls._trusted(csr.indptr, csr.indices, csr.weights, node_ids, csr.directed)

    @classmethod
    def from_networkx(
        cls,
        G: Any,
        *,
        weight: str | None = "weight",
        directed: bool | None = None,
        nodes: Iterable[Any] | None = None,
    ) -> Self:
        """Make a graph of a networkx ``Graph``, ``DiGraph``, ``MultiGraph`` or ``MultiDiGraph``.

        Parameters
        ----------
        G : networkx graph
            Its nodes keep their order.
        weight : str or None, default="weight"
            Edge attribute with the weights; an edge without it has weight 1. None: no weights.
        directed : bool or None, default=None
            None asks `G`. True on an undirected graph makes an arc both ways of every edge; False
            on a directed one sums a -> b and b -> a.
        nodes : iterable of ids, optional
            Isolated nodes to add behind those of `G`.

        Returns
        -------
        Graph
            The graph.
        """
        check_options(weight, directed)
        return cls._from_edge_list(read_networkx(G, weight=weight, directed=directed, nodes=nodes))

    @classmethod
    def from_igraph(
        cls,
        G: Any,
        *,
        weight: str | None = "weight",
        directed: bool | None = None,
        nodes: Iterable[Any] | None = None,
    ) -> Self:
        """Make a graph of an igraph ``Graph``.

        Parameters
        ----------
        G : igraph.Graph
            Ids are the vertex attribute ``name`` if there is one, else 0..n-1.
        weight : str or None, default="weight"
            Edge attribute with the weights, as in `from_networkx`.
        directed : bool or None, default=None
            As in `from_networkx`.
        nodes : iterable of ids, optional
            Isolated nodes to add behind those of `G`.

        Returns
        -------
        Graph
            The graph.
        """
        check_options(weight, directed)
        return cls._from_edge_list(read_igraph(G, weight=weight, directed=directed, nodes=nodes))

    @classmethod
    def from_scipy(
        cls,
        matrix: Any,
        *,
        directed: bool | None = None,
        nodes: Iterable[Any] | None = None,
        weighted: bool = True,
    ) -> Self:
        """Make a graph of a scipy sparse array or matrix; entry (i, j) is the arc i -> j.

        Parameters
        ----------
        matrix : scipy.sparse array or matrix, shape (n, n)
            Any format. Stored zeros are no edges.
        directed : bool or None, default=None
            None: undirected if the matrix is symmetric, values included. False demands that.
        nodes : iterable of n ids, optional
            Ids of the rows; 0..n-1 if not given.
        weighted : bool, default=True
            False takes every stored value but zero as 1.

        Returns
        -------
        Graph
            The graph; it shares no memory with `matrix`.
        """
        check_options(None, directed)
        return cls._from_edge_list(
            read_scipy(matrix, directed=directed, nodes=nodes, weighted=weighted)
        )

    @classmethod
    def from_dense(
        cls,
        array: Any,
        *,
        directed: bool | None = None,
        nodes: Iterable[Any] | None = None,
        weighted: bool = True,
    ) -> Self:
        """Make a graph of a dense adjacency matrix; zeros are no edges.

        Parameters
        ----------
        array : array-like of shape (n, n)
            Real numbers; a torch tensor is welcome.
        directed : bool or None, default=None
            None: undirected if the matrix is symmetric, as in `from_scipy`.
        nodes : iterable of n ids, optional
            Ids of the rows; 0..n-1 if not given.
        weighted : bool, default=True
            False takes every value but zero as 1.

        Returns
        -------
        Graph
            The graph.
        """
        check_options(None, directed)
        return cls._from_edge_list(
            read_dense(array, directed=directed, nodes=nodes, weighted=weighted)
        )

    @classmethod
    def from_edges(
        cls,
        edges: Any,
        *,
        directed: bool | None = None,
        nodes: Iterable[Any] | None = None,
        weighted: bool = True,
    ) -> Self:
        """Make a graph of an edge array or of tuples.

        Parameters
        ----------
        edges : ndarray of shape (m, 2) or (m, 3), or iterable of 2-tuples or of 3-tuples
            Rows (source, target) or (source, target, weight). Ids are whole numbers, strings or
            any other hashables but None, bool and NaN.
        directed : bool or None, default=None
            None means False: (a, b) and (b, a) are parallel edges, and are summed.
        nodes : iterable of ids, optional
            Nodes that come first, in this order, with or without edges. The others follow:
            ascending if all ids are integers, else in the order in which the edges name them.
        weighted : bool, default=True
            False ignores the third column.

        Returns
        -------
        Graph
            The graph. Parallel edges without weights get their number as weight.
        """
        check_options(None, directed)
        return cls._from_edge_list(
            read_edges(edges, directed=bool(directed), nodes=nodes, weighted=weighted)
        )

    @classmethod
    def from_dataframe(
        cls,
        frame: Any,
        *,
        source: str | None = None,
        target: str | None = None,
        weight: str | None = "weight",
        directed: bool | None = None,
        nodes: Iterable[Any] | None = None,
    ) -> Self:
        """Make a graph of a data frame with one edge per row.

        Parameters
        ----------
        frame : pandas, polars or pyarrow data frame, or any other that narwhals knows
            A lazy frame is collected.
        source, target : str, optional
            Names of the columns with the ids; "source" and "target" if not given.
        weight : str or None, default="weight"
            Column with the weights; "weight" may be missing. None: no weights.
        directed : bool or None, default=None
            None means False, as in `from_edges`.
        nodes : iterable of ids, optional
            Nodes that come first, with or without edges, as in `from_edges`.

        Returns
        -------
        Graph
            The graph.
        """
        check_options(weight, directed)
        return cls._from_edge_list(
            read_frame(
                frame,
                source=source,
                target=target,
                weight=weight,
                directed=bool(directed),
                nodes=nodes,
            )
        )

    @classmethod
    def from_edge_index(
        cls,
        edge_index: Any,
        edge_weight: Any = None,
        *,
        num_nodes: int | None = None,
        directed: bool | None = None,
        nodes: Iterable[Any] | None = None,
    ) -> Self:
        """Make a graph of an edge index: row 0 the sources, row 1 the targets of the arcs.

        Parameters
        ----------
        edge_index : torch tensor or int array of shape (2, m)
            Node indices 0..num_nodes-1. An undirected edge is listed both ways.
        edge_weight : torch tensor or array of shape (m,) or (m, 1), optional
            Weights.
        num_nodes : int, optional
            Number of nodes; if not given, that of `nodes`, or the largest index + 1.
        directed : bool or None, default=None
            None: undirected if the arcs are symmetric, weights included. False demands that.
        nodes : iterable of ids, optional
            Ids of all nodes; 0..num_nodes-1 if not given.

        Returns
        -------
        Graph
            The graph.
        """
        check_options(None, directed)
        return cls._from_edge_list(
            read_edge_index(
                edge_index, edge_weight, num_nodes=num_nodes, directed=directed, nodes=nodes
            )
        )

    @classmethod
    def from_pyg(
        cls,
        data: Any,
        *,
        weight: str | None = "weight",
        directed: bool | None = None,
        nodes: Iterable[Any] | None = None,
    ) -> Self:
        """Make a graph of a PyTorch Geometric ``Data`` object.

        Parameters
        ----------
        data : torch_geometric.data.Data
            Its ``edge_index`` and ``num_nodes`` are read.
        weight : str or None, default="weight"
            "weight" reads ``edge_weight`` if there is one; another name reads that attribute, for
            instance "edge_attr" of shape (m,) or (m, 1). None: no weights.
        directed : bool or None, default=None
            None: undirected if the arcs are symmetric, weights included. False demands that.
        nodes : iterable of ids, optional
            Ids of all nodes; 0..num_nodes-1 if not given.

        Returns
        -------
        Graph
            The graph.
        """
        check_options(weight, directed)
        return cls._from_edge_list(read_pyg(data, weight=weight, directed=directed, nodes=nodes))

    @classmethod
    def from_edge_list_file(
        cls,
        path: PathLike,
        *,
        source: str | None = None,
        target: str | None = None,
        weight: str | None = "weight",
        directed: bool | None = None,
        nodes: Iterable[Any] | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
    ) -> Self:
        """Read an edge list: csv, tsv or separated by blanks, UTF-8, plain or gzipped.

        Lines that begin with ``#`` or ``%`` are comments. Ids are integers if every one in the
        file is written as an integer ("007" is not), else all are strings.

        Parameters
        ----------
        path : str or path-like
            The file.
        source, target : str, optional
            Names of columns in the header line. If not given: "source" and "target" (or src/dst,
            from/to, u/v), else the first two columns.
        weight : str or None, default="weight"
            With a header: the column of that name; "weight" may be missing. Without: the third
            column, where there is one. None: no weights; further columns are ignored.
        directed : bool or None, default=None
            None means False, as in `from_edges`.
        nodes : iterable of ids, optional
            Nodes that come first, with or without edges, as in `from_edges`.
        delimiter : str, optional
            One character; if not given, the first of tab, comma, semicolon in the first line that
            is no comment, else blanks.
        header : bool, optional
            Whether that line names the columns; if not given, it does if it holds known names, or
            names where the next line holds numbers.

        Returns
        -------
        Graph
            The graph.

        Raises
        ------
        GraphFormatError
            If a line is no edge; the message names the line.
        """
        check_options(weight, directed)
        check_params({"header": header}, {"header": optional(boolean())})
        return cls._from_edge_list(
            read_text(
                path,
                source=source,
                target=target,
                weight=weight,
                directed=bool(directed),
                nodes=nodes,
                delimiter=delimiter,
                header=header,
            )
        )

    @classmethod
    def from_csr(
        cls,
        indptr: Any,
        indices: Any,
        weights: Any = None,
        *,
        node_ids: Iterable[Any] | None = None,
        directed: bool | None = None,
    ) -> Self:
        """Make a graph of CSR arrays: the arcs of i go to ``indices[indptr[i] : indptr[i + 1]]``.

        Arrays that are int64, int32 and float32, with strictly ascending rows and positive
        weights, are not copied but viewed read-only, so a memory map stays one: do not change
        them as long as the graph is in use. Others are converted, sorted and summed.

        Parameters
        ----------
        indptr : array-like of int, shape (n_nodes + 1,)
            Rising from 0 to len(indices).
        indices : array-like of int, shape (n_arcs,)
            Node indices.
        weights : array-like of shape (n_arcs,), optional
            Finite numbers >= 0.
        node_ids : iterable of n_nodes ids, optional
            0..n_nodes-1 if not given.
        directed : bool or None, default=None
            None: undirected if the arcs are symmetric, weights included. False demands that.

        Returns
        -------
        Graph
            The graph.
        """
        check_options(None, directed)
        csr, ids = read_csr(indptr, indices, weights, node_ids=node_ids, directed=directed)
        return cls._from_csr(csr, ids)
