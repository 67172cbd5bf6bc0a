"""Recommendation: from a table of interactions to ranked items, vectors and honest scores."""

import importlib
from typing import TYPE_CHECKING, Any

from graphembed.recsys.base import Recommender, ScoreRecommender, VectorRecommender
from graphembed.recsys.baselines import (
    EASE,
    GFCF,
    IALS,
    ContentKNN,
    ItemKNN,
    Popularity,
    PureSVD,
    RP3beta,
)
from graphembed.recsys.citeulike import CiteULike, load_citeulike
from graphembed.recsys.comparison import Comparison, compare
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
from graphembed.recsys.walks import DeepWalkRecommender, LINERecommender, Node2VecRecommender

if TYPE_CHECKING:
    from graphembed.recsys.lightgcn import LightGCN
    from graphembed.recsys.pinsage import PinSage

__all__ = [
    "EASE",
    "GFCF",
    "IALS",
    "CiteULike",
    "Comparison",
    "ContentKNN",
    "DeepWalkRecommender",
    "Interactions",
    "ItemKNN",
    "LINERecommender",
    "LightGCN",
    "Node2VecRecommender",
    "PinSage",
    "Popularity",
    "PureSVD",
    "RP3beta",
    "Recommender",
    "ScoreRecommender",
    "Split",
    "SyntheticInteractions",
    "VectorRecommender",
    "cold_item_split",
    "cold_user_split",
    "compare",
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

# Imported at the first use: these need torch.
_HOMES = {"LightGCN": "graphembed.recsys.lightgcn", "PinSage": "graphembed.recsys.pinsage"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    importlib.import_module("graphembed.nn._needs_torch")  # says how to install torch
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
