"""What loaders return: a graph with labels, with features and masks too, or many small graphs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from graphembed.datasets._splits import Split
from graphembed.graph import Graph

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """A graph, the labels of its nodes, and what they mean.

    Attributes
    ----------
    name : str
        The name in `available`, or the stem of the file.
    graph : Graph
        The graph; row ``i`` of `labels` belongs to ``graph.node_ids[i]``.
    labels : ndarray of shape (n_nodes,), int64, or scipy.sparse.csr_array (n_nodes, n_labels), bool
        One class per node, -1 where it has none, or any number of labels per node.
    label_names : tuple of str
        Name of every class, or of every column of `labels`.
    description : str
        What the nodes, edges and labels are.
    """

    name: str
    graph: Graph
    labels: Any
    label_names: tuple[str, ...]
    description: str

    def __post_init__(self) -> None:
        shape: tuple[int, ...] = (self.graph.n_nodes,)
        if self.multilabel:
            shape = (self.graph.n_nodes, self.n_labels)
        if self.labels.shape != shape:
            raise ValueError(f"labels must have shape {shape}, got {self.labels.shape}")

    @property
    def multilabel(self) -> bool:
        """True if a node may have several labels."""
        return bool(sp.issparse(self.labels))

    @property
    def n_labels(self) -> int:
        """Number of classes or labels."""
        return len(self.label_names)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self._summary()}>"

    def _summary(self) -> str:
        kind = "labels" if self.multilabel else "classes"
        direction = "directed" if self.graph.directed else "undirected"
        return (
            f"{self.graph.n_nodes} nodes, {self.graph.n_edges} {direction} "
            f"edges, {self.n_labels} {kind}"
        )


@dataclass(frozen=True, repr=False, eq=False)
class NodeDataset(Dataset):
    """A dataset for the classification of nodes: with features, and masks to train and test on.

    Attributes
    ----------
    name, graph, labels, label_names, description
        As in `Dataset`; node ids are 0 to n - 1. A node without a class (-1) is in no mask.
    x : scipy.sparse.csr_array of shape (n_nodes, n_features), float32, or None
        The features; None if they were not asked for.
    train_mask, val_mask, test_mask : ndarray of shape (n_nodes,), bool
        Nodes to train on, to choose by, and to test on; no node is in two of them.

    See Also
    --------
    split_per_class, split_fractions : Other masks, for `with_split`.
    """

    x: sp.csr_array | None
    train_mask: npt.NDArray[np.bool_]
    val_mask: npt.NDArray[np.bool_]
    test_mask: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        super().__post_init__()
        n_nodes = self.graph.n_nodes
        if self.x is not None and self.x.shape[0] != n_nodes:
            raise ValueError(f"x must have one row per node, {n_nodes}, got shape {self.x.shape}")
        masks = {key: getattr(self, key) for key in ("train_mask", "val_mask", "test_mask")}
        for key, mask in masks.items():
            if mask.shape != (n_nodes,) or mask.dtype != bool:
                raise ValueError(
                    f"{key} must be bool of shape ({n_nodes},), got {mask.dtype} of {mask.shape}"
                )
        for (a, first), (b, second) in combinations(masks.items(), 2):
            both = np.flatnonzero(first & second)
            if len(both):
                raise ValueError(
                    f"{a} and {b} must not overlap, but both have {len(both)} nodes, the first is "
                    f"node {both[0]}"
                )

    @property
    def y(self) -> IntArray:
        """The class of every node, -1 where it has none: another name of `labels`."""
        labels: IntArray = self.labels
        return labels

    @property
    def n_features(self) -> int:
        """Number of features, 0 if there are none."""
        return 0 if self.x is None else int(self.x.shape[1])

    def with_split(self, split: Split) -> Self:
        """Exchange the masks.

        Parameters
        ----------
        split : Split
            Of `split_per_class` or `split_fractions`, or three boolean arrays.

        Returns
        -------
        NodeDataset
            The same graph, features and classes (shared, not copied) with these masks.
        """
        train, val, test = split
        return replace(self, train_mask=train, val_mask=val, test_mask=test)

    def _summary(self) -> str:
        masks = (self.train_mask, self.val_mask, self.test_mask)
        sizes = "/".join(str(int(mask.sum())) for mask in masks)
        return f"{super()._summary()}, {self.n_features} features, {sizes} to train/validate/test"


@dataclass(frozen=True, repr=False, eq=False)
class GraphSample:
    """A small graph with features, and what is to be predicted of it.

    Attributes
    ----------
    x : ndarray of shape (n_nodes, n_features)
        Features of the nodes.
    edge_index : ndarray of shape (2, n_arcs), int64
        Sources and targets; an undirected edge is there in both directions.
    edge_attr : ndarray of shape (n_arcs, n_edge_features)
        Features of the arcs.
    y : float
        The target.
    name : str
        What it is.
    """

    x: npt.NDArray[Any]
    edge_index: IntArray
    edge_attr: npt.NDArray[Any]
    y: float
    name: str

    def __repr__(self) -> str:
        return (
            f"<GraphSample {self.name!r}: {len(self.x)} nodes, {self.edge_index.shape[1]} arcs, "
            f"y={self.y:g}>"
        )


@dataclass(frozen=True, repr=False, eq=False)
class GraphDataset:
    """Many small graphs with one target each.

    Attributes
    ----------
    name : str
        The name in the registry.
    graphs : tuple of GraphSample
        The graphs; also ``dataset[i]`` and ``for graph in dataset``.
    description : str
        What the graphs and targets are.
    """

    name: str
    graphs: tuple[GraphSample, ...]
    description: str

    @property
    def y(self) -> npt.NDArray[np.float64]:
        """The target of every graph."""
        return np.array([graph.y for graph in self.graphs])

    def __len__(self) -> int:
        return len(self.graphs)

    def __iter__(self) -> Iterator[GraphSample]:
        return iter(self.graphs)

    def __getitem__(self, i: int) -> GraphSample:
        return self.graphs[i]

    def __repr__(self) -> str:
        return f"<GraphDataset {self.name!r}: {len(self)} graphs>"
