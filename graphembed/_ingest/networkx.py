"""networkx graphs and igraph graphs: objects that know their nodes and their direction."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphembed._ingest.edge_list import Array, EdgeList, weights_from_list
from graphembed._ingest.ids import append_nodes, check_distinct, ids_from
from graphembed.exceptions import GraphFormatError


def read_networkx(
    graph: Any, *, weight: str | None, directed: bool | None, nodes: Iterable[Any] | None
) -> EdgeList:
    """Read Graph, DiGraph, MultiGraph, MultiDiGraph and whatever has their methods."""
    names = list(graph)
    node_ids = append_nodes(ids_from(names, "node {}"), nodes)
    index = {name: number for number, name in enumerate(names)}
    triples = list(graph.edges(data=weight, default=None)) if weight else list(graph.edges())
    source = np.fromiter((index[e[0]] for e in triples), dtype=np.int32, count=len(triples))
    target = np.fromiter((index[e[1]] for e in triples), dtype=np.int32, count=len(triples))
    weights = None
    if weight is not None:
        weights = _attribute([e[2] for e in triples], triples, weight)
    return _oriented(source, target, weights, node_ids, bool(graph.is_directed()), directed)


def read_igraph(
    graph: Any, *, weight: str | None, directed: bool | None, nodes: Iterable[Any] | None
) -> EdgeList:
    """Read an igraph graph; the vertex attribute ``name``, where there is one, holds the ids."""
    if "name" in graph.vs.attributes():
        node_ids = ids_from(graph.vs["name"], "the name of vertex {}")
        check_distinct(node_ids, "vertex names")
    else:
        node_ids = np.arange(graph.vcount(), dtype=np.int64)
    pairs = np.array(graph.get_edgelist(), dtype=np.int32).reshape(-1, 2)
    weights = None
    if weight is not None:
        known = weight in graph.es.attributes()
        values = graph.es[weight] if known else [None] * len(pairs)
        named = node_ids[pairs].tolist()
        weights = _attribute(values, named, weight)
    return _oriented(
        pairs[:, 0],
        pairs[:, 1],
        weights,
        append_nodes(node_ids, nodes),
        bool(graph.is_directed()),
        directed,
    )


def _attribute(values: list[Any], pairs: list[Any], name: str) -> Array | None:
    """Weights from an edge attribute; an edge without it has weight 1."""
    if all(value is None for value in values):
        if values and name != "weight":
            raise GraphFormatError(
                f"no edge has the attribute {name!r}; weight=None ignores the weights"
            )
        return None
    return weights_from_list([1 if value is None else value for value in values], pairs)


def _oriented(
    source: Array,
    target: Array,
    weights: Array | None,
    node_ids: Array,
    is_directed: bool,
    directed: bool | None,
) -> EdgeList:
    """Apply `directed`: an undirected graph read as directed has arcs both ways."""
    if directed is None or directed == is_directed or is_directed:
        return EdgeList(
            source, target, weights, node_ids, is_directed if directed is None else directed
        )
    back = np.flatnonzero(source != target)
    both = np.concatenate([source, target[back]]), np.concatenate([target, source[back]])
    if weights is not None:
        weights = np.concatenate([weights, weights[back]])
    return EdgeList(*both, weights, node_ids, True)
