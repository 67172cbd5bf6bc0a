"""Exact top k by inner product: queries per second beside faiss, implicit and numpy.

    make bench BENCH=top_k [ARGS="--quick"]

4,000 queries and 40,981 targets, the items of Gowalla, of 64 random components; the top 20 with and
without a mask of seen targets, the top 200, and 128 components. faiss is IndexFlatIP, numpy a
product and argpartition. Every contender's result is compared with plain products first.
"""

from common import Job, Row, measure, options, parse, print_table, write_result

SETTINGS = {
    "top 20": {},
    "top 20, masked": {"masked": True},
    "top 200": {"k": 200},
    "top 20, 128 components": {"width": 128},
}
CONTENDERS = ("graphembed", "faiss", "implicit", "numpy")
UNMASKED = ("faiss",)


def jobs(setting: str, n_queries: int, n_targets: int) -> list[Job]:
    """All contenders on 1 and 2 threads."""
    case = {
        "n_queries": n_queries, "n_targets": n_targets, "width": 64, "k": 20, "masked": False,
        **SETTINGS[setting],
    }  # fmt: skip
    return [
        Job("top_k", name, case, threads, {"setting": setting})
        for threads in (1, 2)
        for name in CONTENDERS
        if not (case["masked"] and name in UNMASKED)
    ]


def main() -> None:
    """Run all settings, print a table, write results/top_k.json."""
    args = parse(options(__doc__, budget=6.0, timeout=120.0))
    sizes = (200, 2_000) if args.quick else (4_000, 40_981)
    rows: list[Row] = []
    for setting in SETTINGS:
        rows += measure(jobs(setting, *sizes), args)
        path = write_result("top_k", rows, args)
    print_table(
        ("setting", "contender", "threads", "queries/s", "per core", "load"),
        [
            (row["setting"], row["contender"], row["threads"], round(row["rate"]),
             round(row["rate_per_core"]), row["load"])
            for row in rows
            if row["runs"]
        ],
    )  # fmt: skip
    print(f"written to {path}")


if __name__ == "__main__":
    main()
