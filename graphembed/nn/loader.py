"""Mini-batches of sampled neighbourhoods, made ahead by a thread."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphembed._threads import Crew
from graphembed._validation import (
    boolean,
    check_params,
    draw_seed,
    effective_n_threads,
    int_at_least,
)
from graphembed.graph import Graph
from graphembed.nn.adjacency import Adjacency
from graphembed.nn.sparse import SparseMatrix, as_sparse_matrix
from graphembed.samplers._seeds import check_seeds, refuse_repeated
from graphembed.samplers._tables import random_order
from graphembed.samplers.neighbors import NeighborBatch, NeighborBlock, NeighborSampler

Rows: TypeAlias = Tensor | SparseMatrix | None

_LOOK = 0.05  # seconds after which the thread looks whether it is to end

_CONSTRAINTS = {
    "batch_size": int_at_least(1),
    "shuffle": boolean(),
    "drop_last": boolean(),
    "prefetch": int_at_least(0),
    "subgraph": boolean(),
    "as_pyg": boolean(),
    "pin_memory": boolean(),
}


@dataclass(frozen=True)
class MiniBatch:
    """What a model reads to compute its outputs at some seeds: ``model(batch.x, batch.edges)``.

    Attributes
    ----------
    x : Tensor or SparseMatrix of shape (n_nodes, in_channels), or None
        Features of the nodes of `node_index`.
    edges : list of Adjacency, or Adjacency
        One block for each layer, the first layer's first: the model's output has one row for each
        seed. Or one adjacency of all nodes for all layers: the first rows are the seeds'.
    y : Tensor of shape (n_seeds, ...), or None
        What is known of the seeds.
    seeds : Tensor of int64, shape (n_seeds,)
        Node indices.
    node_index : Tensor of int32, shape (n_nodes,)
        Index in the graph of every node, the seeds first.
    sample : NeighborBatch
        The same as numpy arrays; ``sample.blocks[k].arcs`` are the arcs of the edges of layer k.
    """

    x: Rows
    edges: Any
    y: Tensor | None
    seeds: Tensor
    node_index: Tensor
    sample: NeighborBatch

    @property
    def n_seeds(self) -> int:
        """Number of seeds."""
        return len(self.seeds)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "MiniBatch":
        """The same batch on another device.

        Parameters
        ----------
        device : torch.device or str
            Where it shall lie.
        non_blocking : bool, default=False
            Whether tensors in pinned memory are copied while the program goes on.

        Returns
        -------
        MiniBatch
            The batch; `sample` stays where it is.
        """

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=non_blocking)
            if isinstance(value, (SparseMatrix, Adjacency)):
                return value.to(device)
            return [move(one) for one in value] if isinstance(value, list) else value

        return self._changed(move)

    def pin_memory(self) -> "MiniBatch":
        """The same batch with its dense tensors in pinned memory, for copies to a GPU.

        Returns
        -------
        MiniBatch
            The batch.
        """
        return self._changed(lambda value: value.pin_memory() if _is_on_cpu(value) else value)

    def _changed(self, change: Callable[[Any], Any]) -> "MiniBatch":
        return replace(self, **{f.name: change(getattr(self, f.name)) for f in fields(self)})


def _is_on_cpu(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == "cpu"


class NeighborLoader:
    """Mini-batches of seeds with sampled neighbourhoods; every pass over it is one epoch.

    A thread samples the next batches and gathers their features while the model is trained. The
    batches depend on `random_state` and the number of the epoch, not on `n_jobs` or `prefetch`.

    Parameters
    ----------
    graph : Graph
        The graph.
    x : Tensor or SparseMatrix of shape (n_nodes, in_channels), or None
        Features of all nodes; gradients do not flow back to them. With None, `MiniBatch.node_index`
        tells which nodes are read.
    fanouts : sequence of int
        Neighbours sampled per node: of the seeds first, then of their neighbours, and so on; one
        number for each layer, -1 for all neighbours.
    batch_size : int
        Seeds of a batch.
    seeds : Tensor or ndarray, optional
        Nodes that batches are made for: indices, all different, or a boolean mask of all nodes;
        by default all nodes.
    y : Tensor of shape (n_nodes, ...), optional
        Classes or other targets of all nodes.
    shuffle : bool, default=False
        Whether every epoch has an order of its own.
    drop_last : bool, default=False
        Leave out a last batch that has fewer seeds.
    replace : bool, default=False
        Whether a neighbour may be drawn several times.
    weighted : bool, optional
        Whether neighbours are drawn in proportion to weights; by default if there are any.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Seed of the orders and the draws.
    n_jobs : int, optional
        Threads that sample; -1 means all cores.
    prefetch : int, default=2
        Batches made ahead by a thread; 0 makes them when they are asked for.
    subgraph : bool, default=False
        Sample the neighbours of a node once and give one adjacency for all layers: for layers that
        need the degrees of the sources, such as `GCNConv`, which then are those in the subgraph.
    as_pyg : bool, default=False
        Give `torch_geometric.data.Data` as PyG's loader of the same name does: `x`, `y` of all
        its nodes, `edge_index`, `edge_weight` if the graph has weights, `n_id`, `e_id` (arcs of
        the graph), `batch_size` and `input_id` (places in `seeds`).
    pin_memory : bool, default=False
        Put dense tensors into pinned memory, for copies to a GPU.

    Attributes
    ----------
    epoch : int
        Number of the next pass, 0 at first; the order and the draws of a pass depend on it.
    sampler : NeighborSampler
        What samples.

    Notes
    -----
    Memory beside the sampler's: 8 bytes per seed, 4 more while an epoch runs, and `prefetch` + 1
    batches. The weights of blocks are described at `NeighborSampler`.

    Examples
    --------
    >>> import torch
    >>> from graphembed import Graph
    >>> from graphembed.nn.loader import NeighborLoader
    >>> graph = Graph.from_any([(0, 1), (1, 2), (2, 3)])
    >>> loader = NeighborLoader(graph, torch.eye(4), [2, 2], batch_size=2, random_state=0)
    >>> [(batch.seeds.tolist(), tuple(batch.x.shape)) for batch in loader]
    [([0, 1], (4, 4)), ([2, 3], (4, 4))]
    """

    def __init__(
        self,
        graph: Graph,
        x: Any,
        fanouts: Sequence[int],
        batch_size: int,
        *,
        seeds: Any = None,
        y: Tensor | None = None,
        shuffle: bool = False,
        drop_last: bool = False,
        replace: bool = False,
        weighted: bool | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        prefetch: int = 2,
        subgraph: bool = False,
        as_pyg: bool = False,
        pin_memory: bool = False,
    ) -> None:
        given = {name: value for name, value in locals().items() if name in _CONSTRAINTS}
        check_params(given, _CONSTRAINTS, owner="NeighborLoader")
        if pin_memory and not torch.cuda.is_available():
            raise ValueError(
                "pin_memory=True needs a CUDA device: pin_memory=torch.cuda.is_available()"
            )
        self._x = _features(x, graph.n_nodes)
        if y is not None:
            if not isinstance(y, Tensor):
                raise TypeError(f"y must be a Tensor, got {type(y).__name__}")
            if y.shape[:1] != (graph.n_nodes,):
                raise ValueError(
                    f"y must have {graph.n_nodes} rows, one for each node, "
                    f"got the shape {tuple(y.shape)}"
                )
        self._y = y
        self._seeds = _seed_indices(seeds, graph.n_nodes)
        self._batch_size, self._drop_last = int(batch_size), bool(drop_last)
        self._shuffle, self._prefetch = bool(shuffle), int(prefetch)
        self._subgraph, self._pin_memory = bool(subgraph or as_pyg), bool(pin_memory)
        self._data_class: Any = None
        if as_pyg:
            self._data_class = _pyg_data_class()
        self._seed = draw_seed(random_state)
        self._n_threads = effective_n_threads(n_jobs)
        self.sampler = NeighborSampler(
            graph, fanouts, replace=replace, weighted=weighted, random_state=self._seed,
            n_jobs=n_jobs,
        )  # fmt: skip
        self.epoch = 0

    def __len__(self) -> int:
        """Batches of an epoch."""
        n_full, rest = divmod(len(self._seeds), self._batch_size)
        return n_full + (rest > 0 and not self._drop_last)

    def __iter__(self) -> Iterator[Any]:
        """Begin an epoch."""
        epoch, self.epoch = self.epoch, self.epoch + 1
        order = self._order(epoch)

        def make(number: int) -> Any:
            first = number * self._batch_size
            places = slice(first, first + self._batch_size)
            places_of_seeds = None if order is None else order[places]
            return self._make(epoch * len(self) + number, places, places_of_seeds)

        if self._prefetch:
            return _made_ahead(make, len(self), self._prefetch)
        return map(make, range(len(self)))

    def _order(self, epoch: int) -> NDArray[np.int32] | None:
        if not self._shuffle:
            return None
        key = (self._seed + epoch + 1) % 2**64
        return random_order(len(self._seeds), key, self._n_threads)

    def _make(self, number: int, places: slice, order: NDArray[np.int32] | None) -> Any:
        seeds = self._seeds[places if order is None else order]
        sampler = self.sampler
        draw = sampler.sample_subgraph if self._subgraph else sampler.sample
        sample = draw(seeds, number)
        node_index = torch.from_numpy(sample.node_index)
        x = None if self._x is None else _rows(self._x, node_index)
        if self._data_class is not None:
            input_id = np.arange(len(self._seeds))[places] if order is None else order
            return self._data(sample, x, node_index, input_id)
        edges = [_adjacency(block, not self._subgraph) for block in sample.blocks]
        batch = MiniBatch(
            x,
            edges[0] if self._subgraph else edges,
            None if self._y is None else _rows(self._y, node_index[: len(seeds)]),
            torch.from_numpy(seeds),
            node_index,
            sample,
        )
        return batch.pin_memory() if self._pin_memory else batch

    def _data(
        self, sample: NeighborBatch, x: Rows, node_index: Tensor, input_id: NDArray[Any]
    ) -> Any:
        (block,) = sample.blocks
        counts = torch.from_numpy(np.diff(block.indptr))
        target = torch.arange(block.n_target).repeat_interleave(counts)
        data = self._data_class(
            x=x.to_torch() if isinstance(x, SparseMatrix) else x,
            edge_index=torch.stack([torch.from_numpy(block.indices).long(), target]),
            n_id=node_index.long(),
            e_id=torch.from_numpy(block.arcs),
            input_id=torch.from_numpy(input_id).long(),
            batch_size=len(input_id),
            num_nodes=len(node_index),
        )
        if self._y is not None:
            data.y = _rows(self._y, node_index)
        if block.weights is not None:
            data.edge_weight = torch.from_numpy(block.weights)
        return data.pin_memory() if self._pin_memory else data


def _pyg_data_class() -> Any:
    try:
        from torch_geometric.data import Data
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "torch_geometric":
            raise
        raise ImportError(
            "as_pyg=True needs the package 'torch_geometric', which is not installed: "
            "pip install torch-geometric"
        ) from error
    return Data


def _features(x: Any, n_nodes: int) -> Rows:
    """Check the features; a sparse tensor becomes a `SparseMatrix`."""
    if x is None:
        return None
    if isinstance(x, Tensor) and x.layout != torch.strided:
        x = as_sparse_matrix(x)
    if not isinstance(x, (Tensor, SparseMatrix)):
        raise TypeError(f"x must be a Tensor, a SparseMatrix or None, got {type(x).__name__}")
    if len(x.shape) < 2 or x.shape[0] != n_nodes:
        raise ValueError(
            f"x must have the shape ({n_nodes}, in_channels), one row for each node, "
            f"got {tuple(x.shape)}"
        )
    return x.detach() if isinstance(x, Tensor) else x


def _seed_indices(seeds: Any, n_nodes: int) -> NDArray[np.int64]:
    """Turn indices or a mask into indices, checked."""
    if seeds is None:
        return np.arange(n_nodes)
    found = seeds.numpy(force=True) if isinstance(seeds, Tensor) else np.asarray(seeds)
    if found.dtype == bool:
        if found.shape != (n_nodes,):
            raise ValueError(f"a mask must have the shape ({n_nodes},), got seeds of {found.shape}")
        return np.flatnonzero(found)
    checked = check_seeds(found, n_nodes)
    refuse_repeated(checked)
    return checked.astype(np.int64)


def _rows(x: Any, rows: Tensor) -> Any:
    """Gather rows, without a gradient."""
    with torch.no_grad():
        rows = rows.to(x.device)
        return x.select_rows(rows) if isinstance(x, SparseMatrix) else x.index_select(0, rows)


def _adjacency(block: NeighborBlock, is_block: bool) -> Adjacency:
    """Share the arrays of a block with torch."""
    matrix = SparseMatrix._trusted(
        torch.from_numpy(block.indptr),
        torch.from_numpy(block.indices),
        None if block.weights is None else torch.from_numpy(block.weights),
        (block.n_target, block.n_source),
    )
    return Adjacency(matrix, is_block=is_block)


def _made_ahead(make: Callable[[int], Any], n_items: int, depth: int) -> Iterator[Any]:
    """Yield ``make(0), make(1), ...``, made by a thread that is at most `depth` ahead."""
    crew = Crew()
    made: deque[Any] = deque()
    taken: SimpleQueue[None] = SimpleQueue()

    def work() -> None:
        for number in range(n_items):
            while len(made) >= depth and not crew.stopped:
                try:
                    taken.get(timeout=_LOOK)
                except Empty:
                    continue
            if crew.stopped:
                return
            made.append(make(number))
            crew.ring()

    try:
        crew.start(work, 1)
        for _ in range(n_items):
            if not crew.wait_for(lambda: bool(made or crew.errors)):
                raise RuntimeError(
                    "the thread that makes batches did not come along into this forked process: "
                    "begin the epoch here, or say prefetch=0"
                )
            if not made:
                raise crew.errors[0]
            item = made.popleft()
            taken.put(None)
            yield item
    finally:
        crew.stop()
