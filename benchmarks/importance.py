"""Importance neighbourhoods: items per second on a user-item graph, and the share of exact ones.

    make bench BENCH=importance [ARGS="--quick"]

A graph of Gowalla's size (29,858 users, 40,981 items, 810,128 interactions, power laws); for every
item the 50 most visited ones, or the 3 of DGL's default. Building the graph is not in the times.
"""

import statistics

from common import Job, Row, measure, options, parse, print_table, write_result

SETTINGS = {
    "10 walks, top 3": {"n_walks": 10, "top": 3},
    "200 walks, top 50": {"n_walks": 200},
    "1000 walks, top 50": {"n_walks": 1000},
    "exact, top 50": {"exact": True},
}
CONTENDERS = ("graphembed", "dgl", "numpy")
PARALLEL = ("graphembed",)


def jobs(setting: str, sizes: tuple[int, int, int]) -> list[Job]:
    """All contenders on 1 thread, ours on 2."""
    case = {
        "n_users": sizes[0], "n_items": sizes[1], "n_interactions": sizes[2], "n_walks": 1000,
        "top": 50, "exact": False, **SETTINGS[setting],
    }  # fmt: skip
    return [
        Job("importance", name, case, threads, {"setting": setting})
        for threads in (1, 2)
        for name in (PARALLEL if threads > 1 or case["exact"] else CONTENDERS)
    ]


def main() -> None:
    """Run all settings, print a table, write results/importance.json."""
    args = parse(options(__doc__, budget=12.0, timeout=200.0))
    sizes = (500, 800, 8_000) if args.quick else (29_858, 40_981, 810_128)
    rows: list[Row] = []
    for setting in SETTINGS:
        rows += measure(jobs(setting, sizes), args)
        path = write_result("importance", rows, args)
    print_table(
        ("setting", "contender", "threads", "seeds/s", "per core", "CPU s", "overlap", "load"),
        [
            (row["setting"], row["contender"], row["threads"], round(row["rate"]),
             round(row["rate_per_core"]), row["cpu_seconds"],
             statistics.median(run["overlap"] for run in row["runs"]), row["load"])
            for row in rows
            if row["runs"]
        ],
    )  # fmt: skip
    print(f"written to {path}")


if __name__ == "__main__":
    main()
