"""Every model beside the others: LINE, hierarchical softmax, negative sampling, and gensim.

    make bench BENCH=models [ARGS="--graphs blogcatalog --repeats 3"]

128 dimensions, 5 negatives; walks: 10 of 80 nodes, window 10, p = q = 1, 1 epoch; LINE: its default
number of samples for each order. A run has its own seed. The rate is of pairs, for LINE of edges,
over the whole fit; gensim, which trains on our walks as they are made, has as many as we on
average. F1 at 10, 50 and 90 %. Datasets that are not on this machine are skipped.
"""

import argparse
import statistics
import tempfile
from typing import Any

from common import (
    Job,
    Row,
    measure,
    options,
    parse,
    print_table,
    result_path,
    skipped_without_data,
    write_result,
)
from graphs import folder_of
from plots import scatter
from scoring import load_labels, score

WALKS = {"n_walks": 10, "walk_length": 80, "window": 10, "dimensions": 128, "p": 1.0, "q": 1.0}
CONTENDERS = (
    "graphembed", "gensim, no file", "hierarchical softmax", "gensim hs, no file", "LINE first",
    "LINE second", "LINE both",
)  # fmt: skip
GRAPHS = ("blogcatalog", "ppi")
RATIOS = (0.1, 0.5, 0.9)
HEADER = ("graph", "contender", "seconds", "CPU s", "M pairs/s", "per core-s", "micro 10 %",
          "50 %", "90 %", "macro 10 %", "50 %", "90 %", "runs")  # fmt: skip


def rate(rows: list[Row]) -> None:
    """Pairs over the whole fit; in place."""
    counted = [run["n_pairs"] for row in rows if row["contender"] == "graphembed"
               for run in row["runs"]]  # fmt: skip
    for row in rows:
        for run in row["runs"]:
            run["work"] = run.get("n_pairs", statistics.median(counted) if counted else 0)
        if row["runs"]:
            for key, seconds in (("rate", "wall_seconds"), ("rate_per_core", "cpu_seconds")):
                row[key] = statistics.median(run["work"] / run[seconds] for run in row["runs"])


def main() -> None:
    """Run all models, print a table, write results/models.json and .png."""
    parser = options(__doc__, budget=60.0, timeout=300.0)
    parser.add_argument("--graphs", nargs="+", help="these datasets only")
    parser.add_argument("--splits", type=int, default=10, help="random splits per run")
    args = parse(parser)
    if args.quick:
        args.splits = 2
    rows: list[Row] = []
    for dataset in args.graphs or (GRAPHS[1:] if args.quick else GRAPHS):
        with skipped_without_data(rows, graph=dataset), tempfile.TemporaryDirectory() as save:
            load_labels(dataset)
            new = measure(jobs(dataset, save, args), args)
            score(new, dataset, splits=args.splits, threads=args.threads, ratios=RATIOS)
            rate(new)
            rows += new
        write_result("models", rows, args)
    done = [row for row in rows if row["runs"]]
    ends = ("_at_10", "", "_at_90")
    print_table(
        HEADER,
        [
            (row["graph"], row["contender"], row["wall_seconds"], row["cpu_seconds"],
             row["rate"] / 1e6, row["rate_per_core"] / 1e6,
             *(row[f"{kind}_f1{end}"] for kind in ("micro", "macro") for end in ends),
             row["repeats"])
            for row in done
        ],
    )  # fmt: skip
    scatter(result_path("models", args), done)
    print(f"written to {write_result('models', rows, args)} and .png")


def jobs(dataset: str, save: str, args: argparse.Namespace) -> list[Job]:
    """All models on one dataset."""
    case: dict[str, Any] = {"graph": str(folder_of(dataset)), "save": save, **WALKS}
    if args.quick:
        case |= {"n_walks": 1, "n_samples": 10**6}
    return [Job("embedding", name, case, args.threads, {"graph": dataset}) for name in CONTENDERS]


if __name__ == "__main__":
    main()
