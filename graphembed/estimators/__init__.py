"""Estimators: ``fit`` a graph, then read ``embedding_`` and ``node_ids_``."""

from graphembed.estimators.node2vec import DeepWalk, Node2Vec

__all__ = ["DeepWalk", "Node2Vec"]
