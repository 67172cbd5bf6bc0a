"""Micro- and macro-F1 of vectors by the DeepWalk protocol, for the tables beside every time."""

from pathlib import Path
from typing import Any

import numpy as np

from graphembed import datasets
from graphembed.evaluation import node_classification

Row = dict[str, Any]

_known: dict[str, datasets.Dataset] = {}


def load_labels(dataset: str) -> datasets.Dataset:
    """Load a dataset, once; raise DatasetNotFoundError if it is not on this machine."""
    if dataset not in _known:
        _known[dataset] = datasets.load(dataset, download=False)
    return _known[dataset]


def score(rows: list[Row], dataset: str, *, splits: int, threads: int) -> None:
    """Add the F1 scores, in %, of every run of the rows, at half the labelled nodes; in place."""
    labels = load_labels(dataset).labels
    for row in rows:
        for run in row["runs"]:
            path = Path(run.pop("vectors"))
            result = node_classification(
                np.load(path), labels, train_ratios=(0.5,), n_splits=splits,
                random_state=0, n_jobs=threads,
            )  # fmt: skip
            path.unlink()
            run["micro_f1"] = 100 * float(result.micro_mean[0])
            run["macro_f1"] = 100 * float(result.macro_mean[0])
        for key in ("micro_f1", "macro_f1"):
            if row["runs"]:
                row[key] = float(np.mean([run[key] for run in row["runs"]]))
