"""A model that grows beside one that is fitted anew: F1 of the new nodes, drift of the old, time.

    make bench BENCH=growth [ARGS="--graphs ppi --repeats 3"]

5 % of the nodes are hidden with their edges; DeepWalk is fitted to the rest and given the whole
graph by partial_fit. The classifier is trained on the vectors of all old nodes and scored on the
new ones; the old nodes are scored among themselves, half against half. "refit" is a fit of the
whole graph, "mean of neighbours" gives each new node the mean of its neighbours' vectors.
128 dimensions, 10 walks of 80 nodes, window 10, 5 negatives. Datasets that are not on this machine
are skipped.
"""

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from common import Row, common_options, parse, print_table, skipped_without_data, write_result
from scoring import f1_of_others, load_labels

from graphembed import DeepWalk, Graph
from graphembed.evaluation import node_classification

HIDDEN = 0.05
UPDATES = ("touched", "neighbourhood", "all")
HEADER = ("graph", "contender", "seconds", "CPU s", "% of refit", "F1 of new", "beside refit",
          "F1 of old", "drift", "runs")  # fmt: skip


def run(name: str, args: argparse.Namespace) -> list[Row]:
    """All contenders on one dataset, in turn, with other hidden nodes each time."""
    labels = load_labels(name).labels
    contenders = ("refit", "mean of neighbours", *UPDATES)
    rows: list[Row] = [
        {"graph": name, "contender": x, "threads": args.threads, "status": "ok", "runs": []}
        for x in contenders
    ]
    for number in range(args.repeats):
        results = _once(load_labels(name).graph, labels, number, args)
        for row in rows:
            row["runs"].append(results[row["contender"]])
    for row in rows:
        for key in ("wall_seconds", "cpu_seconds", "load"):
            row[key] = statistics.median(one[key] for one in row["runs"])
        for key in ("new_f1", "old_f1", "drift"):
            row[key] = statistics.fmean(one[key] for one in row["runs"])
        row["repeats"] = len(row["runs"])
        row["percent_of_refit"] = 100 * row["wall_seconds"] / rows[0]["wall_seconds"]
        row["beside_refit"] = row["new_f1"] - rows[0]["new_f1"]
    return rows


def _once(graph: Graph, labels: Any, number: int, args: argparse.Namespace) -> dict[str, Row]:
    adjacency = graph.to_scipy()
    rng = np.random.default_rng(number)
    new = np.sort(rng.choice(graph.n_nodes, round(HIDDEN * graph.n_nodes), replace=False))
    old = np.setdiff1d(np.arange(graph.n_nodes), new)
    rest = Graph.from_scipy(adjacency[old][:, old], directed=graph.directed, nodes=old.tolist())

    def model() -> DeepWalk:
        return DeepWalk(random_state=number, n_jobs=args.threads)

    def score(vectors: Any) -> Row:
        old_f1 = _among(vectors[old], labels[old], args)
        new_f1 = f1_of_others(vectors, labels, old, new)
        return {"new_f1": new_f1, "old_f1": old_f1, "drift": old_f1 - old_f1_before}

    fitted = model().fit(rest)
    before = np.zeros((graph.n_nodes, fitted.n_components), np.float32)
    before[old] = fitted.embedding_
    old_f1_before = _among(before[old], labels[old], args)
    links = adjacency[new][:, old]
    mean = before.copy()
    mean[new] = (links @ fitted.embedding_) / np.maximum(1, links.sum(axis=1))[:, np.newaxis]
    vectors, seconds = _timed(lambda: model().fit(graph))
    results = {"refit": seconds | score(vectors.transform(graph))}
    nothing = {"wall_seconds": 0.0, "cpu_seconds": 0.0, "load": 0.0}
    results["mean of neighbours"] = nothing | score(mean)
    for update in UPDATES:
        grow = partial(copy.deepcopy(fitted).partial_fit, graph, update=update)
        grown, seconds = _timed(grow)
        results[update] = seconds | score(grown.transform(graph))
    return results


def _among(vectors: Any, labels: Any, args: argparse.Namespace) -> float:
    result = node_classification(
        vectors, labels, train_ratios=(0.5,), n_splits=args.splits, random_state=0,
        n_jobs=args.threads,
    )  # fmt: skip
    return 100 * float(result.micro_mean[0])


def _timed(work: Callable[[], DeepWalk]) -> tuple[DeepWalk, Row]:
    load = round(os.getloadavg()[0], 2)
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    spent = {
        "wall_seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "load": load,
    }
    return result, spent


def main() -> None:
    """Run all datasets, print a table, write results/growth.json."""
    parser = common_options(__doc__)
    parser.add_argument("--graphs", nargs="+", help="these datasets only")
    parser.add_argument("--repeats", type=int, default=5, help="choices of hidden nodes")
    parser.add_argument("--splits", type=int, default=2, help="random splits of the old nodes")
    args = parse(parser)
    if args.quick:
        args.splits, args.repeats = 1, 1
    rows: list[Row] = []
    for name in ("ppi",) if args.quick else ("blogcatalog", "ppi"):
        if not args.graphs or name in args.graphs:
            with skipped_without_data(rows, graph=name):
                rows += run(name, args)
            write_result("growth", rows, args)
    print_table(
        HEADER,
        [
            (row["graph"], row["contender"], row["wall_seconds"], row["cpu_seconds"],
             row["percent_of_refit"], row["new_f1"], row["beside_refit"], row["old_f1"],
             row["drift"], len(row["runs"]))
            for row in rows
            if row["runs"]
        ],
    )  # fmt: skip
    print(f"written to {write_result('growth', rows, args)}")


if __name__ == "__main__":
    main()
