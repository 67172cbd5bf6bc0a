"""The benchmarks: graphs that repeat, contenders that may be missing or die, results."""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"

DIGESTS = {
    "chung_lu": "780cd0f7fcdb0d9b",
    "random_neighbours": "9650b518d44a3616",
    "rmat": "3ace638fde85dd04",
    "star": "abfe33c2716a0bc9",
    "weights": "cac42f5d8d2ec5a5",
}


@pytest.fixture(scope="module", autouse=True)
def _benchmarks_importable():
    if not FOLDER.is_dir():
        pytest.skip("the benchmarks are not part of this copy")
    pytest.importorskip("matplotlib")
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def args(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    import common
    import graphs

    monkeypatch.setattr(graphs, "CACHE", tmp_path / "graphs")
    monkeypatch.setattr(common, "QUICK_RESULTS", tmp_path)
    return argparse.Namespace(quick=True, repeats=2, budget=60.0, timeout=60.0, only=None)


def digest(*arrays: np.ndarray) -> str:
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array))
    return total.hexdigest()[:16]


def walk_case(graph: str) -> dict[str, Any]:
    from graphs import folder_of

    return {
        "graph": str(folder_of(graph)), "weighted": False, "p": 1.0, "q": 1.0, "walk_length": 10,
    }  # fmt: skip


def test_generators_repeat() -> None:
    import graphs

    made = {
        "chung_lu": digest(graphs.chung_lu(1_000, 5_000)),
        "rmat": digest(graphs.rmat(8)),
        "star": digest(graphs.star(100)),
        "random_neighbours": digest(*graphs.random_neighbours(1_000, 10)),
        "weights": digest(graphs.symmetric_weights(*graphs.random_neighbours(1_000, 10))),
    }
    assert made == DIGESTS


def test_generated_edges() -> None:
    import graphs

    edges = graphs.chung_lu(1_000, 5_000)
    assert edges.shape == (5_000, 2)
    assert (edges[:, 0] < edges[:, 1]).all()
    assert len(np.unique(edges, axis=0)) == 5_000
    skewed = np.sort(np.bincount(graphs.rmat(10).ravel()))
    assert skewed[-10:].mean() > 10 * np.median(skewed)
    indptr, indices = graphs.random_neighbours(1_000, 10)
    rows = indices.reshape(-1, 10)
    assert len(indptr) == 1_001
    assert (np.diff(rows, axis=1) > 0).all()
    assert rows.min() >= 0
    assert rows.max() < 1_000


def test_weights_are_symmetric(args: argparse.Namespace) -> None:
    import graphs
    import scipy.sparse as sp

    arrays = graphs.load_arrays(graphs.folder_of("cl-1k-10k"), weighted=True)
    matrix = sp.csr_array((arrays.weights, arrays.indices, arrays.indptr))
    assert abs(matrix - matrix.T).max() == 0


def test_result_has_machine_rows_and_medians(args: argparse.Namespace) -> None:
    from common import Job, measure, write_result

    jobs = [Job("walks", "graphembed", walk_case("cl-1k-10k"), 2, {"graph": "cl-1k-10k"})]
    path = write_result("trial", measure(jobs, args), args)
    document = json.loads(path.read_text())
    assert set(document) >= {"benchmark", "date", "machine", "load_average", "options", "rows"}
    assert set(document["machine"]) >= {"processor", "cores", "python", "graphembed", "numpy"}
    (row,) = document["rows"]
    assert row["status"] == "ok"
    assert row["repeats"] == len(row["runs"]) == 2
    assert row["runs"][0]["work"] == 999 * 9, "one node has no edge"
    assert min(row[key] for key in ("wall_seconds", "cpu_seconds", "rate", "peak_rss_mb")) > 0
    assert row["wall_seconds"] == np.median([run["wall_seconds"] for run in row["runs"]])


BAD = """
import os, time
from contenders import Contender

def missing(case, threads):
    import a_package_that_is_not_there

def dies(case, threads):
    print("noise on standard output")
    return lambda number: os.abort() if number else 1

def hangs(case, threads):
    return lambda number: time.sleep(600)

def works(case, threads):
    return lambda number: 5

def prepare(contender, case, threads):
    return contender.start(case, threads)

def finish(result, case):
    return {"work": result}

CONTENDERS = {f.__name__: Contender(f, ("numpy",)) for f in (missing, dies, hangs, works)}
"""


def test_missing_dying_and_hanging_peers_leave_rows(
    args: argparse.Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import common

    # The package `contenders` is looked for where the benchmarks are, and in this folder.
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys; sys.path.append({str(FOLDER)!r})\n"
        f"import contenders; contenders.__path__.append({str(tmp_path)!r})\n"
    )
    (tmp_path / "bad.py").write_text(BAD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    args.timeout = 5.0
    names = ("missing", "dies", "hangs", "works")
    rows = common.measure([common.Job("bad", name, {}, 1) for name in names], args)
    missing, dies, hangs, works = rows
    assert missing["status"] == "skipped"
    assert "a_package_that_is_not_there" in missing["reason"]
    assert dies["status"] == "failed"
    assert "SIGABRT" in dies["reason"]
    assert dies["repeats"] == 1, "the run before it died counts"
    assert hangs["status"] == "failed"
    assert "5 s" in hangs["reason"]
    assert works["status"] == "ok"
    assert works["repeats"] == 2
