"""What the benchmarks share: options, the alternating measurement, result files, tables.

Results go to benchmarks/results if a run had no options, or --save; those of other runs go to
build/bench/partial, and those of --quick to build/bench/quick.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from worker import Worker, WorkerError

from graphembed import DatasetNotFoundError

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
QUICK_RESULTS = ROOT / "build" / "bench" / "quick"
PARTIAL_RESULTS = ROOT / "build" / "bench" / "partial"
PACKAGES = ("graphembed", "numpy", "scipy")

_LONG = 10.0  # seconds of a run that is announced by itself

Row = dict[str, Any]


@dataclass
class Job:
    """One contender in one setting.

    Attributes
    ----------
    task : str
        Module of `contenders` that knows the contender.
    contender : str
        Its name there.
    case : dict
        What it gets: JSON values only.
    threads : int
        Threads (and cores, for tasks that have no such parameter) it may use.
    labels : dict
        Columns of the result that tell this job from the others.
    """

    task: str
    contender: str
    case: dict[str, Any]
    threads: int = 4
    labels: dict[str, Any] = field(default_factory=dict)


def common_options(doc: str | None) -> argparse.ArgumentParser:
    """Parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small graphs, one run: a smoke test")
    parser.add_argument(
        "--save", action="store_true",
        help="replace the file in benchmarks/results, whatever the other options leave out",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=min(4, len(os.sched_getaffinity(0))))
    return parser


def options(doc: str | None, *, budget: float, timeout: float) -> argparse.ArgumentParser:
    """Parser with the options of the benchmarks that call `measure`."""
    parser = common_options(doc)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each contender at most")
    parser.add_argument(
        "--budget", type=float, default=budget,
        help="seconds after which a contender is not run again (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=float, default=timeout,
        help="seconds after which a run, or its preparation, is ended (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these contenders only")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line; --quick means one run, and any option but --save a partial one."""
    args = parser.parse_args()
    usual = {**vars(parser.parse_args([])), "save": args.save}
    args.partial = vars(args) != usual
    if args.quick and "repeats" in args:
        args.repeats = 1
    return args


def measure(jobs: Iterable[Job], args: argparse.Namespace) -> list[Row]:
    """Run the jobs in turn, round after round, each in a process of its own; one row for each.

    First all are prepared, two side by side: the graph built, what compiles at the first call
    compiled. A job that cannot run, dies or takes too long gets a row that says so, and the others
    go on.
    """
    jobs = [job for job in jobs if not args.only or job.contender in args.only]
    rows = [_row(job) for job in jobs]
    with ExitStack() as stack:
        live: list[tuple[Worker, Row]] = []
        workers: list[Worker] = []
        for number, row in enumerate(rows):
            for job in jobs[len(workers) : number + 2]:
                worker = Worker(job.task, job.contender, job.case, job.threads)
                workers.append(stack.enter_context(worker))
            worker = workers[number]
            with _fate_in(row):
                row |= worker.prepare(args.timeout)
                live.append((worker, row))
        for number in range(args.repeats):
            for worker, row in live:
                runs = row["runs"]
                spent = sum(run["wall_seconds"] for run in runs)
                ended = row["status"] != "ok" or worker.dead
                if ended or (runs and spent + runs[-1]["wall_seconds"] > args.budget):
                    continue
                with _fate_in(row):
                    load = round(os.getloadavg()[0], 2)
                    runs.append({"load": load, **worker.run(number, args.timeout)})
                    if runs[-1]["wall_seconds"] > _LONG:
                        print(f"  {row['contender']}: {runs[-1]['wall_seconds']:.1f} s", flush=True)
    for row in rows:
        _summarise(row)
        print(_line(row), flush=True)
    return rows


@contextmanager
def skipped_without_data(rows: list[Row], **labels: Any) -> Iterator[None]:
    """Instead of failing for want of a dataset, add a row "skipped" with the reason."""
    try:
        yield
    except DatasetNotFoundError as error:
        rows.append(
            {**labels, "contender": "all", "threads": 0, "status": "skipped",
             "reason": str(error), "runs": []}
        )  # fmt: skip
        print(_line(rows[-1]), flush=True)


def _row(job: Job) -> Row:
    return {
        **job.labels,
        "contender": job.contender,
        "threads": job.threads,
        "status": "ok",
        "reason": "",
        "runs": [],
    }


class _fate_in:  # noqa: N801  # reads as a statement
    """Write into the row why a worker did not do what it was asked for."""

    def __init__(self, row: Row) -> None:
        self.row = row

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if not isinstance(error, WorkerError):
            return False
        self.row |= {"status": error.status, "reason": str(error)}
        return True


def _summarise(row: Row) -> None:
    """Medians over the runs, in place; a row with a run that failed keeps those before it."""
    runs = row["runs"]
    if not runs:
        return
    row["repeats"] = len(runs)
    for key in ("wall_seconds", "cpu_seconds"):
        row[key] = statistics.median(run[key] for run in runs)
    row["peak_rss_mb"] = max(run["peak_rss_mb"] for run in runs)
    row["load"] = max(run["load"] for run in runs)
    if "output_mb" in runs[0]:  # memory that is neither the graph, there before, nor the output
        row["extra_rss_mb"] = max(
            run["peak_rss_mb"] - run["rss_before_mb"] - run["output_mb"] for run in runs
        )
    if "epochs" in runs[0]:
        for key, seconds in (("ms", "wall_seconds"), ("cpu_ms", "cpu_seconds")):
            row[key] = statistics.median(1e3 * run[seconds] / run["epochs"] for run in runs)
    if "work" in runs[0]:
        row["rate"] = statistics.median(run["work"] / run["wall_seconds"] for run in runs)
        row["rate_per_core"] = statistics.median(
            run["work"] / max(run["cpu_seconds"], 1e-9) for run in runs
        )


def _line(row: Row) -> str:
    what = " ".join(str(v) for k, v in row.items() if k in ("graph", "setting", "input"))
    line = f"{what:30} {row['contender']:22} {row['threads']} threads  "
    if not row["runs"]:
        return f"{line}{row['status']}: {row['reason']}"
    if "ms" in row:
        line += f"{row['ms']:8.2f} ms  {row['cpu_ms']:8.2f} CPU ms per epoch"
    else:
        line += f"{row['wall_seconds']:8.3f} s  {row['cpu_seconds']:8.3f} CPU s"
    if "rate" in row:
        line += f"  {row['rate'] / 1e6:8.2f} M/s  {row['rate_per_core'] / 1e6:7.2f} per core"
    line += f"  {row['peak_rss_mb']:6.0f} MB  x{row['repeats']}"
    return line + (f"  then {row['status']}: {row['reason']}" if row["status"] != "ok" else "")


# ----- Results ------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Describe processor, cores, memory and package versions."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(pages / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: package_version(name) for name in PACKAGES},
    }


def package_version(name: str) -> str:
    """Version of an installed package, or "not installed"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def result_path(name: str, args: argparse.Namespace) -> Path:
    """Path of a result without suffix; only a whole run replaces the results that are kept."""
    if args.quick:
        folder = QUICK_RESULTS
    else:
        folder = PARTIAL_RESULTS if args.partial and not args.save else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def write_result(name: str, rows: Sequence[Row], args: argparse.Namespace, **extra: Any) -> Path:
    """Write machine, date, load, options and rows to <name>.json; folders of users are not named.

    Called after every group of jobs, so that what was measured stays if a later one dies.
    """
    path = result_path(name, args).with_suffix(".json")
    document = {
        "benchmark": name,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "options": vars(args),
        **extra,
        "rows": rows,
    }
    part = path.with_suffix(".part")
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    part.write_text(without_paths(text) + "\n", encoding="utf-8")
    part.rename(path)
    return path


def without_paths(text: str) -> str:
    """Name folders of this machine by what they are."""
    folders = {
        sys.prefix: "<environment>",
        os.environ.get("GRAPHEMBED_DATA", ""): "<data>",
        str(ROOT): "<repository>",
        str(Path.home()): "~",
        tempfile.gettempdir(): "<temporary>",
    }
    for folder in sorted(folders, key=len, reverse=True):  # the inner ones first
        if len(folder) > 1:
            text = text.replace(folder, folders[folder])
    return text


def print_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print columns, numbers to the right; nothing if there are no rows."""
    cells = [[_cell(x) for x in row] for row in rows]
    if not cells:
        return
    widths = [max(len(row[j]) for row in [list(header), *cells]) for j in range(len(header))]
    left = [all(not isinstance(x, float) for x in col) for col in zip(*cells, strict=True)]
    for row in [list(header), ["-" * w for w in widths], *cells]:
        padded = (
            c.ljust(w) if j < len(left) and left[j] and not _is_number(c) else c.rjust(w)
            for j, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(padded).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
