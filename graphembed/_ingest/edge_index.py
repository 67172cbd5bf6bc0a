"""Edge indices in PyTorch's manner: shape (2, m), row 0 the sources, row 1 the targets."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphembed._ingest.csr import check_range
from graphembed._ingest.edge_list import Array, EdgeList, check_n_nodes, plain_array, weight_array
from graphembed._ingest.ids import ids_from, matrix_ids
from graphembed.exceptions import GraphFormatError


def read_edge_index(
    edge_index: Any,
    edge_weight: Any,
    *,
    num_nodes: int | None,
    directed: bool | None,
    nodes: Iterable[Any] | None,
) -> EdgeList:
    """Read a torch tensor or array of shape (2, m); column k is the arc of edge k."""
    pairs = plain_array(edge_index)
    if pairs.ndim != 2 or pairs.shape[0] != 2 or pairs.dtype.kind not in "iu":
        raise GraphFormatError(
            "edge_index must be integers of shape (2, n_edges), "
            f"got shape {pairs.shape}, dtype {pairs.dtype}"
        )
    ids = None if nodes is None else ids_from(nodes, "nodes[{}]")
    n_nodes = _count_nodes(pairs, num_nodes, ids)
    node_ids = matrix_ids(ids, n_nodes)
    for row in (0, 1):
        check_range(pairs[row], n_nodes, f"edge_index[{row}]")
    weights = None
    if edge_weight is not None:
        values = plain_array(edge_weight)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        weights = weight_array(values, pairs.shape[1], "edge_weight")
    return EdgeList(pairs[0], pairs[1], weights, node_ids, directed, both_ways=True)


def read_pyg(
    data: Any, *, weight: str | None, directed: bool | None, nodes: Iterable[Any] | None
) -> EdgeList:
    """Read a torch_geometric ``Data``; by default the weights are in ``edge_weight``."""
    if data.edge_index is None:
        raise GraphFormatError("the Data object has no edge_index")
    values = None
    if weight is not None:
        name = "edge_weight" if weight == "weight" else weight
        values = getattr(data, name, None)
        if values is None and weight != "weight":
            raise GraphFormatError(
                f"the Data object has no attribute {weight!r}; weight=None ignores the weights"
            )
    num_nodes = data.num_nodes
    return read_edge_index(
        data.edge_index, values, num_nodes=num_nodes, directed=directed, nodes=nodes
    )


def _count_nodes(pairs: Array, num_nodes: int | None, ids: Array | None) -> int:
    if num_nodes is None:
        if ids is not None:
            return len(ids)
        return int(pairs.max()) + 1 if pairs.size else 0
    if isinstance(num_nodes, bool) or not isinstance(num_nodes, int | np.integer):
        raise GraphFormatError(f"num_nodes must be an int, got {num_nodes!r}")
    check_n_nodes(int(num_nodes))
    return int(num_nodes)
