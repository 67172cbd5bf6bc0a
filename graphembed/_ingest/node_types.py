"""Types of nodes: from what the user has to one small integer per node."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from graphembed._ingest.detect import kind_of
from graphembed._ingest.edge_list import Array, refuse_set
from graphembed._ingest.ids import object_array
from graphembed._ingest.node_index import NodeIndex
from graphembed._ingest.structure import Structure
from graphembed.exceptions import GraphFormatError

_WANTED = "node_types must be a mapping of ids to types, a sequence with a type per node"


def read_node_types(types: Any, G: Any, node_ids: Array, index: NodeIndex) -> tuple[Array, Array]:
    """Read the types of the nodes.

    Parameters
    ----------
    types : str, mapping, pandas Series, array or sequence
        Name of a node attribute of `G`; types by id; or types in the order of `node_ids`.
    G : object
        What the graph was made of.
    node_ids : ndarray of shape (n_nodes,)
        The ids.
    index : NodeIndex
        Finds them.

    Returns
    -------
    codes : ndarray of int32, shape (n_nodes,)
        Positions in `names`.
    names : ndarray of shape (n_types,)
        The types: ascending if all are integers, else in order of their first node.
    """
    if isinstance(types, str):
        types = _attribute(types, G, node_ids)
    elif hasattr(types, "iloc") and types.ndim == 1:
        types = dict(zip(types.index.tolist(), types.tolist(), strict=True))
    refuse_set(types, "node_types")
    if isinstance(types, Mapping):
        types = _by_id(types, node_ids, index)
    elif isinstance(types, np.ndarray) and types.ndim == 1:
        types = types.tolist()
    elif isinstance(types, Iterable) and not isinstance(types, np.ndarray | bytes):
        types = list(types)
    else:
        raise GraphFormatError(f"{_WANTED} or the name of a node attribute, got {types!r:.200}")
    if len(types) != len(node_ids):
        raise GraphFormatError(f"{_WANTED}: {len(node_ids)} wanted, got {len(types)}")
    return _encode(types, node_ids)


def _attribute(name: str, G: Any, node_ids: Array) -> dict[Any, Any]:
    kind = "Graph" if isinstance(G, Structure) else kind_of(G)
    if kind == "networkx":
        types = dict(G.nodes(data=name))
    elif kind == "igraph":
        known = name in G.vs.attributes()
        types = dict(zip(node_ids.tolist(), G.vs[name], strict=False)) if known else {}
    else:
        raise ValueError(
            f"node_types={name!r} names a node attribute, which a graph of the kind {kind!r} does "
            "not have: hand over a mapping of ids to types"
        )
    if all(value is None for value in types.values()):
        raise GraphFormatError(f"no node has the attribute {name!r}")
    return types


def _by_id(types: Mapping[Any, Any], node_ids: Array, index: NodeIndex) -> list[Any]:
    try:
        positions = index.positions(list(types))
    except KeyError as error:
        raise GraphFormatError(
            f"node_types names the node {error.args[0]!r}, which the graph does not have; nodes= "
            "adds isolated nodes"
        ) from None
    ordered: list[Any] = [None] * len(node_ids)
    for position, value in zip(positions.tolist(), types.values(), strict=True):
        ordered[position] = value
    return ordered


def _encode(types: list[Any], node_ids: Array) -> tuple[Array, Array]:
    codes = np.empty(len(types), np.int32)
    seen: dict[Any, int] = {}
    for i, value in enumerate(types):
        try:
            is_missing = value is None or bool(value != value)
            codes[i] = seen.setdefault(value, len(seen))
        except (TypeError, ValueError):  # a list, an array, pandas.NA
            raise GraphFormatError(
                f"the type of the node {node_ids.tolist()[i]!r} must be hashable, got {value!r}"
            ) from None
        if is_missing:
            raise GraphFormatError(f"the node {node_ids.tolist()[i]!r} has no type, got {value!r}")
    if set(map(type, seen)) != {int} or not all(-(2**63) <= value < 2**63 for value in seen):
        return codes, object_array(seen, len(seen))
    names, rank = np.unique(np.array(list(seen), np.int64), return_inverse=True)
    return rank.astype(np.int32)[codes], names
