"""Recommendation: from a table of interactions to ranked items, vectors and honest scores."""

from graphembed.recsys.base import Recommender, ScoreRecommender, VectorRecommender
from graphembed.recsys.baselines import EASE, Popularity
from graphembed.recsys.citeulike import CiteULike, load_citeulike
from graphembed.recsys.evaluation import evaluate
from graphembed.recsys.export import export_vectors, to_keyed_vectors
from graphembed.recsys.interactions import Interactions
from graphembed.recsys.splits import (
    Split,
    cold_item_split,
    cold_user_split,
    global_time_split,
    leave_one_out,
    random_split,
    user_time_split,
)
from graphembed.recsys.synthetic import SyntheticInteractions, make_interactions

__all__ = [
    "EASE",
    "CiteULike",
    "Interactions",
    "Popularity",
    "Recommender",
    "ScoreRecommender",
    "Split",
    "SyntheticInteractions",
    "VectorRecommender",
    "cold_item_split",
    "cold_user_split",
    "evaluate",
    "export_vectors",
    "global_time_split",
    "leave_one_out",
    "load_citeulike",
    "make_interactions",
    "random_split",
    "to_keyed_vectors",
    "user_time_split",
]
