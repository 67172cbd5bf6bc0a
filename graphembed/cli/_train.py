"""The command `graphembed train`: a dataset, a model, its accuracy."""

import argparse
import csv
from pathlib import Path
from typing import Any

from graphembed._storage import atomic_path
from graphembed.cli._files import check_writable

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_OPTIONS = (
    "hidden",
    "n_layers",
    "dropout",
    "heads",
    "K",
    "optimizer",
    "lr",
    "weight_decay",
    "epochs",
    "patience",
    "batch_size",
    "device",
    "n_jobs",
)


def train(args: argparse.Namespace) -> None:
    """Train, print the accuracy, write what is asked for."""
    from graphembed.estimators import NodeClassifier

    _check_outputs(args)
    data = _load(args)
    print(repr(data).strip("<>"), flush=True)
    params = {name: getattr(args, name) for name in _OPTIONS}
    model = NodeClassifier(
        args.model,
        early_stopping=False if args.early_stopping == "no" else args.early_stopping,
        random_state=args.seed,
        verbose=int(args.verbose),
        **params,
    )
    model.fit(data.graph, data.x, data.y, train_mask=data.train_mask, val_mask=data.val_mask)
    epochs, seconds = len(model.history_["epoch"]), sum(model.history_["seconds"])
    print(f"{args.model}: {epochs} epochs in {seconds:.2f} s, epoch {model.best_epoch_} is kept")
    parts = {"validation": data.val_mask, "test": data.test_mask}
    scores = {name: model.score(data.y, mask=mask) for name, mask in parts.items()}
    print("accuracy: " + ", ".join(f"{name} {score:.1%}" for name, score in scores.items()))
    if args.output is not None:
        model.save(args.output)
        print(f"{args.output}: the model")
    if args.predictions is not None:
        _write_predictions(args.predictions, data, model.predict())
        print(f"{args.predictions}: {data.graph.n_nodes:,} predicted classes")


def _check_outputs(args: argparse.Namespace) -> None:
    """Raise, before any work is done, if a result cannot be written."""
    for path, suffixes in (
        (args.output, (".safetensors",)),
        (args.predictions, tuple(_DELIMITERS)),
    ):
        if path is not None and path.suffix.lower() not in suffixes:
            raise ValueError(f"{str(path)!r} must end in {' or '.join(suffixes)}")
        if path is not None:
            check_writable(path)


def _load(args: argparse.Namespace) -> Any:
    from graphembed import datasets

    family, _, name = args.dataset.partition("-")
    if family == "amazon":
        return datasets.load_amazon(name, random_state=args.seed)
    if family == "coauthor":
        return datasets.load_coauthor(name, random_state=args.seed)
    if family == "actor":
        return datasets.load_actor(random_state=args.seed)
    return datasets.load_planetoid(args.dataset, split=args.split, random_state=args.seed)


def _write_predictions(path: Path, data: Any, predicted: Any) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=_DELIMITERS[path.suffix.lower()], lineterminator="\n")
        writer.writerow(["id", "class"])
        names = [data.label_names[code] for code in predicted.tolist()]
        writer.writerows(zip(data.graph.node_ids.tolist(), names, strict=True))
