"""Test accuracy of our layers beside PyTorch Geometric's, by the protocol of Kipf and Welling.

    make bench BENCH=gnn_accuracy [ARGS="--models gcn --seeds 100 --jobs 4"]

The public split, 200 epochs, two layers: accuracy in % after the last epoch, and after the one
with the best validation loss. GAT is also trained as in its paper, until neither the loss nor the
accuracy of validation has reached its best for 100 epochs, and scored at the last epoch at which
both had. Both train by the same script with the same recipe, on sparse features (see pyg_sparse.py
for PyG's). Mean and standard deviation over the seeds.
"""

import argparse
import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from common import (
    Row,
    common_options,
    parse,
    print_table,
    skipped_without_data,
    write_result,
)

DATASETS = ("cora", "citeseer")
MODELS = ("gcn", "cheb", "gat", "sage")
CONTENDERS = ("PyG", "graphembed")
EPOCHS = 200
PATIENCE = {"gat": 100}
MOST_EPOCHS = 5000  # with patience
SCORES = {"last": "last epoch", "best_loss": "best val loss", "patience": "patience 100"}
HEADER = ("data", "network", "contender", *(x for s in SCORES.values() for x in (s, "std")),
          "epochs", "seeds", "s")  # fmt: skip

Task = tuple[str, str, str, int, int]  # dataset, network, contender, seed, epochs


def train(task: Task) -> dict[str, Any]:
    """Train once, on one thread."""
    import torch
    from citation import load

    dataset, model, contender, seed, epochs = task
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    if contender == "PyG":
        from pyg_sparse import with_sparse_features as start
    else:
        from networks import with_our_layers as start
    training = start(load(dataset), model)
    begin = time.perf_counter()
    figures = _scores(training, epochs, PATIENCE.get(model))
    return {"seed": seed, **figures, "wall_seconds": time.perf_counter() - begin}


def _scores(training: Any, epochs: int, patience: int | None) -> dict[str, Any]:
    """Test accuracies by each way to choose the epoch."""
    chosen: dict[str, float] = {}
    least, most, waited, epoch = float("inf"), 0.0, 0, 0
    while epoch < epochs or (patience and waited < patience and epoch < MOST_EPOCHS):
        training.epoch()
        epoch += 1
        loss, accuracy, test = training.evaluate()
        if epoch <= epochs:
            chosen["last"] = test
            if loss < least:
                chosen["best_loss"] = test
        if patience and waited < patience:
            if loss <= least and accuracy >= most:
                chosen["patience"] = test
            waited = 0 if loss <= least or accuracy >= most else waited + 1
            stopped = epoch
        least, most = min(least, loss), max(most, accuracy)
    return {**chosen, "epochs": stopped if patience else epochs}


def rows_of(tasks: list[Task], runs: Iterable[dict[str, Any]]) -> list[Row]:
    """One row for each dataset, network and contender."""
    rows = []
    pairs = zip(tasks, runs, strict=True)
    for (data, model, contender), group in itertools.groupby(pairs, lambda pair: pair[0][:3]):
        row: Row = {"data": data, "model": model, "contender": contender, "status": "ok"}
        row["runs"] = [one for _, one in group]
        for key in SCORES:
            values = [one[key] for one in row["runs"] if key in one]
            row[key] = statistics.fmean(values) if values else None
            row[f"{key}_std"] = statistics.stdev(values) if len(values) > 1 else None
        for key in ("epochs", "wall_seconds"):
            row[key] = statistics.fmean(one[key] for one in row["runs"])
        rows.append(row)
        shown = (f"{x:.2f}" if isinstance(x, float) else str(x) for x in line(row))
        print("  ".join(shown), flush=True)
    return rows


def line(row: Row) -> tuple[Any, ...]:
    """Cells of the table."""
    scores = (row[key + end] for key in SCORES for end in ("", "_std"))
    return (row["data"], row["model"], row["contender"], *scores, round(row["epochs"]),
            len(row["runs"]), row["wall_seconds"])  # fmt: skip


def main() -> None:
    """Train all, print a table, write results/gnn_accuracy.json."""
    parser = common_options(__doc__)
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=DATASETS)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--seeds", type=int, default=10, help="runs of each, with seeds 0, 1, ...")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with one thread")
    args = parse(parser)
    epochs = EPOCHS
    if args.quick:
        args.datasets, args.models, args.seeds, epochs = DATASETS[:1], MODELS[:1], 2, 5
    context = multiprocessing.get_context("spawn")
    rows: list[Row] = []
    for dataset in args.datasets:
        tasks = [
            (dataset, model, contender, seed, epochs)
            for model, contender in itertools.product(args.models, args.contenders)
            for seed in range(args.seeds)
        ]
        with (
            skipped_without_data(rows, graph=dataset),
            ProcessPoolExecutor(args.jobs, context) as pool,
        ):
            rows += rows_of(tasks, pool.map(train, tasks))
        write_result("gnn_accuracy", rows, args)
    print_table(HEADER, [line(row) for row in rows if row["runs"]])
    print(f"written to {write_result('gnn_accuracy', rows, args)}")


if __name__ == "__main__":
    main()
