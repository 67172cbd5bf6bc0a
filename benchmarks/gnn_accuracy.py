"""Test accuracy of our layers beside PyTorch Geometric's, by the protocol of Kipf and Welling.

    make bench BENCH=gnn_accuracy [ARGS="--models gcn --seeds 100 --jobs 4"]

The public split, 200 epochs, two layers: accuracy in % after the last epoch, and after the one
with the best validation loss. GAT is also trained as in its paper, until neither the loss nor the
accuracy of validation has reached its best for 100 epochs, and scored at the last epoch at which
both had. "PyG" and "graphembed" are their layers in the same script with the same recipe, on sparse
features (see pyg_sparse.py for PyG's); "NodeClassifier" is ours with its own loop and defaults.
Mean and standard deviation over the seeds.
"""

import itertools
import multiprocessing
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
CONTENDERS = ("PyG", "graphembed", "NodeClassifier")
EPOCHS = 200
PATIENCE = {"gat": 100}
MOST_EPOCHS = 5000  # with patience
SCORES = {"last": "last epoch", "best_loss": "best val loss", "patience": "patience 100"}
HEADER = ("data", "network", "contender", *(x for s in SCORES.values() for x in (s, "std")),
          "epochs", "seeds", "s")  # fmt: skip

Task = tuple[str, str, str, int, int]  # dataset, network, contender, seed, epochs


class Scores:
    """Test accuracies at the epochs that each rule chooses."""

    def __init__(self, epochs: int, patience: int | None) -> None:
        self.epochs, self.patience = epochs, patience
        self.chosen: dict[str, float] = {}
        self.epoch = self.stopped = self.waited = 0
        self.least, self.most = float("inf"), 0.0

    def update(self, loss: float, accuracy: float, test: float) -> bool:
        """Take in validation and test of an epoch; returns whether it was the last one."""
        self.epoch += 1
        if self.epoch <= self.epochs:
            self.chosen["last"] = test
            if loss < self.least:
                self.chosen["best_loss"] = test
        waits = self.patience is not None and self.waited < self.patience
        if waits:
            low, high = loss <= self.least, accuracy >= self.most
            if low and high:
                self.chosen["patience"] = test
            self.waited = 0 if low or high else self.waited + 1
            self.stopped = self.epoch
            waits = self.waited < self.patience and self.epoch < MOST_EPOCHS
        self.least, self.most = min(self.least, loss), max(self.most, accuracy)
        return self.epoch >= self.epochs and not waits


def train(task: Task) -> dict[str, Any]:
    """Train once, on one thread."""
    import torch

    _, model, contender, seed, epochs = task
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    scores = Scores(epochs, PATIENCE.get(model))
    begin = time.perf_counter()
    try:
        (_by_classifier if contender == "NodeClassifier" else _by_script)(task, scores)
    except ImportError as error:
        return {"reason": str(error)}
    return {
        "seed": seed,
        **scores.chosen,
        "epochs": scores.stopped or scores.epoch,
        "wall_seconds": time.perf_counter() - begin,
    }


def _by_script(task: Task, scores: Scores) -> None:
    from citation import load

    if task[2] == "PyG":
        from pyg_sparse import with_sparse_features as start
    else:
        from networks import with_our_layers as start
    training = start(load(task[0]), task[1])
    training.epoch()
    while not scores.update(*training.evaluate()):
        training.epoch()


def _by_classifier(task: Task, scores: Scores) -> None:
    import torch
    from citation import load

    from graphembed import NodeClassifier
    from graphembed.nn import SparseMatrix

    data = load(task[0])
    x, adjacency = SparseMatrix.from_scipy(data.x), data.graph.to_adjacency()

    def look(model: Any, record: dict[str, float]) -> bool:
        model.eval()
        with torch.no_grad():
            right = model(x, adjacency).argmax(1).numpy() == data.y
        test = 100.0 * float(right[data.test_mask].mean())
        return scores.update(record["val_loss"], record["val_accuracy"], test)

    classifier = NodeClassifier(
        task[1], epochs=MOST_EPOCHS, early_stopping=False, n_jobs=1, random_state=task[3],
        callbacks=[look],
    )  # fmt: skip
    masks = {"train_mask": data.train_mask, "val_mask": data.val_mask}
    classifier.fit(data.graph, data.x, data.y, **masks)


def rows_of(tasks: list[Task], runs: Iterable[dict[str, Any]]) -> list[Row]:
    """One row for each dataset, network and contender."""
    rows = []
    pairs = zip(tasks, runs, strict=True)
    for (data, model, contender), group in itertools.groupby(pairs, lambda pair: pair[0][:3]):
        row: Row = {"data": data, "model": model, "contender": contender, "status": "ok"}
        runs = row["runs"] = [one for _, one in group]
        rows.append(row)
        if "reason" in runs[0]:
            row |= {"status": "skipped", "reason": runs[0]["reason"], "runs": []}
            print(f"{data}  {model}  {contender}  skipped: {row['reason']}")
            continue
        for key in SCORES:
            values = [one[key] for one in runs if key in one]
            row[key] = statistics.fmean(values) if values else None
            row[f"{key}_std"] = statistics.stdev(values) if len(values) > 1 else None
        for key in ("epochs", "wall_seconds"):
            row[key] = statistics.fmean(one[key] for one in runs)
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
