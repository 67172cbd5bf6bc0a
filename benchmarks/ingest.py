"""From edges to a graph: edges per second beside what people use for it.

    make bench BENCH=ingest

Integer ids as text (plain and gzipped), string ids as text, and an array of edges. The result is an
undirected graph in CSR form, parallel edges summed; the readers of data frames leave that to scipy.
Each process is bound to as many cores as it has threads.
"""

import argparse
import statistics

from common import Job, Row, measure, options, parse, print_table, result_path, write_result
from graphs import folder_of, text_file
from plots import bars

READERS = ("polars + scipy", "pyarrow + scipy", "pandas + scipy")
# input: graph, contenders
INPUTS = {
    "text": ("cl-1m-10m", ("graphembed", *READERS, "networkx")),
    "arrays": ("cl-1m-10m", ("graphembed", "scipy", "networkx")),
    "strings": ("cl-100k-1m", ("graphembed", *READERS, "networkx")),
    "gz": ("cl-100k-1m", ("graphembed", *READERS, "networkx")),
}
KINDS = {"text": "integers", "strings": "strings", "gz": "gz"}
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


def print_parse(rows: list[Row]) -> None:
    """Parsing alone, ours: text less array, in CPU seconds."""
    ours = [row for row in rows if row["contender"] == "graphembed" and row["runs"]]
    for threads in sorted({row["threads"] for row in ours}):
        cpu = {row["input"]: row["cpu_seconds"] for row in ours if row["threads"] == threads}
        work = [row["runs"][0]["work"] for row in ours if row["input"] == "text"]
        if "text" in cpu and "arrays" in cpu and cpu["text"] > cpu["arrays"]:
            rate = statistics.median(work) / (cpu["text"] - cpu["arrays"]) / 1e6
            print(f"parse of text, as text less arrays, {threads} threads: {rate:.1f} M/core-s")


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
    print_parse(rows)
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
