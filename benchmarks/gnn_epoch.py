"""Milliseconds of a training epoch beside PyTorch Geometric, and memory.

    make bench BENCH=gnn_epoch [ARGS="--only PyG graphembed --rows gcn-cora"]

The training step alone, all training nodes at once, on 1 and 2 threads. "PyG" is a script as its
users write it (dense features, edge_index); "PyG, CSR features" its layers with the first Linear
fed a CSR matrix; "graphembed" trains as NodeClassifier does; "graphembed, script" is PyG's script
with our layers, fed a CSR matrix, and "graphembed, dense x" the same fed PyG's tensors. Contenders
alternate; a ratio is the median of the ratios of the runs. PubMed has its true graph, with
features drawn from the rows that are given.
"""

import argparse
import statistics

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
from plots import bars

ROWS = {
    "gcn-cora": ("gcn", "cora"),
    "gcn-citeseer": ("gcn", "citeseer"),
    "gcn-pubmed-shaped": ("gcn", "pubmed-shaped"),
    "gat-cora": ("gat", "cora"),
    "sage-cora": ("sage", "cora"),
    "cheb-cora": ("cheb", "cora"),
}
PEERS = {"of_pyg": "PyG", "of_pyg_csr": "PyG, CSR features"}
CONTENDERS = (*PEERS.values(), "graphembed", "graphembed, script", "graphembed, dense x")
HEADER = ("network", "data", "threads", "contender", "ms", "CPU ms", "of PyG", "of PyG, CSR",
          "MB", "load", "runs")  # fmt: skip


def run(name: str, threads: int, args: argparse.Namespace) -> list[Row]:
    """All contenders with one network and graph, in turn."""
    model, data = ROWS[name]
    case = {"data": data, "model": model, "seconds": args.seconds}
    labels = {"graph": name, "model": model, "data": data}
    rows = measure([Job("gnn", x, case, threads, labels) for x in CONTENDERS], args)
    times = {
        row["contender"]: [one["wall_seconds"] / one["epochs"] for one in row["runs"]]
        for row in rows
    }
    for row in rows:
        if not row["runs"]:
            continue
        row["peak_rss_mb"] = max(row["peak_rss_mb"], row["prepare_peak_rss_mb"])
        for key, peer in PEERS.items():
            pairs = zip(times[row["contender"]], times.get(peer, ()), strict=False)
            ratios = [own / of for own, of in pairs]
            row[key] = statistics.median(ratios) if ratios else None
    return rows


def main() -> None:
    """Run all, print a table, write results/gnn_epoch.json and .png."""
    parser = options(__doc__, budget=300.0, timeout=120.0)
    parser.set_defaults(threads=2)
    parser.add_argument("--rows", nargs="+", choices=tuple(ROWS), help="these only")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a run")
    args = parse(parser)
    if args.quick:
        args.seconds = 0.0
    rows: list[Row] = []
    for name in args.rows or (("gcn-cora",) if args.quick else ROWS):
        for threads in sorted({1, args.threads}):
            with skipped_without_data(rows, graph=name):
                rows += run(name, threads, args)
            write_result("gnn_epoch", rows, args)
    done = [row for row in rows if row["runs"]]
    print_table(
        HEADER,
        [
            (row["model"], row["data"], row["threads"], row["contender"], row["ms"], row["cpu_ms"],
             *(None if row[key] is None else f"{row[key]:.3f}" for key in PEERS),
             f"{row['peak_rss_mb']:.0f}", row["load"], row["repeats"])
            for row in done
        ],
    )  # fmt: skip
    bars(
        result_path("gnn_epoch", args), done,
        group=lambda row: f"{row['model']}, {row['data']}, {row['threads']} thread(s)",
        value=lambda row: row["ms"], label="ms per training epoch",
    )  # fmt: skip
    print(f"written to {write_result('gnn_epoch', rows, args)} and .png")


if __name__ == "__main__":
    main()
