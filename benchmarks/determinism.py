"""The same seed gives the same bits; and how long Ctrl-C waits.

    make bench BENCH=determinism

Digests of walks and vectors for 1, 2, 3 and 4 threads, several PYTHONHASHSEEDs, builds with and
without OpenMP, and every C compiler that is here (gcc, clang). Then `fit` is interrupted at random
moments by SIGINT, on several graphs. The exit status is 1 if bits differ, a build fails or a fit is
not interrupted as it should be.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import Row, common_options, parse, print_table, result_path, write_result
from graphs import folder_of

ROOT = Path(__file__).parents[1]
COPIED = ("graphembed", "setup.py", "pyproject.toml", "README.md", "LICENSE")
THREADS = (1, 2, 3, 4)
# Environment variables of a build, by its name; the compiler must be there.
BUILDS = {
    "gcc": {"CC": "gcc"},
    "gcc, no OpenMP": {"CC": "gcc", "GRAPHEMBED_NO_OPENMP": "1"},
    "clang": {"CC": "clang"},
    "clang, no OpenMP": {"CC": "clang", "GRAPHEMBED_NO_OPENMP": "1"},
}
HASH_SEEDS = ("0", "1", "random")
LONGEST_WAIT = 8.0  # seconds into a fit at most, so that the large graph takes no hours
GOALS = (0.2, 1.0)  # seconds: median, worst
# What fit is interrupted in: graph, weighted, options of Node2Vec.
FITS: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "100k nodes, first order": ("cl-100k-1m", False, {"n_walks": 2, "walk_length": 20}),
    "100k nodes, weighted, p=0.5 q=2": (
        "cl-100k-1m", True, {"n_walks": 2, "walk_length": 20, "p": 0.5, "q": 2.0}
    ),
    "10k nodes, alias tables": (
        "cl-10k-100k", True,
        {"p": 0.25, "q": 4.0, "strategy": "alias", "memory_budget": 2**31},
    ),
    "10k nodes, window 100": ("cl-10k-100k", False, {"walk_length": 400, "window": 100}),
    "1M nodes": ("cl-1m-10m", False, {"n_walks": 1, "walk_length": 20, "window": 5}),
}  # fmt: skip


# ----- In a child ---------------------------------------------------------------------------------


def digests() -> None:
    """Print the digests of one process, and which build it is, as JSON."""
    import numpy as np
    from graphs import chung_lu

    import graphembed
    from graphembed._kernels._build import HAS_OPENMP

    edges = chung_lu(2_000, 20_000)
    weights = 1.0 + (edges.sum(axis=1) % 7)
    names = [(f"user{a}", f"user{b}") for a, b in edges[:4_000].tolist()]
    graphs = {
        "plain": graphembed.Graph.from_edges(edges),
        "weighted": graphembed.Graph.from_edges(np.column_stack([edges, weights])),
        "named": graphembed.Graph.from_edges(names),
    }
    laws: dict[str, dict[str, Any]] = {
        "first order": {},
        "rejection": {"p": 0.5, "q": 2.0, "strategy": "rejection"},
        "alias": {"p": 4.0, "q": 0.25, "strategy": "alias", "memory_budget": 2**30},
    }
    result: dict[str, dict[str, str]] = {}
    for kind, graph in graphs.items():
        for law, arguments in laws.items():
            for n in THREADS:
                common = {**arguments, "random_state": 7, "n_jobs": n, "n_walks": 2}
                walks = graphembed.sample_walks(graph, walk_length=40, **common)
                model = graphembed.Node2Vec(32, walk_length=20, window=5, **common).fit(graph)
                for what, array in (("walks", walks), ("vectors", model.embedding_)):
                    digest = hashlib.sha256(np.ascontiguousarray(array)).hexdigest()
                    result.setdefault(f"{kind}, {law}, {what}", {})[str(n)] = digest
    print(json.dumps({"openmp": HAS_OPENMP, "file": graphembed.__file__, "digests": result}))


def fit_until_interrupted(name: str) -> None:
    """Fit whenever asked to; say when it begins, ends, and hears of an interrupt."""
    import numpy as np
    from graphs import load_arrays

    from graphembed import Node2Vec

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" lets it be ignored
    graph_name, weighted, arguments = FITS[name]
    folder = folder_of(graph_name)
    edges: Any = np.load(folder / "edges.npy")
    if weighted:
        arrays = load_arrays(folder, weighted=True)
        edges = np.column_stack([arrays.sources(), arrays.indices, arrays.weights])
    model = Node2Vec(**arguments, random_state=0, n_jobs=int(sys.argv[3]))
    model.fit([(0, 1)])
    say = sys.stdout.write
    while True:
        try:
            say("ready\n")
            sys.stdout.flush()
            if not sys.stdin.readline():
                return
            say("begin\n")
            sys.stdout.flush()
            model.fit(edges)
            say("done\n")
            sys.stdout.flush()
        except KeyboardInterrupt:
            say(f"interrupted {time.monotonic()}\n")
            sys.stdout.flush()


# ----- Digests ------------------------------------------------------------------------------------


@contextlib.contextmanager
def build(name: str) -> Iterator[Path]:
    """A copy of the sources in a temporary folder, built in place."""
    with tempfile.TemporaryDirectory() as folder:
        ignored = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
        for part in COPIED:
            source, target = ROOT / part, Path(folder, part)
            if source.is_dir():
                shutil.copytree(source, target, ignore=ignored)
            else:
                shutil.copy(source, target)
        subprocess.run(
            [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
            cwd=folder, env=os.environ | BUILDS[name], check=True, capture_output=True,
        )  # fmt: skip
        yield Path(folder)


def run_digests(folder: Path, hash_seed: str) -> dict[str, Any]:
    """Digests of the build in `folder`."""
    path = os.pathsep.join([str(folder), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, __file__, "--digests"],
        cwd=folder, check=True, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": hash_seed},
    )  # fmt: skip
    result: dict[str, Any] = json.loads(done.stdout)
    if not result["file"].startswith(str(folder)):
        raise RuntimeError(f"{result['file']} was measured, not the build in {folder}")
    return result


def compare_builds(args: argparse.Namespace) -> list[Row]:
    """One row for each build and hash seed; the first one is what the others must equal."""
    rows: list[Row] = []
    reference: dict[str, str] | None = None
    for name, variables in BUILDS.items():
        if not shutil.which(variables["CC"]):
            rows.append({"build": name, "status": "skipped", "reason": "no such compiler here"})
            continue
        try:
            with build(name) as folder:
                for hash_seed in HASH_SEEDS[: 1 if args.quick else None]:
                    result = run_digests(folder, hash_seed)
                    one = {what: d["1"] for what, d in result["digests"].items()}
                    reference = reference or one
                    rows.append(
                        {
                            "build": name,
                            "openmp": result["openmp"],
                            "hash_seed": hash_seed,
                            "status": "ok",
                            "threads_agree": all(
                                len(set(d.values())) == 1 for d in result["digests"].values()
                            ),
                            "differs_from_first_build": [
                                what for what in one if one[what] != reference[what]
                            ],
                            "digests": result["digests"],
                        }
                    )
        except subprocess.CalledProcessError as error:
            stderr = error.stderr if isinstance(error.stderr, str) else error.stderr.decode()
            rows.append({"build": name, "status": "failed", "reason": stderr.strip()[-300:]})
    return rows


# ----- Ctrl-C -------------------------------------------------------------------------------------


class Fitting:
    """A child that fits when asked to."""

    def __init__(self, name: str, threads: int, timeout: float) -> None:
        self.timeout = timeout
        self.buffer = b""
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--fit", name, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def wait_until_ready(self) -> None:
        """Let it load the graph."""
        self._expect("ready")

    def _said_something(self, seconds: float) -> bool:
        """Whether there is something to read, after at most so many seconds."""
        return b"\n" in self.buffer or bool(
            select.select([self.process.stdout], [], [], max(0.0, seconds))[0]
        )

    def _line(self) -> str:
        """Read the next line; a child that has died or says nothing in time is an error."""
        end = time.monotonic() + self.timeout
        while b"\n" not in self.buffer:
            if not self._said_something(end - time.monotonic()):
                raise RuntimeError(f"the fitting process has said nothing for {self.timeout:g} s")
            part = os.read(self.process.stdout.fileno(), 1 << 12)
            if not part:
                raise RuntimeError(f"the fitting process has ended, status {self.process.wait()}")
            self.buffer += part
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode().strip()

    def _expect(self, word: str) -> None:
        line = self._line()
        if line != word:
            raise RuntimeError(f"the fitting process says {line!r}, not {word!r}")

    def begin(self) -> None:
        """Let it begin to fit."""
        self.process.stdin.write(b"fit\n")
        self.process.stdin.flush()
        self._expect("begin")

    def seconds_of_a_fit(self) -> float:
        """Wall seconds of a fit that is left alone, or LONGEST_WAIT if it takes longer."""
        begin = time.monotonic()
        self.begin()
        word, _ = self.interrupt(begin + LONGEST_WAIT)
        return min(LONGEST_WAIT, time.monotonic() - begin) if word == "done" else LONGEST_WAIT

    def interrupt(self, moment: float) -> tuple[str, float]:
        """Send SIGINT at a moment, unless the fit has ended: ("interrupted", seconds it took)."""
        sent = None
        if not self._said_something(moment - time.monotonic()):
            sent = time.monotonic()
            self.process.send_signal(signal.SIGINT)
        word, *rest = self._line().split()
        if word == "done" and sent is not None:  # it ended as the signal came
            while not self._line().startswith("interrupted"):
                pass
        self._expect("ready")
        return word, float(rest[0]) - sent if word == "interrupted" and sent else 0.0

    def end(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):  # what it has not read
            self.process.stdin.close()
        self.process.stdout.close()


def interrupt_fits(name: str, count: int, args: argparse.Namespace) -> Row:
    """Interrupt `count` fits at moments drawn evenly from its length."""
    folder_of(FITS[name][0])  # made here, not by the child
    row: Row = {"fit": name, "threads": args.threads, "delays": [], "status": "ok", "reason": ""}
    child = Fitting(name, args.threads, args.timeout)
    rng = random.Random(0)  # noqa: S311  # moments, no secrets
    delays = row["delays"]
    try:
        child.wait_until_ready()
        longest = row["fit_seconds"] = child.seconds_of_a_fit()
        for _ in range(3 * count):  # a fit may end before its moment
            if len(delays) == count:
                break
            child.begin()
            word, delay = child.interrupt(time.monotonic() + longest * rng.random())
            if word == "interrupted":
                delays.append(delay)
        if count and not delays:
            row |= {"status": "failed", "reason": "every fit ended before it was interrupted"}
    except (RuntimeError, BrokenPipeError) as error:
        row |= {"status": "failed", "reason": str(error)}
        print(f"{name}: {error}")
    finally:
        child.end()
    if delays:
        row |= {"median": statistics.median(delays), "worst": max(delays)}
    return row


def plot(path: Path, rows: list[Row]) -> None:
    """Every delay, one line for each fit."""
    from plots import plain_numbers, plt, save

    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.5 * len(rows)), layout="constrained")
    for y, row in enumerate(rows):
        axes.plot([1e3 * d for d in row["delays"]], [y] * len(row["delays"]), "|", ms=14, mew=1.5)
        if "median" in row:
            axes.plot(1e3 * row["median"], y, "k.")
    axes.set_yticks(range(len(rows)), [row["fit"] for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log")
    plain_numbers(axes.xaxis)
    for goal, label in zip(GOALS, ("median at most", "worst at most"), strict=True):
        axes.axvline(1e3 * goal, color="#888888", linestyle=":")
        axes.annotate(
            label, (1e3 * goal, 1), xycoords=("data", "axes fraction"), fontsize=7,
            ha="right", rotation=90, va="top",
        )  # fmt: skip
    axes.set_xlabel("milliseconds from SIGINT to KeyboardInterrupt; the dot is the median")
    axes.grid(axis="x", alpha=0.3)
    save(figure, path)


def is_bad(row: Row) -> bool:
    """Whether a row of a build or of an interrupted fit breaks a promise."""
    return (
        row["status"] == "failed"
        or not row.get("threads_agree", True)
        or bool(row.get("differs_from_first_build"))
    )


def main() -> None:
    """Compare the builds, interrupt fits, print tables, write results/determinism.json and .png."""
    parser = common_options(__doc__)
    parser.add_argument(
        "--timeout", type=float, default=120.0,
        help="seconds after which a fitting process that says nothing has failed",
    )  # fmt: skip
    parser.add_argument("--interrupts", type=int, default=20, help="per graph (default: 20)")
    parser.add_argument("--fits", nargs="+", choices=FITS, help="interrupt these only")
    parser.add_argument("--no-builds", action="store_true", help="interrupts only")
    args = parse(parser)
    rows = [] if args.no_builds else compare_builds(args)
    print_table(
        ("build", "OpenMP", "PYTHONHASHSEED", "threads 1, 2, 3, 4", "all builds"),
        [
            (row["build"], row["openmp"], row["hash_seed"],
             "same bits" if row["threads_agree"] else "DIFFER",
             ", ".join(row["differs_from_first_build"]) or "same bits")
            if row["status"] == "ok"
            else (row["build"], "", "", row["status"], row["reason"])
            for row in rows
        ],
    )  # fmt: skip
    fits: list[Row] = []
    for name in args.fits or (list(FITS)[2:3] if args.quick else FITS):
        fits.append(interrupt_fits(name, 3 if args.quick else args.interrupts, args))
        write_result("determinism", rows, args, interrupts=fits)
    print_table(
        ("Ctrl-C during fit", "interrupts", "median ms", "worst ms"),
        [
            (row["fit"], len(row["delays"]), 1e3 * row.get("median", 0), 1e3 * row.get("worst", 0))
            for row in fits
        ],
    )
    if fits:
        plot(result_path("determinism", args), fits)
    print(f"written to {write_result('determinism', rows, args, interrupts=fits)} and .png")
    if any(is_bad(row) for row in [*rows, *fits]):
        sys.exit("determinism.py: a promise is broken or a measurement has failed, see above")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--digests"]:
        digests()
    elif sys.argv[1:2] == ["--fit"]:
        fit_until_interrupted(sys.argv[2])
    else:
        main()
