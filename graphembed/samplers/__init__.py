"""Samplers: numpy arrays in, numpy arrays out; the loops are in the compiled kernels."""

from graphembed.samplers.walker import Walker
from graphembed.samplers.walks import sample_walks

__all__ = ["Walker", "sample_walks"]
