"""Graph embeddings with a compiled, reproducible sampling core."""

from graphembed._version import __version__

__all__ = ["__version__"]
