"""Estimators: ``fit`` a graph, then read ``embedding_`` and ``node_ids_``."""

from graphembed.estimators.edges import EdgeEmbedder
from graphembed.estimators.gnn import NodeClassifier
from graphembed.estimators.line import LINE
from graphembed.estimators.node2vec import DeepWalk, Node2Vec

__all__ = ["LINE", "DeepWalk", "EdgeEmbedder", "Node2Vec", "NodeClassifier"]
