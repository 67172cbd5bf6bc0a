"""Zachary's karate club, as networkx has it."""

import numpy as np

from graphembed._validation import import_optional
from graphembed.datasets._dataset import Dataset
from graphembed.datasets._registry import registry
from graphembed.graph import Graph

_CLUBS = ("Mr. Hi", "Officer")


def load_karate() -> Dataset:
    """Load Zachary's karate club: 34 members, 78 ties, 2 clubs. Needs networkx.

    Returns
    -------
    Dataset
        Undirected, weighted by the number of shared activities; labels are an array of classes.

    Raises
    ------
    ImportError
        If networkx is not installed.
    """
    networkx = import_optional("networkx", extra="all")
    club = networkx.karate_club_graph()
    graph = Graph.from_networkx(club)
    labels = np.array([_CLUBS.index(club.nodes[node]["club"]) for node in graph.node_ids], np.int64)
    return Dataset("karate", graph, labels, _CLUBS, registry()["karate"].description)
