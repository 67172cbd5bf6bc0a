"""`Dataset`: a graph with the labels of its nodes."""

from dataclasses import dataclass
from typing import Any

import scipy.sparse as sp

from graphembed.graph import Graph


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
        kind = "labels" if self.multilabel else "classes"
        direction = "directed" if self.graph.directed else "undirected"
        return (
            f"<Dataset {self.name!r}: {self.graph.n_nodes} nodes, {self.graph.n_edges} {direction} "
            f"edges, {self.n_labels} {kind}>"
        )
