"""Scores for embeddings: node classification and link prediction, on plain arrays."""

from graphembed.evaluation.classification import (
    NodeClassificationResult,
    majority_scores,
    node_classification,
)
from graphembed.evaluation.edge_operators import EDGE_OPERATORS, edge_features
from graphembed.evaluation.edge_split import EdgeSplit, split_edges
from graphembed.evaluation.link_prediction import LinkPredictionResult, link_prediction

__all__ = [
    "EDGE_OPERATORS",
    "EdgeSplit",
    "LinkPredictionResult",
    "NodeClassificationResult",
    "edge_features",
    "link_prediction",
    "majority_scores",
    "node_classification",
    "split_edges",
]
