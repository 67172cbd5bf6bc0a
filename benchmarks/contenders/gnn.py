"""Training of a graph neural network: case = {data, model, seconds}.

A run trains for about so many seconds, without evaluation; the work is epochs.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import torch
from citation import load

from contenders import Contender
from graphembed.datasets import NodeDataset

Epoch = Callable[[], float]  # trains one epoch and returns the loss
_FEWEST = 3
_WARM_UP = 5


def prepare(contender: Contender, case: dict[str, Any], threads: int) -> Callable[[int], Any]:
    """Read the data, build the network and train some epochs."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    epoch: Epoch = contender.start(load(case["data"]), case["model"])
    for _ in range(_WARM_UP):
        epoch()

    def run(_number: int) -> tuple[int, float]:
        end, n_epochs = time.perf_counter() + case["seconds"], 0
        while n_epochs < _FEWEST or time.perf_counter() < end:
            loss = epoch()
            n_epochs += 1
        return n_epochs, loss

    return run


def finish(result: tuple[int, float], case: dict[str, Any]) -> dict[str, Any]:
    """Epochs, and the loss of the last one."""
    return {"work": result[0], "loss": result[1]}


def _pyg(data: NodeDataset, model: str) -> Epoch:
    import torch_geometric.nn
    from networks import as_written

    return as_written(data, model, torch_geometric.nn).epoch


def _pyg_sparse(data: NodeDataset, model: str) -> Epoch:
    from pyg_sparse import with_sparse_features

    return with_sparse_features(data, model).epoch


def _dense(data: NodeDataset, model: str) -> Epoch:
    import graphembed.nn
    from networks import as_written

    return as_written(data, model, graphembed.nn).epoch


def _script(data: NodeDataset, model: str) -> Epoch:
    from networks import with_our_layers

    return with_our_layers(data, model).epoch


CONTENDERS = {
    "PyG": Contender(_pyg, ("torch-geometric", "torch")),
    "PyG, CSR features": Contender(_pyg_sparse, ("torch-geometric", "torch")),
    "graphembed, dense x": Contender(_dense, ("graphembed", "torch")),
    "graphembed, script": Contender(_script, ("graphembed", "torch")),
}
