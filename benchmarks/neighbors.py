"""Sampled neighbourhoods: milliseconds per batch beside every peer, and where training spends them.

    make bench BENCH=neighbors [ARGS="--quick"]

Batches of 1024 seeds, fan-outs 15 and 10, on a graph of a million nodes and ten million edges with
a heavy tail: each edge in one direction, or in both. Blocks with numbered nodes are in the times,
building the graph is not. The last table trains GraphSAGE with 64 hidden channels on 100 random
features: sampling, gathering and training one after the other, and with batches made ahead. PyG's
own loader needs pyg-lib or torch-sparse; peers that are not installed are skipped.
"""

import statistics

from common import Job, Row, measure, options, parse, print_table, write_result
from graphs import folder_of

SETTINGS = {
    "directed": {"directed": True},
    "directed, replaced": {"directed": True, "replace": True},
    "directed, by weight": {"directed": True, "weighted": True},
    "undirected": {},
    "undirected, by weight": {"weighted": True},
}
PEERS = ("dgl", "torch_sparse", "pyg", "numpy")
SERIAL = ("torch_sparse", "pyg", "numpy")
FANOUTS, BATCH_SIZE, N_BATCHES, CHANNELS = [15, 10], 1024, 20, 100


def jobs(graph: str, setting: str, batch_size: int) -> list[Job]:
    """Ours on 1 and 2 threads, the peers likewise if they can."""
    case = {
        "graph": str(folder_of(graph)), "directed": False, "weighted": False, "replace": False,
        "fanouts": FANOUTS, "batch_size": batch_size, "n_batches": N_BATCHES, "channels": CHANNELS,
        **SETTINGS[setting],
    }  # fmt: skip
    labels = {"graph": graph, "setting": setting}
    result = []
    for threads in (1, 2):
        names = ["graphembed"]
        if not case["weighted"]:
            names += [peer for peer in PEERS if threads == 1 or peer not in SERIAL]
        if setting == "directed":
            names.append("training")
        result += [Job("neighbors", name, case, threads, labels) for name in names]
    return result


def main() -> None:
    """Run all settings, print two tables, write results/neighbors.json."""
    args = parse(options(__doc__, budget=5.0, timeout=120.0))
    graph, batch_size = ("cl-10k-100k", 64) if args.quick else ("cl-1m-10m", BATCH_SIZE)
    rows: list[Row] = []
    for setting in SETTINGS:
        rows += measure(jobs(graph, setting, batch_size), args)
        path = write_result("neighbors", rows, args)
    print_tables([row for row in rows if row["runs"]])
    print(f"written to {path}")


def print_tables(rows: list[Row]) -> None:
    """Sampling alone; then training with its parts."""
    print_table(
        ("setting", "contender", "threads", "ms per batch", "CPU ms", "edges", "load"),
        [
            (row["setting"], row["contender"], row["threads"], _ms(row, "wall_seconds"),
             _ms(row, "cpu_seconds"), _median(row, "work", 1), row["load"])
            for row in rows
            if row["contender"] != "training"
        ],
    )  # fmt: skip
    print_table(
        ("threads", "sampling ms", "gathering", "training", "together", "made ahead", "load"),
        [
            (row["threads"], *(phases := _phases(row)), sum(phases), _ms(row, "wall_seconds"),
             row["load"])
            for row in rows
            if row["contender"] == "training"
        ],
    )  # fmt: skip


def _median(row: Row, key: str, unit: float) -> float:
    return statistics.median(unit * run[key] / run["batches"] for run in row["runs"])


def _ms(row: Row, key: str) -> float:
    return _median(row, key, 1e3)


def _phases(row: Row) -> list[float]:
    """Milliseconds per batch of every part."""
    names = row["runs"][0]["phases"]
    return [
        statistics.median(1e3 * run["phases"][name] / run["batches"] for run in row["runs"])
        for name in names
    ]


if __name__ == "__main__":
    main()
