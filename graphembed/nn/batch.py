"""Many small graphs as one graph of as many components, and readouts: one row for each graph."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphembed._validation import (
    boolean,
    check_params,
    draw_seed,
    int_at_least,
)
from graphembed.nn._ops import aggregate, scatter
from graphembed.nn.adjacency import Adjacency
from graphembed.nn.sparse import SparseMatrix


class GraphBatch:
    """Some graphs of a `GraphLoader`, as one.

    Parameters
    ----------
    x : Tensor of shape (n_nodes, n_features)
        Features of the nodes of the first graph, then of the second, and so on.
    adjacency : Adjacency
        All edges, by target; what layers take as `edge_index`.
    ptr : Tensor of int64, shape (n_graphs + 1,)
        Graph k has the nodes ``ptr[k] : ptr[k + 1]``.
    edge_attr : Tensor of shape (n_edges, n_edge_features), optional
        Features of the edges, in the order of `adjacency`.
    y : Tensor of shape (n_graphs,) or (n_graphs, n_targets), optional
        What is to be predicted.

    Attributes
    ----------
    x, adjacency, ptr, edge_attr, y
        As above.
    """

    def __init__(
        self,
        x: Tensor,
        adjacency: Adjacency,
        ptr: Tensor,
        edge_attr: Tensor | None = None,
        y: Tensor | None = None,
    ) -> None:
        self.x = x
        self.adjacency = adjacency
        self.ptr = ptr
        self.edge_attr = edge_attr
        self.y = y
        places = torch.arange(x.shape[0], device=x.device)
        self._members = SparseMatrix(ptr, places, None, (len(ptr) - 1, x.shape[0]))

    @property
    def n_graphs(self) -> int:
        """How many graphs there are."""
        return len(self.ptr) - 1

    @property
    def batch(self) -> Tensor:
        """The graph of every node, ascending: PyG's name for it."""
        numbers = torch.arange(self.n_graphs, device=self.ptr.device)
        return numbers.repeat_interleave(self.ptr.diff(), output_size=self.x.shape[0])

    @property
    def edge_index(self) -> Tensor:
        """Sources and targets of all edges, of shape (2, n_edges): PyG's form of `adjacency`."""
        matrix = self.adjacency.matrix
        return torch.stack([matrix.indices.to(torch.int64), matrix.rows])

    def readout(self, h: Tensor, reduce: str = "mean") -> Tensor:
        """Make one row for each graph of the rows of its nodes.

        Parameters
        ----------
        h : Tensor of shape (n_nodes, d)
            Such as the output of the last layer.
        reduce : {"sum", "mean", "max"}, default="mean"
            What is made of the rows of a graph.

        Returns
        -------
        Tensor of shape (n_graphs, d)
            0 for a graph without nodes.
        """
        return aggregate(self._members, h, reduce)

    def __repr__(self) -> str:
        return (
            f"GraphBatch(n_graphs={self.n_graphs}, n_nodes={self.x.shape[0]}, "
            f"n_edges={self.adjacency.matrix.n_entries})"
        )


class GraphLoader:
    """Batches of small graphs, in another order every epoch if wanted.

    The graphs are put behind one another once, on one device; a batch is cut out of that by whole
    arrays, so that its cost hardly depends on how many graphs it has.

    Parameters
    ----------
    graphs : iterable of graphs
        Such as a `GraphDataset`, or a list of `GraphSample` or of PyG's ``Data``: anything with
        `x` and `edge_index`, and with or without `edge_attr` and `y`. An `edge_weight` is refused.
    batch_size : int, default=32
        Graphs in a batch; the last may have fewer.
    shuffle : bool, default=False
        Draw a new order for every epoch.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Decides about the orders.
    dtype : torch.dtype, default=torch.float32
        Of `x`, `edge_attr` and `y`; a `y` of integers, such as a class, stays int64.
    device : torch.device or str, default="cpu"
        Where the batches lie.

    Notes
    -----
    Memory is that of the graphs, once more, and of one batch.

    Examples
    --------
    >>> from graphembed.datasets import GraphSample
    >>> pair = GraphSample(np.eye(2), np.array([[0, 1], [1, 0]]), np.ones((2, 1)), 0.5, "a pair")
    >>> for batch in GraphLoader([pair, pair, pair], batch_size=2):
    ...     print(batch, batch.readout(batch.x, "sum").tolist())
    GraphBatch(n_graphs=2, n_nodes=4, n_edges=4) [[1.0, 1.0], [1.0, 1.0]]
    GraphBatch(n_graphs=1, n_nodes=2, n_edges=2) [[1.0, 1.0]]
    """

    def __init__(
        self,
        graphs: Iterable[Any],
        batch_size: int = 32,
        *,
        shuffle: bool = False,
        random_state: Any = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        check_params(
            {"batch_size": batch_size, "shuffle": shuffle},
            {"batch_size": int_at_least(1), "shuffle": boolean()},
        )
        self.batch_size = batch_size
        self.shuffle = shuffle
        self._rng = np.random.default_rng(draw_seed(random_state))
        parts = [_parts(graph, k, dtype) for k, graph in enumerate(graphs)]
        if not parts:
            raise ValueError("graphs must hold at least one graph, got none")
        for key in ("x", "edge_attr", "y"):
            _check_alike([part[key] for part in parts], key)
        self._x = _joined(parts, "x").to(device)
        self._edges = _joined(parts, "edge_index", dim=1).to(device)
        self._edge_attr, self._y = (
            None if parts[0][key] is None else _joined(parts, key).to(device)
            for key in ("edge_attr", "y")
        )
        self._nodes_of = _starts([len(part["x"]) for part in parts], device)
        self._edges_of = _starts([part["edge_index"].shape[1] for part in parts], device)

    @property
    def n_features(self) -> int:
        """Width of `x`."""
        return int(self._x.shape[1])

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return -(-(len(self._nodes_of) - 1) // self.batch_size)

    def __iter__(self) -> Iterator[GraphBatch]:
        n_graphs = len(self._nodes_of) - 1
        order = self._rng.permutation(n_graphs) if self.shuffle else np.arange(n_graphs)
        chosen = torch.from_numpy(order).to(self._nodes_of.device)
        for start in range(0, n_graphs, self.batch_size):
            yield self._batch(chosen[start : start + self.batch_size])

    def _batch(self, chosen: Tensor) -> GraphBatch:
        nodes, ptr = _ranges(self._nodes_of, chosen)
        edges, edge_ptr = _ranges(self._edges_of, chosen)
        shift = ptr[:-1].repeat_interleave(edge_ptr.diff(), output_size=len(edges))
        edge_index = self._edges.index_select(1, edges) + shift
        return GraphBatch(
            self._x.index_select(0, nodes),
            Adjacency.from_edge_index(edge_index, len(nodes)),
            ptr,
            None if self._edge_attr is None else self._edge_attr.index_select(0, edges),
            None if self._y is None else self._y.index_select(0, chosen),
        )


def global_add_pool(x: Tensor, batch: Tensor | None, size: int | None = None) -> Tensor:
    """Add up the rows of every graph; PyG's name and call.

    Parameters
    ----------
    x : Tensor of a floating dtype, shape (n_nodes, d) or (n_nodes,)
        Rows.
    batch : Tensor of integers, shape (n_nodes,), or None
        The graph of every row; None means that there is one graph.
    size : int, optional
        Number of graphs; by default up to the largest in `batch`.

    Returns
    -------
    Tensor of shape (size, d) or (size,)
        0 for a graph without rows.
    """
    return _pool(x, batch, size, "sum")


def global_mean_pool(x: Tensor, batch: Tensor | None, size: int | None = None) -> Tensor:
    """Average the rows of every graph; PyG's name and call.

    Parameters
    ----------
    x, batch, size
        As of `global_add_pool`.

    Returns
    -------
    Tensor of shape (size, d) or (size,)
        0 for a graph without rows.
    """
    return _pool(x, batch, size, "mean")


def global_max_pool(x: Tensor, batch: Tensor | None, size: int | None = None) -> Tensor:
    """Give the maxima of the rows of every graph; PyG's name and call.

    Parameters
    ----------
    x, batch, size
        As of `global_add_pool`.

    Returns
    -------
    Tensor of shape (size, d) or (size,)
        0 for a graph without rows.
    """
    return _pool(x, batch, size, "max")


def _pool(x: Tensor, batch: Tensor | None, size: int | None, reduce: str) -> Tensor:
    if x.dim() == 1:
        return _pool(x.unsqueeze(1), batch, size, reduce).squeeze(1)
    if batch is None:
        batch, size = torch.zeros(len(x), dtype=torch.int64, device=x.device), 1
    if size is None:
        size = int(batch.max()) + 1 if len(batch) else 0
    return scatter(x, batch, size, reduce)


def _parts(graph: Any, k: int, dtype: torch.dtype) -> dict[str, Any]:
    """The tensors of graph k, checked; edges sorted by target, as a batch shall have them."""
    x = torch.as_tensor(graph.x, dtype=dtype)
    edge_index = torch.as_tensor(graph.edge_index)
    edge_attr, y = getattr(graph, "edge_attr", None), getattr(graph, "y", None)
    if getattr(graph, "edge_weight", None) is not None:
        raise ValueError(
            f"graph {k} has an edge_weight, which batches do not have: give it as a column of "
            f"edge_attr"
        )
    if x.dim() != 2:
        raise ValueError(f"x of graph {k} must have 2 dimensions, got shape {tuple(x.shape)}")
    if edge_index.dim() != 2 or edge_index.shape[0] != 2:
        raise ValueError(
            f"edge_index of graph {k} must have shape (2, n_edges), got {tuple(edge_index.shape)}"
        )
    if edge_index.numel() and edge_index.is_floating_point():
        raise TypeError(f"edge_index of graph {k} must hold integers, got {edge_index.dtype}")
    edge_index = edge_index.to(torch.int64)
    if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < len(x):
        raise IndexError(
            f"edge_index of graph {k} must be in [0, {len(x)}), got {int(edge_index.min())} to "
            f"{int(edge_index.max())}"
        )
    order = edge_index[1].argsort(stable=True)
    if edge_attr is not None:
        edge_attr = torch.as_tensor(edge_attr, dtype=dtype)
        if len(edge_attr) != len(order):
            raise ValueError(
                f"edge_attr of graph {k} must have {len(order)} rows, one for each edge, got "
                f"{len(edge_attr)}"
            )
        edge_attr = edge_attr[order]
    if y is not None:
        is_float = torch.as_tensor(y).is_floating_point()
        y = torch.as_tensor(y, dtype=dtype if is_float else torch.int64).reshape(1, -1)
        y = y[:, 0] if y.shape[1] == 1 else y
    return {"x": x, "edge_index": edge_index[:, order], "edge_attr": edge_attr, "y": y}


def _check_alike(parts: Sequence[Tensor | None], key: str) -> None:
    """All graphs have such features, and as many, or none has."""
    shapes = [None if part is None else tuple(part.shape[1:]) for part in parts]
    for k, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"{key} must be alike in all graphs: a row of it has the shape {shapes[0]} in "
                f"graph 0, {shape} in graph {k}"
            )


def _joined(parts: Sequence[dict[str, Any]], key: str, dim: int = 0) -> Tensor:
    return torch.cat([part[key] for part in parts], dim)


def _starts(lengths: Sequence[int], device: torch.device | str) -> Tensor:
    starts = torch.zeros(len(lengths) + 1, dtype=torch.int64)
    torch.cumsum(torch.tensor(lengths), 0, out=starts[1:])
    return starts.to(device)


def _ranges(starts: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the chosen ranges behind one another, and where each begins in the result."""
    first = starts.index_select(0, chosen)
    lengths = starts.index_select(0, chosen + 1) - first
    ptr = torch.zeros(len(chosen) + 1, dtype=torch.int64, device=starts.device)
    torch.cumsum(lengths, 0, out=ptr[1:])
    n = int(ptr[-1])
    offset = (first - ptr[:-1]).repeat_interleave(lengths, output_size=n)
    return torch.arange(n, device=starts.device) + offset, ptr
