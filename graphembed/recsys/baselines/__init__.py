"""Recommenders without training by gradient, to compare with; most are hard to beat."""

from graphembed.recsys.baselines.content_knn import ContentKNN
from graphembed.recsys.baselines.ease import EASE
from graphembed.recsys.baselines.gf_cf import GFCF
from graphembed.recsys.baselines.ials import IALS
from graphembed.recsys.baselines.item_knn import ItemKNN
from graphembed.recsys.baselines.popularity import Popularity
from graphembed.recsys.baselines.pure_svd import PureSVD
from graphembed.recsys.baselines.rp3beta import RP3beta

__all__ = ["EASE", "GFCF", "IALS", "ContentKNN", "ItemKNN", "Popularity", "PureSVD", "RP3beta"]
