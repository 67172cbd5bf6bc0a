"""Samplers: numpy arrays in, numpy arrays out; the loops are in the compiled kernels."""

from graphembed.samplers.importance import importance_neighbors
from graphembed.samplers.neighbors import NeighborBatch, NeighborBlock, NeighborSampler
from graphembed.samplers.walker import Walker
from graphembed.samplers.walks import sample_walks

__all__ = [
    "NeighborBatch",
    "NeighborBlock",
    "NeighborSampler",
    "Walker",
    "importance_neighbors",
    "sample_walks",
]
