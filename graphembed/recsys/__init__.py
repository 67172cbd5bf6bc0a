"""Recommendation: from a table of interactions to vectors in an index."""

from graphembed.recsys.interactions import Interactions

__all__ = ["Interactions"]
