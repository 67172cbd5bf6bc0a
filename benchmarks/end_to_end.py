"""From a graph in memory to its vectors: time, memory and F1 beside every complete peer.

    make bench BENCH=end_to_end [ARGS="--graphs blogcatalog --repeats 3"]

128 dimensions, 10 walks of 80 nodes, window 10, 5 negatives, 1 epoch. Then ours alone on a graph of
1M nodes and 10M edges (10 walks of 40 nodes, window 5; ten times the time limit). "our walks +
gensim" is our walks, shuffled and written to a file, and gensim, which reads it; all of it counts.
Datasets that are not on this machine are skipped; --quick has a graph without labels, too.
"""

import argparse
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
from plots import scatter
from scoring import load_labels, score

STANDARD = {"n_walks": 10, "walk_length": 80, "window": 10}
LARGE = {"n_walks": 10, "walk_length": 40, "window": 5}
PEERS = (
    "our walks + gensim", "torch_cluster + gensim", "pecanpy", "fastnode2vec", "grape",
    "scikit-network",
)  # fmt: skip
NOTES = (
    "grape: learning rate 0.01, times 0.9 after an epoch (its default); the others fall from 0.025",
    "scikit-network: spectral embedding, no walks",
)
# graph: its settings, p and q, the contenders
GRAPHS: dict[str, tuple[dict[str, int], float, float, tuple[str, ...]]] = {
    "blogcatalog": (STANDARD, 1.0, 1.0, ("graphembed", *PEERS)),
    "ppi": (STANDARD, 1.0, 1.0, ("graphembed", *PEERS)),
    "cl-1m-10m": (LARGE, 1.0, 1.0, ("graphembed",)),
}
QUICK = {
    "ppi": ({**STANDARD, "n_walks": 1}, 1.0, 1.0, ("graphembed", *PEERS)),
    "cl-10k-100k": ({**LARGE, "n_walks": 1}, 1.0, 1.0, ("graphembed",)),
}
HEADER = ("graph", "contender", "version", "seconds", "CPU s", "peak MB", "micro-F1", "macro-F1",
          "runs")  # fmt: skip


def run(name: str, args: argparse.Namespace) -> list[Row]:
    """All contenders on one graph, scored where the nodes have labels."""
    settings, p, q, contenders = (QUICK if args.quick else GRAPHS)[name]
    labelled = name in DATASETS
    if labelled:
        load_labels(name)
    case: dict[str, Any] = {
        **settings, "graph": str(folder_of(name)), "p": p, "q": q, "dimensions": args.dimensions
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as save:
        case["save"] = save if labelled else None
        jobs = [Job("embedding", x, case, args.threads, {"graph": name}) for x in contenders]
        limit = args.timeout if labelled else 10 * args.timeout
        rows = measure(jobs, argparse.Namespace(**{**vars(args), "timeout": limit}))
        if labelled:
            score(rows, name, splits=args.splits, threads=args.threads)
    for row in rows:
        row["settings"] = {**settings, "p": p, "q": q, "dimensions": args.dimensions}
        if row["runs"] and not labelled:
            _print_large(row)
    return rows


def _print_large(row: Row) -> None:
    """Where the memory of a large graph goes."""
    last = row["runs"][-1]
    base, own = row["prepare_rss_before_mb"], last["graph_and_tables_mb"]
    rate = last["n_pairs"] / last["train_seconds"] / 1e6
    print(
        f"  {row['wall_seconds'] / 60:.1f} minutes, {rate:.2f} M pairs/s; peak "
        f"{row['peak_rss_mb']:.0f} MB = interpreter {base:.0f} + graph and tables {own:.0f} + "
        f"{row['peak_rss_mb'] - base - own:.0f} (imports, pools)"
    )


def main() -> None:
    """Run all graphs, print a table, write results/end_to_end.json and .png."""
    parser = options(__doc__, budget=45.0, timeout=240.0)
    parser.add_argument("--graphs", nargs="+", help="these graphs only")
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--splits", type=int, default=10, help="random splits per run")
    args = parse(parser)
    if args.quick:
        args.splits = 2
    rows: list[Row] = []
    for name in QUICK if args.quick else GRAPHS:
        if not args.graphs or name in args.graphs:
            with skipped_without_data(rows, graph=name):
                rows += run(name, args)
            write_result("end_to_end", rows, args, notes=NOTES)
    done = [row for row in rows if row["runs"]]
    print_table(
        HEADER,
        [
            (row["graph"], row["contender"], row["version"], row["wall_seconds"],
             row["cpu_seconds"], round(row["peak_rss_mb"]), row.get("micro_f1"),
             row.get("macro_f1"), row["repeats"])
            for row in done
        ],
    )  # fmt: skip
    print("\n".join(NOTES))
    scatter(result_path("end_to_end", args), [row for row in done if "micro_f1" in row])
    print(f"written to {write_result('end_to_end', rows, args, notes=NOTES)} and .png")


if __name__ == "__main__":
    main()
