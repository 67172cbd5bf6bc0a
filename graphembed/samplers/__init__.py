"""Samplers: numpy arrays in, numpy arrays out; the loops are in the compiled kernels."""

from graphembed.samplers.neighbors import NeighborBatch, NeighborBlock, NeighborSampler
from graphembed.samplers.walker import Walker
from graphembed.samplers.walks import sample_walks

__all__ = ["NeighborBatch", "NeighborBlock", "NeighborSampler", "Walker", "sample_walks"]
