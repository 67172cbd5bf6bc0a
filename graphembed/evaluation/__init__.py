"""Scores for embeddings: node classification, link prediction and rankings, on plain arrays."""

from graphembed.evaluation.classification import (
    NodeClassificationResult,
    majority_scores,
    node_classification,
)
from graphembed.evaluation.edge_operators import EDGE_OPERATORS, edge_features
from graphembed.evaluation.edge_split import EdgeSplit, split_edges
from graphembed.evaluation.link_prediction import LinkPredictionResult, link_prediction
from graphembed.evaluation.ranking import (
    coverage,
    novelty,
    popularity_slices,
    ranking_scores,
    slice_recalls,
)

__all__ = [
    "EDGE_OPERATORS",
    "EdgeSplit",
    "LinkPredictionResult",
    "NodeClassificationResult",
    "coverage",
    "edge_features",
    "link_prediction",
    "majority_scores",
    "node_classification",
    "novelty",
    "popularity_slices",
    "ranking_scores",
    "slice_recalls",
    "split_edges",
]
