"""Random walks: steps per second beside every peer that walks by the same law.

    make bench BENCH=walks [ARGS="--quick"]

One walk of 80 nodes from every node, all walks returned in memory; "weighted" has made-up weights.
Building the graph and the first call are not in the times (prepare_wall_seconds has them). Ours is
also asked for ten walks from every node, which shows what a call costs by itself. "extra MB" is the
peak of the memory less what was there before (the graph) and less the walks. fastnode2vec walks on
one thread. Datasets that are not on this machine are skipped.
"""

import argparse

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
from plots import bars

# name: p, q, weighted
SETTINGS = {
    "first order": (1.0, 1.0, False),
    "first order, weighted": (1.0, 1.0, True),
    "p=0.5 q=2": (0.5, 2.0, False),
    "p=0.25 q=4": (0.25, 4.0, False),
    "p=4 q=0.25": (4.0, 0.25, False),
    "p=0.5 q=2, weighted": (0.5, 2.0, True),
    "p=0.001 q=1000": (0.001, 1000.0, False),
    "p=1000 q=0.001": (1000.0, 0.001, False),
}
COMMON = list(SETTINGS)[:6]
GRAPHS = {
    "cl-100k-1m": list(SETTINGS),
    "cl-1m-10m": COMMON,
    "rmat-17": ["first order", "p=0.5 q=2", "p=4 q=0.25"],
    "blogcatalog": ["first order", "p=0.25 q=4", "p=4 q=0.25"],
    "star-30k": ["first order", "p=0.5 q=2", "p=0.001 q=1000", "p=1000 q=0.001"],
}
QUICK = {"cl-10k-100k": COMMON[:3], "rmat-12": ["first order"], "star-30k": ["p=0.5 q=2"]}
HUGE = {"random-10m-20": ["first order", "p=0.5 q=2"]}
PEERS = ("grape", "torch_cluster", "fastnode2vec", "csrgraph", "pecanpy")
SCALED = ("cl-100k-1m", "cl-1m-10m")  # ours also on fewer threads
TEN_WALKS = {"cl-100k-1m": COMMON, "cl-1m-10m": COMMON[:1], "cl-10k-100k": COMMON[:1]}  # ours
SERIAL = ("fastnode2vec",)
BESIDE_PEERS = ("cl-100k-1m", "cl-10k-100k", "cl-1m-10m", "blogcatalog")


def jobs(graph: str, setting: str, args: argparse.Namespace) -> list[Job]:
    """Ours on 1, 2 and 4 threads, and the peers on 4 or as many as they can use."""
    p, q, weighted = SETTINGS[setting]
    case = {
        "graph": str(folder_of(graph)),
        "weighted": weighted,
        "p": p,
        "q": q,
        "walk_length": args.walk_length,
        "strategy": args.strategy,
        "n_walks": 1,
    }
    labels = {"graph": graph, "setting": setting, "n_walks": 1}
    threads = [args.threads, *(t for t in (2, 1) if graph in SCALED and t < args.threads)]
    result = [Job("walks", "graphembed", case, t, labels) for t in threads]
    if setting in TEN_WALKS.get(graph, ()):
        ten = {"n_walks": 10}
        result.append(Job("walks", "graphembed", case | ten, args.threads, labels | ten))
    if graph in BESIDE_PEERS:
        result += [
            Job("walks", peer, case, 1 if peer in SERIAL else args.threads, labels)
            for peer in PEERS
        ]
    return result


def main() -> None:
    """Run all settings, print a table, write results/walks.json and .png."""
    parser = options(__doc__, budget=10.0, timeout=120.0)
    parser.add_argument("--walk-length", type=int, default=80)
    parser.add_argument("--strategy", default="rejection", help="of our second-order walks")
    parser.add_argument("--graphs", nargs="+", help="these graphs only")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, help="these settings only")
    parser.add_argument("--huge", action="store_true", help="also 10M nodes, 200M arcs, ours only")
    args = parse(parser)
    graphs = QUICK if args.quick else {**GRAPHS, **(HUGE if args.huge else {})}
    rows: list[Row] = []
    for graph, settings in graphs.items():
        if args.graphs and graph not in args.graphs:
            continue
        for setting in settings:
            if args.settings and setting not in args.settings:
                continue
            limit = args.timeout * (5 if graph in HUGE else 1)
            limited = argparse.Namespace(**{**vars(args), "timeout": limit})
            with skipped_without_data(rows, graph=graph, setting=setting):
                rows += measure(jobs(graph, setting, args), limited)
            write_result("walks", rows, args)
    done = [row for row in rows if "rate" in row]
    print_table(
        ("graph", "setting", "walks", "contender", "threads", "M steps/s", "per core-s", "peak MB",
         "extra MB", "runs"),
        [
            (row["graph"], row["setting"], row["n_walks"], row["contender"], row["threads"],
             row["rate"] / 1e6, row["rate_per_core"] / 1e6, round(row["peak_rss_mb"]),
             round(row["extra_rss_mb"]) if "extra_rss_mb" in row else None, row["repeats"])
            for row in done
        ],
    )  # fmt: skip
    full = [
        row
        for row in done
        if row["n_walks"] == 1 and (row["threads"] == args.threads or row["contender"] in SERIAL)
    ]
    bars(
        result_path("walks", args),
        full,
        group=lambda row: f"{row['graph']}: {row['setting']}",
        value=lambda row: row["rate"] / 1e6,
        label=f"million steps per second, {args.threads} threads (fastnode2vec: 1)",
    )
    print(f"written to {write_result('walks', rows, args)} and .png")


if __name__ == "__main__":
    main()
