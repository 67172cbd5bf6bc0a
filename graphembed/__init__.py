"""Graph embeddings with a compiled, reproducible sampling core.

>>> from graphembed import Node2Vec
>>> model = Node2Vec(n_components=16, random_state=0).fit([("a", "b"), ("b", "c"), ("c", "a")])
>>> model["a"].shape
(16,)
"""

from graphembed._version import __version__
from graphembed.estimators import DeepWalk, Node2Vec
from graphembed.exceptions import (
    DatasetNotFoundError,
    DownloadError,
    FileFormatError,
    GraphFormatError,
)
from graphembed.graph import Graph
from graphembed.samplers import sample_walks

__all__ = [
    "DatasetNotFoundError",
    "DeepWalk",
    "DownloadError",
    "FileFormatError",
    "Graph",
    "GraphFormatError",
    "Node2Vec",
    "__version__",
    "sample_walks",
]
