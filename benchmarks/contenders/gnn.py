"""Training of a graph neural network: case = {data, model, seconds}.

A run trains for about so many seconds, without evaluation. Time is taken from the end of an epoch
to the end of another one, so that only epochs are in it.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from citation import load

from contenders import Contender
from graphembed.datasets import NodeDataset

Run = Callable[[float], "Clock"]  # seconds to the clock that has stopped
_WARM_UP, _FEWEST = 3, 3


class Clock:
    """Counts epochs after the first ones, and their wall and CPU seconds, until time is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.n_epochs = seconds, -_WARM_UP

    def tick(self, loss: float) -> bool:
        """Note that an epoch has ended; returns whether it was the last one."""
        self.n_epochs += 1
        wall, cpu = time.perf_counter(), time.process_time()
        if self.n_epochs == 0:
            self.begin = wall, cpu
        if self.n_epochs < _FEWEST or wall - self.begin[0] < self.seconds:
            return False
        self.wall, self.cpu, self.loss = wall - self.begin[0], cpu - self.begin[1], loss
        return True


def prepare(contender: Contender, case: dict[str, Any], threads: int) -> Callable[[int], Clock]:
    """Read the data, build the network and train some epochs."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    run: Run = contender.start(load(case["data"]), case["model"], threads)
    run(0.0)
    return lambda number: run(case["seconds"])


def finish(clock: Clock, case: dict[str, Any]) -> dict[str, Any]:
    """Epochs, their time alone, and the loss of the last one."""
    return {"epochs": clock.n_epochs, "wall_seconds": clock.wall, "cpu_seconds": clock.cpu,
            "loss": clock.loss}  # fmt: skip


def _script(training: Any) -> Run:
    def run(seconds: float) -> Clock:
        clock = Clock(seconds)
        while not clock.tick(training.epoch()):
            pass
        return clock

    return run


def _pyg(data: NodeDataset, model: str, threads: int) -> Run:
    import torch_geometric.nn
    from networks import as_written

    return _script(as_written(data, model, torch_geometric.nn))


def _pyg_sparse(data: NodeDataset, model: str, threads: int) -> Run:
    from pyg_sparse import with_sparse_features

    return _script(with_sparse_features(data, model))


def _our_script(data: NodeDataset, model: str, threads: int) -> Run:
    from networks import with_our_layers

    return _script(with_our_layers(data, model))


def _our_script_dense(data: NodeDataset, model: str, threads: int) -> Run:
    from networks import as_written

    import graphembed.nn

    return _script(as_written(data, model, graphembed.nn))


def _classifier(data: NodeDataset, model: str, threads: int) -> Run:
    from graphembed import NodeClassifier

    def run(seconds: float) -> Clock:
        clock = Clock(seconds)
        NodeClassifier(
            model, epochs=10**6, early_stopping=False, n_jobs=threads, random_state=0,
            callbacks=[lambda _, record: clock.tick(record["train_loss"])],
        ).fit(data.graph, data.x, data.y, train_mask=data.train_mask)  # fmt: skip
        return clock

    return run


_PYG, _OURS = ("torch-geometric", "torch"), ("graphembed", "torch")
CONTENDERS = {
    "PyG": Contender(_pyg, _PYG),
    "PyG, CSR features": Contender(_pyg_sparse, _PYG),
    "graphembed": Contender(_classifier, _OURS),
    "graphembed, script": Contender(_our_script, _OURS),
    "graphembed, dense x": Contender(_our_script_dense, _OURS),
}
