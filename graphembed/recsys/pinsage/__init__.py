"""PinSage: vectors of items from their content and their neighbourhoods, also of new items."""

from graphembed.recsys.pinsage.estimator import PinSage

__all__ = ["PinSage"]
