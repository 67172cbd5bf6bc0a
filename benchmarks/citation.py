"""Cora, CiteSeer, and a graph shaped like PubMed.

"pubmed-shaped" has PubMed's edges and classes, but rows of features drawn with replacement from
those of its 1,000 test nodes (10 % dense, as all are), for want of the largest file on many a
machine: it is for timing, accuracy on it means nothing.
"""

import dataclasses
import functools

import numpy as np
import torch
from torch import Tensor

from graphembed.datasets import NodeDataset, load_planetoid
from graphembed.datasets._csr import normalize_rows
from graphembed.datasets._fetch import fetch_file
from graphembed.datasets._pickles import read_matrix
from graphembed.datasets._registry import registry


@functools.cache
def load(name: str) -> NodeDataset:
    """Read "cora", "citeseer" or "pubmed-shaped"; nothing is downloaded."""
    if name != "pubmed-shaped":
        return load_planetoid(name, download=False)
    data = load_planetoid("pubmed", features=False, download=False)
    (file,) = (file for file in registry()["pubmed"].files if file.path.endswith(".tx"))
    given = normalize_rows(read_matrix(fetch_file(file, download=False), file.path))
    rows = np.random.default_rng(0).integers(given.shape[0], size=data.graph.n_nodes)
    return dataclasses.replace(data, x=given[rows])


def edge_index_of(data: NodeDataset) -> Tensor:
    """The edges as PyG has them, each in both directions."""
    graph = data.graph
    sources = np.repeat(np.arange(graph.n_nodes), np.diff(graph.indptr))
    return torch.from_numpy(np.stack([sources, graph.indices.astype(np.int64)]))
