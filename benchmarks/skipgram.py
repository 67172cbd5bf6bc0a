"""Training: pairs per second and F1, beside gensim on walks of the same law.

    make bench BENCH=skipgram [ARGS="--settings blogcatalog --n-walks 40"]

128 dimensions, 10 walks of 80 nodes, window 10, 5 negatives, 1 epoch. Each run has its own seed, so
the F1 (half the nodes for training) is a mean over seeds. Seconds, CPU seconds and rates are of the
same work: of the whole fit, walks and all, for us and for gensim with our walks handed over as they
are made ("no file"); of the training alone for gensim that reads a corpus file, written before.
gensim does not count pairs: on average it has as many as we. Datasets that are not on this machine
are skipped; --quick has a graph without labels, too.
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
from graphs import DATASETS, folder_of
from plots import bars
from scoring import load_labels, score

# Dataset, p, q; macro-F1 at 50 % in table 2 of Grover and Leskovec 2016, where they have it.
SETTINGS = [
    ("blogcatalog", 1.0, 1.0, 21.10),
    ("blogcatalog", 0.25, 0.25, 25.81),
    ("ppi", 1.0, 1.0, 17.68),
    ("ppi", 4.0, 1.0, 17.91),
    ("musae-lastfm", 1.0, 1.0, None),
    ("musae-facebook", 1.0, 1.0, None),
]
QUICK = [("ppi", 1.0, 1.0, 17.68), ("cl-1k-10k", 1.0, 1.0, None)]
SCALED = ("blogcatalog", 1.0, 1.0)  # ours also on fewer threads
BUDGET = 40.0
HEADER = ("graph", "setting", "contender", "threads", "seconds", "CPU s", "M pairs/s", "per core-s",
          "micro-F1", "macro-F1", "runs")  # fmt: skip


def jobs(dataset: str, p: float, q: float, save: str, args: argparse.Namespace) -> list[Job]:
    """Ours and gensim; ours on fewer threads, too."""
    case: dict[str, Any] = {
        "graph": str(folder_of(dataset)), "p": p, "q": q, "n_walks": args.n_walks,
        "walk_length": args.walk_length, "window": args.window, "dimensions": args.dimensions,
        "save": save if dataset in DATASETS else None,
    }  # fmt: skip
    labels = {"graph": dataset, "setting": f"p={p:g} q={q:g}"}
    scaled = [t for t in (2, 1) if (dataset, p, q) == SCALED and t < args.threads]
    return [
        *(Job("embedding", "graphembed", case, t, labels) for t in (args.threads, *scaled)),
        Job("embedding", "our walks + gensim", case, args.threads, labels),
        Job("embedding", "gensim, no file", case, args.threads, labels),
    ]


def rate(rows: list[Row]) -> None:
    """Take pairs as the work, over the phase that the docstring of this file names; in place."""
    pairs = [run["n_pairs"] for row in rows for run in row["runs"] if "n_pairs" in run]
    for row in rows:
        for run in row["runs"]:
            run["work"] = run.get("n_pairs", statistics.median(pairs) if pairs else 0)
            if "train_cpu_seconds" in run:
                run["rated"] = (run["train_seconds"], run["train_cpu_seconds"])
            else:
                run["rated"] = (run["wall_seconds"], run["cpu_seconds"])
        if row["runs"]:
            for index, (seconds, per_second) in enumerate(
                (("rated_seconds", "rate"), ("rated_cpu_seconds", "rate_per_core"))
            ):
                row[seconds] = statistics.median(run["rated"][index] for run in row["runs"])
                row[per_second] = statistics.median(
                    run["work"] / run["rated"][index] for run in row["runs"]
                )


def main() -> None:
    """Run all settings, print a table, write results/skipgram.json and .png."""
    parser = options(__doc__, budget=BUDGET, timeout=300.0)
    parser.add_argument("--settings", nargs="+", help="these datasets only")
    parser.add_argument("--n-walks", type=int, default=10)
    parser.add_argument("--walk-length", type=int, default=80)
    parser.add_argument("--window", type=int, default=10)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--splits", type=int, default=10, help="random splits per run")
    args = parse(parser)
    if args.quick:
        args.n_walks, args.splits = 1, 2
    rows: list[Row] = []
    for dataset, p, q, paper in QUICK if args.quick else SETTINGS:
        if args.settings and dataset not in args.settings:
            continue
        labels = {"graph": dataset, "setting": f"p={p:g} q={q:g}"}
        with skipped_without_data(rows, **labels), tempfile.TemporaryDirectory() as save:
            if dataset in DATASETS:
                load_labels(dataset)
            new = measure(jobs(dataset, p, q, save, args), args)
            if dataset in DATASETS:
                score(new, dataset, splits=args.splits, threads=args.threads)
            rate(new)
            rows += [{**row, "macro_f1_in_the_paper": paper} for row in new]
        write_result("skipgram", rows, args)
    done = [row for row in rows if row["runs"]]
    print_table(
        HEADER,
        [
            (row["graph"], row["setting"], row["contender"], row["threads"], row["rated_seconds"],
             row["rated_cpu_seconds"], row["rate"] / 1e6, row["rate_per_core"] / 1e6,
             row.get("micro_f1"), row.get("macro_f1"), row["repeats"])
            for row in done
        ],
    )  # fmt: skip
    bars(
        result_path("skipgram", args),
        done,
        group=lambda row: f"{row['graph']}: {row['setting']}\n{row['threads']} threads",
        value=lambda row: row["rate"] / 1e6,
        label="million pairs per second (5 negatives each); beside it the micro-F1 at 50 %",
        note=lambda row: f"  (F1 {row['micro_f1']:.1f})" if "micro_f1" in row else "",
    )
    print(f"written to {write_result('skipgram', rows, args)} and .png")


if __name__ == "__main__":
    main()
