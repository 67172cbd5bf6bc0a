"""Peak memory and time of `fit` on a graph of 1M nodes and 10M edges.

    python benchmarks/memory.py [--nodes 1000000] [--edges 10000000] [--threads 4]

The graph is generated and saved by one process; another loads it (not memory-mapped) and fits, so
that the peak is that of loading and fitting alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import chung_lu, write_result

from graphembed import Graph, Node2Vec


def peak_bytes() -> int:
    """Highest resident set size of this process so far (getrusage's would be the parent's)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def fit(path: str, threads: int, dimensions: int) -> None:
    """Load, fit and print the figures as JSON (run in a process of its own)."""
    start = peak_bytes()
    graph = Graph.load(path, mmap=False)
    loaded = peak_bytes()
    wall, cpu = time.perf_counter(), time.process_time()
    model = Node2Vec(
        dimensions, n_walks=1, walk_length=40, window=5, random_state=0, n_jobs=threads
    )
    model.fit(graph)
    arrays = (graph.indptr, graph.indices, graph.weights, graph.node_ids)
    figures = {
        "graph_bytes": sum(a.nbytes for a in arrays if a is not None),
        "table_bytes": 2 * model.embedding_.nbytes,
        "peak_after_import": start,
        "peak_after_load": loaded,
        "peak": peak_bytes(),
        "wall_seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        **model.training_stats_,
    }
    print(json.dumps(figures))


def main() -> None:
    """Generate the graph, measure in a second process, write results/memory.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--edges", type=int, default=10_000_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fit:
        fit(args.fit, args.threads, args.dimensions)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "graph")
        graph = chung_lu(args.nodes, args.edges)
        print(graph, flush=True)
        graph.save(path)
        del graph
        options = ["--threads", str(args.threads), "--dimensions", str(args.dimensions)]
        command = [sys.executable, __file__, "--fit", str(path), *options]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    row = json.loads(output)
    extra = row["peak"] - row["graph_bytes"] - row["table_bytes"]
    for key in ("graph_bytes", "table_bytes", "peak_after_import", "peak_after_load", "peak"):
        print(f"{key:18} {row[key] / 1e6:9.1f} MB")
    print(f"{'peak - graph - tables':18} {extra / 1e6:6.1f} MB (the interpreter included)")
    rate = row["n_pairs"] / row["train_seconds"] / 1e6
    print(f"fit {row['wall_seconds']:.0f} s, {rate:.2f} M pairs/s")
    print(f"written to {write_result('memory', [{**vars(args), **row}])}")


if __name__ == "__main__":
    main()
