"""How time grows with threads and with the graph: walks, training, ingest; ours alone.

    make bench BENCH=scaling

Chung-Lu graphs with ten edges a node, 10k to 10M edges. Walks: one of 80 nodes from every node.
Training: one walk of 20 nodes from every node, window 5, 128 dimensions. Ingest: an array of edges.
The slope of log time over log edges is 1 where time is in proportion; caches make it larger.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import Job, Row, measure, options, parse, print_table, result_path, write_result
from graphs import CHUNG_LU, folder_of
from plots import plt, save

THREADS = (1, 2, 4)
WALKS = {"weighted": False, "walk_length": 80}
TRAINING = {"p": 1.0, "q": 1.0, "n_walks": 1, "walk_length": 20, "window": 5, "dimensions": 128}


def tasks(folder: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Contenders' module and case of everything that is scaled."""
    graph = str(folder)
    return {
        "walks, first order": ("walks", {**WALKS, "graph": graph, "p": 1.0, "q": 1.0}),
        "walks, p=0.5 q=2": ("walks", {**WALKS, "graph": graph, "p": 0.5, "q": 2.0}),
        "training": ("embedding", {**TRAINING, "graph": graph}),
        "ingest of arrays": ("ingest", {"input": "arrays", "path": f"{folder}/edges.npy"}),
    }


def run(name: str, args: argparse.Namespace) -> list[Row]:
    """All tasks on one graph, on 1, 2 and 4 threads."""
    rows: list[Row] = []
    for what, (task, case) in tasks(folder_of(name)).items():
        labels = {"setting": what, "graph": name, "edges": CHUNG_LU[name][1]}
        jobs = [
            Job(task, "graphembed", case, threads, labels)
            for threads in THREADS
            if threads <= args.threads
        ]
        rows += measure(jobs, args)
    return rows


def slopes(rows: list[Row]) -> list[tuple[str, int, float]]:
    """Least-squares slope of log seconds over log edges, for each task and number of threads."""
    result = []
    for what, threads in dict.fromkeys((row["setting"], row["threads"]) for row in rows):
        points = [
            (row["edges"], row["wall_seconds"])
            for row in rows
            if row["runs"] and (row["setting"], row["threads"]) == (what, threads)
        ]
        if len(points) > 1:
            x, y = np.log(np.array(points)).T
            result.append((what, threads, float(np.polyfit(x, y, 1)[0])))
    return result


def plot(path: Path, rows: list[Row]) -> None:
    """Left: seconds over edges. Right: speedup over threads on the largest graph."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    largest = max(row["edges"] for row in rows)
    most = max(row["threads"] for row in rows)
    for what in dict.fromkeys(row["setting"] for row in rows):
        own = [row for row in rows if row["setting"] == what]
        points = [(r["edges"], r["wall_seconds"]) for r in own if r["threads"] == most]
        if points:
            left.plot(*zip(*sorted(points), strict=True), "o-", label=what)
        times = {r["threads"]: r["wall_seconds"] for r in own if r["edges"] == largest}
        if 1 in times:
            counts = sorted(times)
            right.plot(counts, [times[1] / times[t] for t in counts], "o-", label=what)
    left.set_xscale("log")
    left.set_yscale("log")
    left.set_xlabel("edges")
    left.set_ylabel(f"seconds, {most} threads")
    left.set_title("time over the size of the graph")
    right.plot([1, most], [1, most], ":", color="#888888", label="in proportion")
    right.set_xticks(sorted({row["threads"] for row in rows}))
    right.set_xlabel("threads")
    right.set_ylabel("speedup over one thread")
    right.set_title(f"{largest:,} edges")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, frameon=False)
    save(figure, path)


def main() -> None:
    """Run all sizes, print the slopes, write results/scaling.json and .png."""
    args = parse(options(__doc__, budget=10.0, timeout=300.0))
    rows: list[Row] = []
    for name in list(CHUNG_LU)[: 2 if args.quick else None]:
        rows += run(name, args)
        write_result("scaling", rows, args)
    table = slopes(rows)
    print_table(("task", "threads", "slope of log seconds over log edges"), table)
    done = [row for row in rows if row["runs"]]
    if done:
        plot(result_path("scaling", args), done)
    found = [dict(zip(("setting", "threads", "slope"), line, strict=True)) for line in table]
    print(f"written to {write_result('scaling', rows, args, slopes=found)} and .png")


if __name__ == "__main__":
    main()
