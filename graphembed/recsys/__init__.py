"""Recommendation: from a table of interactions to ranked items, vectors and honest scores."""

from graphembed.recsys.base import Recommender, ScoreRecommender, VectorRecommender
from graphembed.recsys.baselines import EASE, Popularity
from graphembed.recsys.evaluation import evaluate
from graphembed.recsys.interactions import Interactions

__all__ = [
    "EASE",
    "Interactions",
    "Popularity",
    "Recommender",
    "ScoreRecommender",
    "VectorRecommender",
    "evaluate",
]
