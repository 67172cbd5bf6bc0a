"""The demo: a real graph is embedded, scored against two baselines, and drawn."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from graphembed import datasets
from graphembed._storage import atomic_path
from graphembed._validation import check_params, draw_seed, import_optional, int_at_least, one_of
from graphembed.datasets import Dataset
from graphembed.estimators import Node2Vec
from graphembed.evaluation import NodeClassificationResult, majority_scores, node_classification
from graphembed.plotting import plot_embedding

__all__ = ["DATASETS", "DemoResult", "load_dataset", "run_demo"]

Echo = Callable[[str], None]

_TRAIN_RATIO: Final = 0.5
_N_NEIGHBORS: Final = 5
_N_SHOWN: Final = 4  # nodes whose neighbours are listed


@dataclass(frozen=True)
class _Recipe:
    """How to load a dataset, nodes that a reader may know, and settings other than the usual."""

    load: Callable[[], Dataset]
    known_nodes: tuple[Any, ...] = ()
    params: Mapping[str, Any] | None = None


_RECIPES: Final[Mapping[str, _Recipe]] = {
    "python-imports": _Recipe(
        lambda: datasets.load_python_imports(),
        known_nodes=("json", "asyncio.events", "numpy.linalg", "sklearn.cluster"),
    ),
    "karate": _Recipe(
        lambda: datasets.load_karate(),
        known_nodes=(0, 33),  # the two leaders: the instructor and the officer
    ),
    # p and q as in Grover & Leskovec 2016, section 4.3
    "blogcatalog": _Recipe(lambda: datasets.load_blogcatalog(), params={"p": 0.25, "q": 0.25}),
    "ppi": _Recipe(lambda: datasets.load_ppi(), params={"p": 4.0, "q": 1.0}),
    "facebook": _Recipe(lambda: datasets.load_musae("facebook")),
    "lastfm": _Recipe(lambda: datasets.load_musae("lastfm")),
}

DATASETS: Final = tuple(_RECIPES)


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What `run_demo` made.

    Attributes
    ----------
    dataset : Dataset
        The graph and its labels.
    model : Node2Vec
        The fitted model.
    scores : dict of str to NodeClassificationResult
        Node classification with "Node2Vec" vectors, with "random vectors" and with the
        "majority" of the training labels, on the same splits.
    neighbors : dict
        A few node ids, each with its nearest neighbours: a list of (id, cosine similarity).
    picture : pathlib.Path or None
        The picture; None where matplotlib is not installed.
    """

    dataset: Dataset
    model: Node2Vec
    scores: Mapping[str, NodeClassificationResult]
    neighbors: Mapping[Any, list[tuple[Any, float]]]
    picture: Path | None


def load_dataset(name: str) -> Dataset:
    """Load one of the demo's datasets.

    Parameters
    ----------
    name : str
        One of `DATASETS`.

    Returns
    -------
    Dataset
        Graph and labels.

    Raises
    ------
    ValueError
        If there is no such dataset.
    DatasetNotFoundError
        If its files are neither on disk nor may they be downloaded.
    """
    check_params({"dataset": name}, {"dataset": one_of(*DATASETS)})
    return _RECIPES[name].load()


def run_demo(
    dataset: str = "python-imports",
    output_folder: str | Path = "graphembed-demo",
    *,
    random_state: Any = 0,
    n_jobs: int | None = -1,
    n_splits: int = 3,
    verbose: int = 0,
    echo: Echo | None = None,
) -> DemoResult:
    """Embed a real graph with Node2Vec, score the vectors, list neighbours, draw a picture.

    Parameters
    ----------
    dataset : {"python-imports", "karate", "blogcatalog", "ppi", "facebook", "lastfm"}
        The graph; the first two need no download.
    output_folder : str or path-like, default="graphembed-demo"
        Where the picture ``<dataset>.png`` is written; made if it is not there.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, default=0
        Decides everything: the vectors, the splits and the picture.
    n_jobs : int or None, default=-1
        Threads; -1 all usable cores.
    n_splits : int, default=3
        Random splits of the labelled nodes.
    verbose : int, default=0
        1 shows a progress bar per phase.
    echo : callable, optional
        Gets the report line by line; default: nobody does.

    Returns
    -------
    DemoResult
        The dataset, the model, its scores, some neighbours and the path of the picture.

    Raises
    ------
    ValueError
        If an argument is out of range.
    OSError
        If the dataset cannot be had or the picture cannot be written.

    Notes
    -----
    Training takes O(n_nodes * n_walks * walk_length * window) time; see `Node2Vec`.
    """
    check_params(
        {"dataset": dataset, "n_splits": n_splits},
        {"dataset": one_of(*DATASETS), "n_splits": int_at_least(1)},
        owner="run_demo",
    )
    report: Echo = echo if echo is not None else _silent
    seed = draw_seed(random_state)
    folder = Path(output_folder)
    folder.mkdir(parents=True, exist_ok=True)
    report(f"Loading {dataset} ...")
    begin = time.perf_counter()
    data = load_dataset(dataset)
    _report_graph(data, time.perf_counter() - begin, report)
    model = _train(data, _RECIPES[dataset], seed, n_jobs, verbose, report)
    scores = _score(model, data, seed, n_jobs, n_splits, report)
    neighbors = _find_neighbors(model, data, _RECIPES[dataset].known_nodes, report)
    picture = _draw(model, data, folder / f"{dataset}.png", seed, report)
    return DemoResult(data, model, scores, neighbors, picture)


def _silent(line: str) -> None:
    """Take a line and show it to nobody."""


def _report_graph(data: Dataset, seconds: float, report: Echo) -> None:
    graph = data.graph
    kinds = "directed" if graph.directed else "undirected"
    if graph.is_weighted:
        kinds += ", weighted"
    report(f"  {data.description}")
    report(
        f"  {graph.n_nodes:,} nodes, {graph.n_edges:,} edges ({kinds}), {data.n_labels} labels; "
        f"loaded in {seconds:.1f} s"
    )


def choose_params(n_nodes: int) -> dict[str, Any]:
    """Choose settings for the size: the standard ones, and more walks where there are few nodes."""
    if n_nodes >= 1000:
        return {"n_components": 128, "walk_length": 80, "n_walks": 10, "window": 10, "epochs": 1}
    return {"n_components": 32, "walk_length": 40, "n_walks": 50, "window": 5, "epochs": 5}


def _train(
    data: Dataset, recipe: _Recipe, seed: int, n_jobs: int | None, verbose: int, report: Echo
) -> Node2Vec:
    params = {"p": 1.0, "q": 1.0, **choose_params(data.graph.n_nodes), **(recipe.params or {})}
    model = Node2Vec(**params, random_state=seed, n_jobs=n_jobs, verbose=verbose)
    report("")
    report("Node2Vec(" + ", ".join(f"{name}={value}" for name, value in params.items()) + ")")
    model.fit(data.graph)
    stats = model.training_stats_
    for title, unit in (("walk", "steps"), ("train", "pairs")):
        count, seconds = stats[f"n_{unit}"], stats[f"{title}_seconds"]
        report(
            f"  {title + ':':<7}{count:>13,} {unit} in {seconds:6.2f} s "
            f"({count / max(seconds, 1e-9) / 1e6:.2f} M {unit}/s)"
        )
    return model


def _score(
    model: Node2Vec, data: Dataset, seed: int, n_jobs: int | None, n_splits: int, report: Echo
) -> dict[str, NodeClassificationResult]:
    splits: dict[str, Any] = {
        "train_ratios": _TRAIN_RATIO,
        "n_splits": n_splits,
        "random_state": seed,
    }
    noise = np.random.default_rng(seed).standard_normal(model.embedding_.shape)
    scores = {
        "Node2Vec": node_classification(model.embedding_, data.labels, n_jobs=n_jobs, **splits),
        "random vectors": node_classification(noise, data.labels, n_jobs=n_jobs, **splits),
        "majority": majority_scores(data.labels, **splits),
    }
    report("")
    report(
        f"Node classification: labels of half of the nodes are known, those of the others are "
        f"predicted (mean of {n_splits} splits)"
    )
    report(f"  {'':<16}{'micro-F1':>10}{'macro-F1':>10}")
    for name, result in scores.items():
        micro, macro = 100 * result.micro_mean[0], 100 * result.macro_mean[0]
        report(f"  {name:<16}{micro:>8.1f} %{macro:>8.1f} %")
    return scores


def _find_neighbors(
    model: Node2Vec, data: Dataset, known_nodes: tuple[Any, ...], report: Echo
) -> dict[Any, list[tuple[Any, float]]]:
    """List the neighbours of known nodes, then of those with the most edges."""
    busiest = data.graph.node_ids[np.argsort(-data.graph.degrees, kind="stable")].tolist()
    known = [node for node in known_nodes if node in data.graph]
    chosen = list(dict.fromkeys(known + busiest[:_N_SHOWN]))[:_N_SHOWN]
    neighbors = {node: model.most_similar(node, topn=_N_NEIGHBORS) for node in chosen}
    report("")
    report("Nearest neighbours (cosine similarity)")
    width = max(len(str(node)) for node in chosen)
    for node, found in neighbors.items():
        listed = ", ".join(f"{other} {cosine:.2f}" for other, cosine in found)
        report(f"  {node!s:<{width}}  {listed}")
    return neighbors


def _draw(model: Node2Vec, data: Dataset, path: Path, seed: int, report: Echo) -> Path | None:
    report("")
    try:
        import_optional("matplotlib.figure", extra="plot")
    except ImportError as error:
        report(f"The picture is left out: {error}")
        return None
    report("Drawing the vectors ...")
    ax = plot_embedding(
        model.embedding_, data.labels, label_names=data.label_names, random_state=seed
    )
    ax.set_title(f"Node2Vec on {data.name}: {ax.get_title(loc='left')}", loc="left")
    figure: Any = ax.figure
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
    report(f"Picture: {path}")
    return path
