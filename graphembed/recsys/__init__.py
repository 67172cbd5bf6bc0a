"""Recommendation: from a table of interactions to vectors in an index."""

from graphembed.recsys.citeulike import CiteULike, load_citeulike
from graphembed.recsys.interactions import Interactions
from graphembed.recsys.synthetic import SyntheticInteractions, make_interactions

__all__ = [
    "CiteULike",
    "Interactions",
    "SyntheticInteractions",
    "load_citeulike",
    "make_interactions",
]
