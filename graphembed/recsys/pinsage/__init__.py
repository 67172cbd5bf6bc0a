"""PinSage: vectors of items from their content and their neighbourhoods, also of new items."""

from graphembed.recsys.pinsage.estimator import PinSage
from graphembed.recsys.pinsage.model import PinSageModel

__all__ = ["PinSage", "PinSageModel"]
