"""Recommendation: from a table of interactions to ranked items, vectors and honest scores."""

from graphembed.recsys.base import Recommender, ScoreRecommender, VectorRecommender
from graphembed.recsys.baselines import EASE, Popularity
from graphembed.recsys.citeulike import CiteULike, load_citeulike
from graphembed.recsys.evaluation import evaluate
from graphembed.recsys.interactions import Interactions
from graphembed.recsys.synthetic import SyntheticInteractions, make_interactions

__all__ = [
    "EASE",
    "CiteULike",
    "Interactions",
    "Popularity",
    "Recommender",
    "ScoreRecommender",
    "SyntheticInteractions",
    "VectorRecommender",
    "evaluate",
    "load_citeulike",
    "make_interactions",
]
