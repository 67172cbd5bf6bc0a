"""`Adjacency`: the edges of a graph by target, and the matrices that the layers make of them."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor

from graphembed.graph import Graph
from graphembed.nn import _matrices
from graphembed.nn._checks import check_index, check_integers, check_range, check_size
from graphembed.nn._memory import outlive_inference, remember
from graphembed.nn._pattern import group, starts
from graphembed.nn.sparse import SparseMatrix, as_sparse_matrix

_MOST_KEPT = 8


class Adjacency:
    """Edges by target: row t of `matrix` holds the sources of the edges that end at node t.

    Made once and used by all layers, which then neither sort nor normalise again. (Of an
    `edge_index` one is made at the first use, and again after every write that torch sees: it does
    not see those through numpy or to ``edge_index.data``.) In a block
    (more sources than targets) the first `n_target` sources are the targets themselves.

    Parameters
    ----------
    matrix : SparseMatrix of shape (n_target, n_source)
        The edges; values are their weights.
    edge_order : Tensor of integers, shape (n_entries,), optional
        Entry k of `matrix` is edge ``edge_order[k]`` of the user's; -1 is a self-loop that was
        added. None: entry k is edge k.
    is_block : bool, default=False
        Say that this is a part of a graph even where it has as many sources as targets: the
        degrees of its sources are not those of the graph.

    Attributes
    ----------
    matrix, edge_order
        As above.
    """

    __slots__ = ("__weakref__", "_edge_order", "_full", "_is_block", "_kept", "_n_edges", "matrix")

    def __init__(
        self, matrix: SparseMatrix, edge_order: Tensor | None = None, *, is_block: bool = False
    ) -> None:
        if not isinstance(matrix, SparseMatrix):
            raise TypeError(f"matrix must be a SparseMatrix, got {type(matrix).__name__}")
        n_edges: int | None = matrix.n_entries
        if edge_order is not None:
            check_integers(edge_order, "edge_order")
            if edge_order.shape != (n_edges,):
                raise ValueError(
                    f"edge_order must have shape ({n_edges},), got {tuple(edge_order.shape)}"
                )
            if edge_order.device != matrix.device:
                raise ValueError(
                    f"edge_order lies on {edge_order.device}, but matrix on {matrix.device}"
                )
            if bool((edge_order == -1).any()):
                n_edges = None
            else:
                check_range(edge_order, matrix.n_entries, "edge_order")
        self._set(matrix, edge_order, n_edges, is_block)

    def _set(
        self, matrix: SparseMatrix, order: Tensor | None, n_edges: int | None, is_block: bool
    ) -> None:
        self.matrix = matrix
        self._edge_order = order
        self._n_edges = n_edges  # of the user; None if self-loops were added
        self._is_block = is_block
        self._kept: dict[Any, Any] = {}
        # Of a block that was cut out of a graph: the graph, the targets, and how to cut.
        self._full: tuple[Adjacency, Tensor, Tensor] | None = None

    @classmethod
    def _trusted(
        cls, matrix: SparseMatrix, order: Tensor | None, n_edges: int | None, is_block: bool
    ) -> Self:
        """An adjacency whose order of edges needs no check."""
        adjacency = cls.__new__(cls)
        adjacency._set(matrix, order, n_edges, is_block)
        return adjacency

    @classmethod
    def from_edge_index(
        cls,
        edge_index: Tensor,
        n_source: int,
        n_target: int | None = None,
        edge_weight: Tensor | None = None,
    ) -> Self:
        """Make an adjacency of edges (source, target).

        Parameters
        ----------
        edge_index : Tensor of int64 or int32, shape (2, n_edges)
            Row 0 holds sources, row 1 targets; in any order, edges may be there repeatedly.
        n_source : int
            Number of sources.
        n_target : int, optional
            Number of targets; by default as many.
        edge_weight : Tensor of a floating dtype, shape (n_edges,), optional
            Weights; they keep their gradient.

        Returns
        -------
        Adjacency
            On the device of `edge_index`.

        Raises
        ------
        TypeError
            If `edge_index` is not a tensor of integers.
        ValueError
            If its shape is not (2, n_edges), or there are 2**31 nodes or more.
        IndexError
            If a node is out of range; the message names the position.
        """
        n_target = n_source if n_target is None else n_target
        check_size(n_source, "n_source")
        check_size(n_target, "n_target")
        check_integers(edge_index, "edge_index")
        if edge_index.dim() != 2 or edge_index.shape[0] != 2:
            raise ValueError(
                f"edge_index must have shape (2, n_edges), got {tuple(edge_index.shape)}"
            )
        check_range(edge_index[0], n_source, "edge_index[0] (sources)")
        check_range(edge_index[1], n_target, "edge_index[1] (targets)")
        source, target = edge_index.detach()
        if bool((target[1:] < target[:-1]).any()):
            indptr, order = group(target, n_target)
            source = source.index_select(0, order)
        else:
            indptr, order = starts(target, n_target), None
        indices = source.to(torch.int32, copy=True).contiguous()
        matrix = SparseMatrix._trusted(indptr, indices, None, (n_target, n_source))
        adjacency = cls._trusted(matrix, order, matrix.n_entries, False)
        return adjacency if edge_weight is None else adjacency.with_weights(edge_weight)

    @classmethod
    def from_graph(cls, graph: Graph) -> Self:
        """Make an adjacency of a `Graph`; what `Graph.to_adjacency` returns.

        Parameters
        ----------
        graph : Graph
            Edge k of the result is arc k of the graph's arrays; of an undirected graph, where arc
            k is stored in both directions, one that joins the same two nodes.

        Returns
        -------
        Adjacency
            On the CPU.
        """
        # Of an undirected graph the arrays are their own transpose.
        indptr, indices = torch.tensor(graph.indptr), torch.tensor(graph.indices)
        weights = None if graph.weights is None else torch.tensor(graph.weights)
        shape = (len(indptr) - 1, len(indptr) - 1)
        matrix = SparseMatrix._trusted(indptr, indices, weights, shape)
        if not graph.directed:
            return cls(matrix)
        transposed, order = matrix.transposed
        values = None if weights is None else weights.index_select(0, order)
        return cls._trusted(transposed._with(values), order, matrix.n_entries, False)

    @classmethod
    def from_torch(cls, adj_t: Tensor) -> Self:
        """Make an adjacency of a torch sparse matrix.

        Parameters
        ----------
        adj_t : Tensor of the layout sparse CSR or COO, shape (n_target, n_source)
            PyG's convention: rows are targets. Its values are the weights.

        Returns
        -------
        Adjacency
            On the device of `adj_t`.
        """
        return cls(SparseMatrix.from_torch(adj_t))

    @property
    def n_source(self) -> int:
        """Number of sources."""
        return self.matrix.shape[1]

    @property
    def n_target(self) -> int:
        """Number of targets."""
        return self.matrix.shape[0]

    @property
    def is_bipartite(self) -> bool:
        """Whether the sources are not just the targets, or this was said to be a block."""
        return self._is_block or self.n_source != self.n_target

    @property
    def edge_order(self) -> Tensor | None:
        """The user's number of the edge of every entry; None: entry k is edge k."""
        return self._edge_order

    @property
    def device(self) -> torch.device:
        """Where the edges lie."""
        return self.matrix.device

    def with_weights(self, edge_weight: Tensor | None) -> Self:
        """The same edges with other weights.

        Parameters
        ----------
        edge_weight : Tensor of shape (n_edges,), or None
            In the order of the user's edges. Its gradient is kept.

        Returns
        -------
        Adjacency
            Shares the places of the edges and their transpose.
        """
        if self._full is not None:
            raise ValueError(
                "a restricted block has the weights of its graph: give them to the graph, "
                "adjacency.with_weights(edge_weight).restrict(targets)"
            )
        if edge_weight is None:
            values = None
        else:
            values = self._in_order(edge_weight, "edge_weight")
            if values is edge_weight and not values.requires_grad:
                values = values.clone()  # ours cannot be written to
        return self._like(self.matrix._with(values), self._edge_order)

    def _like(self, matrix: SparseMatrix, order: Tensor | None) -> Self:
        return self._trusted(matrix, order, self._n_edges, self._is_block)

    def edge_values(self, edge_attr: Tensor) -> Tensor:
        """Features of the user's edges in the order of the entries of `matrix`.

        Parameters
        ----------
        edge_attr : Tensor of shape (n_edges, ...)
            Features in the order of the user's edges.

        Returns
        -------
        Tensor of shape (n_entries, ...)
            `edge_attr` itself if the orders are the same.
        """
        return self._in_order(edge_attr, "edge_attr")

    def _in_order(self, features: Tensor, name: str) -> Tensor:
        if not isinstance(features, Tensor) or not features.is_floating_point():
            what = features.dtype if isinstance(features, Tensor) else type(features).__name__
            raise TypeError(f"{name} must be a tensor of a floating dtype, got {what}")
        if features.device != self.device:
            raise ValueError(f"{name} lies on {features.device}, but the edges on {self.device}")
        n = self._n_edges
        if n is None:
            raise ValueError(
                f"{name} has no rows for the self-loops that self_looped() added: give it with the "
                f"edges as they were before"
            )
        fits = features.dim() != 0 and features.shape[0] == n
        if not fits or (name == "edge_weight" and features.dim() != 1):
            raise ValueError(
                f"{name} must have {n} rows, one for each edge, got shape {tuple(features.shape)}"
            )
        order = self.edge_order
        return features if order is None else features.index_select(0, order)

    def gcn_matrix(
        self,
        improved: bool = False,
        add_self_loops: bool = True,
        normalize: bool = True,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> SparseMatrix:
        """D^-1/2 (A + fill I) D^-1/2, where D holds the weights that end at each node.

        Parameters
        ----------
        improved : bool, default=False
            Self-loops that are added weigh 2 instead of 1.
        add_self_loops : bool, default=True
            Add a self-loop to nodes without one; of several, the last counts.
        normalize : bool, default=True
            Multiply by D^-1/2.
        dtype : torch.dtype, default=torch.float32
            Of the values.

        Returns
        -------
        SparseMatrix
            Remembered, unless the weights take a gradient.
        """
        return self._derived(
            ("gcn", improved, add_self_loops, normalize),
            lambda full: _matrices.gcn(full.matrix, improved, add_self_loops, normalize),
            dtype,
        )

    def cheb_matrix(
        self,
        normalization: str | None = "sym",
        lambda_max: float | None = None,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> SparseMatrix:
        """The scaled Laplacian 2 L / lambda_max - I of Chebyshev polynomials.

        Parameters
        ----------
        normalization : {"sym", "rw"} or None, default="sym"
            L is I - D^-1/2 A D^-1/2, I - D^-1 A or D - A; self-loops are left out.
        lambda_max : float, optional
            Largest eigenvalue of L; by default twice the largest entry, as in PyG.
        dtype : torch.dtype, default=torch.float32
            Of the values.

        Returns
        -------
        SparseMatrix
            Remembered, unless the weights take a gradient.
        """
        return self._derived(
            ("cheb", normalization, lambda_max),
            lambda full: _matrices.cheb(full.matrix, normalization, lambda_max),
            dtype,
        )

    def mean_matrix(self, *, dtype: torch.dtype = torch.float32) -> SparseMatrix:
        """Every row divided by its number of entries; a node without edges has none.

        Parameters
        ----------
        dtype : torch.dtype, default=torch.float32
            Of the values.

        Returns
        -------
        SparseMatrix
            Remembered, unless the weights take a gradient.
        """
        matrix: SparseMatrix | None = self._kept.get(("mean", dtype))
        if matrix is None:
            matrix = outlive_inference(lambda: _matrices.mean(self.matrix).to(dtype=dtype))
            self._keep(("mean", dtype), matrix)
        return matrix

    def self_looped(self) -> "Adjacency":
        """The edges but for self-loops, and then one self-loop at every target.

        Returns
        -------
        Adjacency
            Without weights; remembered.
        """
        if "looped" not in self._kept:
            self._kept["looped"] = outlive_inference(self._made_looped)
        result: Adjacency = self._kept["looped"]
        return result

    def _made_looped(self) -> "Adjacency":
        matrix, kept = _matrices.looped(self.matrix)
        order = _compose(kept, self.edge_order)
        return Adjacency._trusted(matrix, order, None, self._is_block)

    def restrict(self, targets: Tensor) -> tuple["Adjacency", Tensor]:
        """The block of some targets and the sources that they read.

        Its `gcn_matrix`, `cheb_matrix` and `mean_matrix` are rows of the whole graph's, so one
        layer on the block gives these targets exactly what it gives them on the graph.

        Parameters
        ----------
        targets : Tensor of integers, shape (n,)
            Distinct nodes.

        Returns
        -------
        block : Adjacency
            Of n targets.
        sources : Tensor of int64, shape (n_source,)
            The targets, then the other nodes they read, ascending; column j of the block is
            ``sources[j]``.
        """
        return outlive_inference(lambda: self._restricted(targets))

    def _restricted(self, targets: Tensor) -> tuple["Adjacency", Tensor]:
        check_index(targets, self.n_target, "targets")
        if self.n_target > self.n_source:
            raise ValueError(
                f"restrict needs targets that are sources, too, got {self.n_target} targets and "
                f"{self.n_source} sources"
            )
        targets = targets.to(torch.int64)
        entries, indptr = self.matrix._entries_of(targets)
        columns = self.matrix.indices.index_select(0, entries).to(torch.int64)
        local = torch.full((self.n_source,), -1, dtype=torch.int64, device=self.device)
        numbers = torch.arange(len(targets), device=self.device)
        local[targets] = numbers
        if not bool((local[targets] == numbers).all()):
            raise ValueError("targets must be distinct")
        is_read = torch.zeros(self.n_source, dtype=torch.bool, device=self.device)
        is_read[columns] = True
        is_read[targets] = False
        others = is_read.nonzero()[:, 0]
        local[others] = torch.arange(len(others), device=self.device) + len(targets)
        sources = torch.cat([targets, others])
        values = self.matrix.values
        matrix = SparseMatrix._trusted(
            indptr,
            local.index_select(0, columns).to(torch.int32),
            None if values is None else values.index_select(0, entries),
            (len(targets), len(sources)),
        )
        block = self._like(matrix, _compose(entries, self.edge_order))
        block._full = (self, targets, local)
        return block, sources

    def to(self, device: torch.device | str) -> "Adjacency":
        """The same edges on another device.

        Parameters
        ----------
        device : torch.device or str
            Where they shall lie.

        Returns
        -------
        Adjacency
            This one if it is there already; remembered, unless the weights take a gradient. The
            graph that a block was restricted of stays where it is, and its rows are moved.
        """
        matrix = self.matrix.to(device)
        if matrix is self.matrix:
            return self
        if self._is_trained:
            return self._moved(matrix)
        return remember(lambda: self._moved(matrix), self, key=("to", matrix.device))

    def _moved(self, matrix: SparseMatrix) -> "Adjacency":
        order = self._edge_order
        if order is not None:
            order = order.to(matrix.device)
        moved = self._like(matrix, order)
        moved._full = self._full
        return moved

    def _derived(
        self, key: Any, make: Callable[["Adjacency"], SparseMatrix], dtype: torch.dtype
    ) -> SparseMatrix:
        """A matrix of this graph, or rows of the one of the graph this block was cut out of."""
        matrix: SparseMatrix | None = self._kept.get((key, dtype))
        if matrix is None:
            matrix = outlive_inference(lambda: self._made(key, make, dtype))
            self._keep((key, dtype), matrix)
        return matrix

    def _made(
        self, key: Any, make: Callable[["Adjacency"], SparseMatrix], dtype: torch.dtype
    ) -> SparseMatrix:
        if self._full is not None:
            full, targets, local = self._full
            rows = full._derived(key, make, dtype).select_rows(targets)
            indices = local.index_select(0, rows.indices).to(torch.int32)
            shape = (self.n_target, self.n_source)
            cut = SparseMatrix._trusted(rows.indptr, indices, rows.values, shape)
            return cut.to(self.device)
        if self.is_bipartite:
            raise ValueError(
                f"a block of {self.n_target} targets and {self.n_source} sources does not know "
                f"the degrees of its sources: sample with NeighborLoader(..., subgraph=True), cut "
                f"the block out of its graph by restrict(), or give edge weights that are "
                f"normalised already (normalize=False)"
            )
        return make(self).to(dtype=dtype)

    def _keep(self, key: Any, matrix: SparseMatrix) -> None:
        if not self._is_trained:
            self._kept[key] = matrix
            if len(self._kept) > _MOST_KEPT:  # say, of another lambda_max every time
                del self._kept[next(iter(self._kept))]

    @property
    def _is_trained(self) -> bool:
        """Whether the weights, of a block its graph's, take a gradient: they will change."""
        if self._full is not None:
            return self._full[0]._is_trained
        return self.matrix.values is not None and self.matrix.values.requires_grad

    def __repr__(self) -> str:
        nodes = f"n_source={self.n_source}, n_target={self.n_target}"
        weighted = "unweighted" if self.matrix.values is None else "weighted"
        return f"Adjacency({nodes}, n_edges={self.matrix.n_entries}, {weighted})"


def as_adjacency(
    edge_index: Any,
    edge_weight: Tensor | None,
    n_source: int,
    n_target: int | None = None,
) -> Adjacency:
    """Turn what layers are given into an `Adjacency`, once for each object.

    Parameters
    ----------
    edge_index : Adjacency, Graph or Tensor
        An adjacency is returned as it is. A tensor is a (2, n_edges) edge_index or a sparse matrix
        whose rows are targets; what is made of it is remembered until the tensor dies or is
        written to.
    edge_weight : Tensor of shape (n_edges,), or None
        Weights in the order of the edges.
    n_source : int
        Number of sources.
    n_target : int, optional
        Number of targets; by default as many.

    Returns
    -------
    Adjacency
        The edges.
    """
    n_target = n_source if n_target is None else n_target
    if isinstance(edge_index, Adjacency):
        adjacency = edge_index
    elif isinstance(edge_index, Graph):
        adjacency = remember(lambda: Adjacency.from_graph(edge_index), edge_index)
    elif isinstance(edge_index, Tensor) and edge_index.layout != torch.strided:
        if edge_index.requires_grad:
            adjacency = Adjacency.from_torch(edge_index)
        else:
            adjacency = remember(
                lambda: Adjacency(as_sparse_matrix(edge_index)), edge_index, key="adjacency"
            )
    else:
        check_integers(edge_index, "edge_index")
        adjacency = remember(
            lambda: Adjacency.from_edge_index(edge_index, n_source, n_target),
            edge_index,
            key=(n_source, n_target),
        )
    if (adjacency.n_source, adjacency.n_target) != (n_source, n_target):
        raise ValueError(
            f"the edges are for {adjacency.n_source} sources and {adjacency.n_target} targets, "
            f"but the features for {n_source} and {n_target}"
        )
    if edge_weight is None:
        return adjacency
    if not isinstance(edge_weight, Tensor) or edge_weight.requires_grad:
        return adjacency.with_weights(edge_weight)
    return remember(lambda: adjacency.with_weights(edge_weight), adjacency, edge_weight)


def _compose(kept: Tensor, order: Tensor | None) -> Tensor:
    """The user's edges of entries, -1 where there is none."""
    if order is None or not len(order):
        return kept
    return torch.where(kept < 0, kept, order.index_select(0, kept.clamp(min=0)).to(kept.dtype))
