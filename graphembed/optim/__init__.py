"""Second-order training of graph networks: K-FAC, natural gradient and THOR; needs torch."""

from graphembed.nn import _needs_torch  # noqa: F401  (first: says how to install torch)
from graphembed.nn._sites import Hop, LayerSites, LinearSite
from graphembed.optim._layers import register_layer
from graphembed.optim.kfac import KFAC

__all__ = ["KFAC", "Hop", "LayerSites", "LinearSite", "register_layer"]
