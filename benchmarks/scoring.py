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


def score(
    rows: list[Row],
    dataset: str,
    *,
    splits: int,
    threads: int,
    ratios: tuple[float, ...] = (0.5,),
) -> None:
    """Add the F1 scores, in %, of every run of the rows; in place.

    At half the labelled nodes they are called micro_f1 and macro_f1, at a tenth micro_f1_at_10, ...
    """
    labels = load_labels(dataset).labels
    for row in rows:
        for run in row["runs"]:
            path = Path(run.pop("vectors"))
            result = node_classification(
                np.load(path), labels, train_ratios=ratios, n_splits=splits,
                random_state=0, n_jobs=threads,
            )  # fmt: skip
            path.unlink()
            for place, ratio in enumerate(ratios):
                at = "" if ratio == 0.5 else f"_at_{100 * ratio:.0f}"
                run[f"micro_f1{at}"] = 100 * float(result.micro_mean[place])
                run[f"macro_f1{at}"] = 100 * float(result.macro_mean[place])
        for key in [key for run in row["runs"][:1] for key in run if "_f1" in key]:
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
