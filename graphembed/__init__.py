"""Graph embeddings with a compiled, reproducible sampling core.

>>> from graphembed import Node2Vec
>>> model = Node2Vec(n_components=16, random_state=0).fit([("a", "b"), ("b", "c"), ("c", "a")])
>>> model["a"].shape
(16,)
"""

import importlib
from typing import TYPE_CHECKING, Any

from graphembed._version import __version__
from graphembed.exceptions import (
    DatasetNotFoundError,
    DownloadError,
    FileFormatError,
    GraphFormatError,
)

if TYPE_CHECKING:
    from graphembed.estimators import LINE, DeepWalk, EdgeEmbedder, Node2Vec, NodeClassifier
    from graphembed.graph import Graph
    from graphembed.samplers import sample_walks

__all__ = [
    "LINE",
    "DatasetNotFoundError",
    "DeepWalk",
    "DownloadError",
    "EdgeEmbedder",
    "FileFormatError",
    "Graph",
    "GraphFormatError",
    "Node2Vec",
    "NodeClassifier",
    "__version__",
    "sample_walks",
]

# Imported at the first use: scikit-learn alone takes a second, which `graphembed --help` can spare.
_HOMES = {
    "DeepWalk": "graphembed.estimators",
    "EdgeEmbedder": "graphembed.estimators",
    "Graph": "graphembed.graph",
    "LINE": "graphembed.estimators",
    "Node2Vec": "graphembed.estimators",
    "NodeClassifier": "graphembed.estimators",
    "sample_walks": "graphembed.samplers",
}
_SUBPACKAGES = (
    "datasets",
    "estimators",
    "evaluation",
    "io",
    "nn",
    "optim",
    "plotting",
    "recsys",
    "samplers",
)


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"graphembed.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBPACKAGES})
