"""Graph layers on PyTorch, with PyTorch Geometric's names and calls; needs torch."""

from graphembed.nn import _needs_torch  # noqa: F401  (first: says how to install torch)
from graphembed.nn.adjacency import Adjacency
from graphembed.nn.batch import (
    GraphBatch,
    GraphLoader,
    global_add_pool,
    global_max_pool,
    global_mean_pool,
)
from graphembed.nn.cheb import ChebConv
from graphembed.nn.dropout import Dropout
from graphembed.nn.gat import GATConv
from graphembed.nn.gatv2 import GATv2Conv
from graphembed.nn.gcn import GCNConv
from graphembed.nn.inference import layerwise_inference
from graphembed.nn.linear import Linear
from graphembed.nn.loader import NeighborLoader
from graphembed.nn.pinsage import PinSageConv
from graphembed.nn.sage import SAGEConv
from graphembed.nn.sparse import SparseMatrix

__all__ = [
    "Adjacency",
    "ChebConv",
    "Dropout",
    "GATConv",
    "GATv2Conv",
    "GCNConv",
    "GraphBatch",
    "GraphLoader",
    "Linear",
    "NeighborLoader",
    "PinSageConv",
    "SAGEConv",
    "SparseMatrix",
    "global_add_pool",
    "global_max_pool",
    "global_mean_pool",
    "layerwise_inference",
]
