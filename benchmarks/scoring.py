"""Micro- and macro-F1 of vectors by the DeepWalk protocol, for the tables beside every time."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import f1_score
from threadpoolctl import threadpool_limits

from graphembed import datasets
from graphembed.evaluation import node_classification
from graphembed.evaluation._logistic import fit_one_vs_rest
from graphembed.evaluation.classification import top_k_labels

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


def f1_of_others(vectors: Any, labels: Any, train: Any, test: Any) -> float:
    """Micro-F1, in %, of some nodes by a classifier trained on all of the others."""
    labelled = np.flatnonzero(np.diff(labels.indptr))
    train, test = np.intersect1d(train, labelled), np.intersect1d(test, labelled)
    features = np.asarray(vectors, np.float64)
    with threadpool_limits(1, user_api="blas"):  # more of them wait for each other
        classifier = fit_one_vs_rest(features[train], labels[train].toarray().astype(bool), 1.0)
    scores = features[test] @ classifier[0] + classifier[1]
    predicted = top_k_labels(scores, np.diff(labels[test].indptr))
    truth = labels[test].toarray()
    return 100 * float(f1_score(truth, predicted, average="micro", zero_division=0))
