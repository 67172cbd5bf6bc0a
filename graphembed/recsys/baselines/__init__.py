"""Recommenders without training by gradient, to compare with; most are hard to beat."""

from graphembed.recsys.baselines.ease import EASE
from graphembed.recsys.baselines.popularity import Popularity

__all__ = ["EASE", "Popularity"]
