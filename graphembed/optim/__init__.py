"""Second-order training of graph networks: K-FAC, natural gradient and THOR; needs torch."""

from graphembed.nn import _needs_torch  # noqa: F401  (first: says how to install torch)
from graphembed.nn._sites import Hop, LayerSites, LinearSite
from graphembed.optim._damping import LevenbergMarquardt
from graphembed.optim._layers import register_layer
from graphembed.optim._trace_rule import TraceRule
from graphembed.optim.kfac import KFAC
from graphembed.optim.losses import pseudo_label_loss
from graphembed.optim.optimizers import KFACSGD, NGD, THOR, KFACAdam

__all__ = [
    "KFAC",
    "KFACSGD",
    "NGD",
    "THOR",
    "Hop",
    "KFACAdam",
    "LayerSites",
    "LevenbergMarquardt",
    "LinearSite",
    "TraceRule",
    "pseudo_label_loss",
    "register_layer",
]
