"""Samplers: numpy arrays in, numpy arrays out; the loops are in the compiled kernels."""

from graphembed.samplers.walks import Walker, sample_walks

__all__ = ["Walker", "sample_walks"]
