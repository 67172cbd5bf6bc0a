"""What a graph looks like in a few numbers."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components

from graphembed.graph import Graph


@dataclass(frozen=True)
class GraphSummary:
    """Size, degrees and components of a graph; ``str(summary)`` is a table.

    ``components`` ignores the direction of edges; ``strong_components`` is None for undirected
    graphs. Degrees count out-arcs. Isolated nodes have no edge to another node.
    """

    n_nodes: int
    n_edges: int
    directed: bool
    is_weighted: bool
    min_degree: int
    median_degree: float
    mean_degree: float
    max_degree: int
    n_self_loops: int
    n_isolated: int
    components: int
    largest_component: int
    strong_components: int | None
    n_bytes: int

    def __str__(self) -> str:
        """Return one line per number."""
        degrees = (
            f"min {self.min_degree}, median {self.median_degree:g}, "
            f"mean {self.mean_degree:.2f}, max {self.max_degree}"
        )
        share = 100 * self.largest_component / self.n_nodes
        rows = [
            ("nodes", f"{self.n_nodes:,}"),
            ("edges", f"{self.n_edges:,}"),
            ("directed", "yes" if self.directed else "no"),
            ("weighted", "yes" if self.is_weighted else "no"),
            ("out-degree" if self.directed else "degree", degrees),
            ("self-loops", f"{self.n_self_loops:,}"),
            ("isolated", f"{self.n_isolated:,}"),
            (
                "components",
                f"{self.components:,}, the largest has {self.largest_component:,} nodes "
                f"({share:.1f} %)",
            ),
            ("memory", _bytes(self.n_bytes)),
        ]
        if self.strong_components is not None:
            rows.insert(-1, ("strong components", f"{self.strong_components:,}"))
        return "\n".join(f"{name:<20}{value}" for name, value in rows)


def summarize(graph: Graph) -> GraphSummary:
    """Count what there is to count, in O(n + m) time and memory."""
    n_nodes = graph.n_nodes
    degrees = np.diff(graph.indptr)
    sources = np.repeat(np.arange(n_nodes), degrees)
    is_loop = sources == graph.indices
    touched = np.zeros(n_nodes, dtype=bool)
    touched[sources[~is_loop]] = True
    touched[graph.indices[~is_loop]] = True
    matrix = graph.to_scipy()
    n_components, membership = connected_components(matrix, directed=graph.directed)
    strong = None
    if graph.directed:
        strong = int(connected_components(matrix, connection="strong")[0])
    arrays = (graph.indptr, graph.indices, graph.weights, graph.node_ids)
    return GraphSummary(
        n_nodes=n_nodes,
        n_edges=graph.n_edges,
        directed=graph.directed,
        is_weighted=graph.is_weighted,
        min_degree=int(degrees.min()),
        median_degree=float(np.median(degrees)),
        mean_degree=float(degrees.mean()),
        max_degree=int(degrees.max()),
        n_self_loops=int(is_loop.sum()),
        n_isolated=int(n_nodes - touched.sum()),
        components=int(n_components),
        largest_component=int(np.bincount(membership).max()),
        strong_components=strong,
        n_bytes=sum(array.nbytes for array in arrays if array is not None),
    )


def _bytes(n: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "bytes" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} GiB"
