"""From edges to a graph: edges per second beside what people use for it.

    make bench BENCH=ingest

Integer ids as text (plain and gzipped), string ids as text, and an array of edges. The result is an
undirected graph in CSR form, parallel edges summed; the readers of data frames leave that to scipy.
"parse" is the reading of the text alone, to columns of ids and rows, and "build" what follows it.
Each process is bound to as many cores as it has threads.
"""

import argparse

from common import Job, Row, measure, options, parse, print_table, result_path, write_result
from graphs import folder_of, text_file
from plots import bars

READERS = ("polars + scipy", "pyarrow + scipy", "pandas + scipy")
# input: graph, contenders
INPUTS = {
    "text": ("cl-1m-10m", ("graphembed", *READERS, "networkx")),
    "parse": ("cl-1m-10m", ("graphembed",)),
    "build": ("cl-1m-10m", ("graphembed",)),
    "arrays": ("cl-1m-10m", ("graphembed", "scipy", "networkx")),
    "strings": ("cl-100k-1m", ("graphembed", *READERS, "networkx")),
    "gz": ("cl-100k-1m", ("graphembed", *READERS, "networkx")),
}
KINDS = {
    "text": "integers",
    "parse": "integers",
    "build": "integers",
    "strings": "strings",
    "gz": "gz",
}
SLOW_SHARE = 100_000  # lines that networkx reads


def jobs(kind: str, graph: str, contenders: tuple[str, ...], args: argparse.Namespace) -> list[Job]:
    """All contenders on all threads and, but for the slow one, on one."""
    path = text_file(graph, KINDS[kind]) if kind in KINDS else folder_of(graph) / "edges.npy"
    case = {"input": kind, "path": str(path), "share": SLOW_SHARE}
    labels = {"input": kind, "graph": graph, "megabytes": path.stat().st_size / 1e6}
    counts = dict.fromkeys((args.threads, 1))
    return [
        Job("ingest", who, case, threads, labels)
        for threads in counts
        for who in contenders
        if who != "networkx" or threads == 1 or args.threads == 1
    ]


def main() -> None:
    """Run all inputs, print a table, write results/ingest.json and .png."""
    parser = options(__doc__, budget=10.0, timeout=120.0)
    parser.add_argument("--inputs", nargs="+", choices=INPUTS, help="these inputs only")
    args = parse(parser)
    rows: list[Row] = []
    for kind, (graph, contenders) in INPUTS.items():
        if not args.inputs or kind in args.inputs:
            rows += measure(
                jobs(kind, "cl-10k-100k" if args.quick else graph, contenders, args), args
            )
            write_result("ingest", rows, args)
    done = [row for row in rows if row["runs"]]
    print_table(
        ("input", "contender", "threads", "seconds", "M edges/s", "per core-s", "peak MB", "runs"),
        [
            (row["input"], row["contender"], row["threads"], row["wall_seconds"],
             row["rate"] / 1e6, row["rate_per_core"] / 1e6, round(row["peak_rss_mb"]),
             row["repeats"])
            for row in done
        ],
    )  # fmt: skip
    bars(
        result_path("ingest", args),
        done,
        group=lambda row: f"{row['input']}, cores: {row['threads']}",
        value=lambda row: row["rate"] / 1e6,
        label="million edges per second, from edges to a graph",
    )
    print(f"written to {write_result('ingest', rows, args)} and .png")


if __name__ == "__main__":
    main()
