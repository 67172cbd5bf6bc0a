"""The benchmarks: graphs that repeat, contenders that may be missing or die, results."""

import argparse
import hashlib
import json
import subprocess
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


def test_every_model_of_ours_trains(args: argparse.Namespace, tmp_path: Path) -> None:
    from common import Job, measure
    from graphs import folder_of

    case = {
        "graph": str(folder_of("cl-1k-10k")), "p": 1.0, "q": 1.0, "n_walks": 1, "walk_length": 10,
        "window": 3, "dimensions": 8, "n_samples": 1000, "save": str(tmp_path),
    }  # fmt: skip
    names = ("graphembed", "hierarchical softmax", "LINE first", "LINE second", "LINE both")
    for row in measure([Job("embedding", name, case, 1) for name in names], args):
        assert row["status"] == "ok", row["reason"]
        vectors = np.load(row["runs"][0]["vectors"])
        assert vectors.shape == (999, 8)
        assert row["runs"][0]["n_pairs"] >= 1000


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

    def measure(timeout: float, *names: str) -> list[dict[str, Any]]:
        args.timeout = timeout
        return common.measure([common.Job("bad", name, {}, 1) for name in names], args)

    missing, dies, works = measure(30.0, "missing", "dies", "works")
    hangs, beside = measure(8.0, "hangs", "works")
    assert missing["status"] == "skipped"
    assert "a_package_that_is_not_there" in missing["reason"]
    assert dies["status"] == "failed"
    assert "SIGABRT" in dies["reason"]
    assert dies["repeats"] == 1, "the run before it died counts"
    assert hangs["status"] == "failed"
    assert "8 s" in hangs["reason"]
    assert works["status"] == "ok"
    assert works["repeats"] == 2
    assert beside["contender"] == "works", "a row of its own, whatever its neighbour does"


def test_missing_data_is_a_skipped_row(
    args: argparse.Namespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import common
    import graphs

    monkeypatch.delenv("GRAPHEMBED_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    rows: list[dict[str, Any]] = []
    with common.skipped_without_data(rows, graph="ppi"):
        graphs.folder_of("ppi")
    (row,) = rows
    assert (row["graph"], row["status"], row["runs"]) == ("ppi", "skipped", [])
    assert "ppi" in row["reason"]


def test_results_name_no_folders_of_this_machine(args: argparse.Namespace, tmp_path: Path) -> None:
    import common

    inside = [sys.prefix, str(common.ROOT), str(Path.home()), str(tmp_path)]
    rows = [{"reason": f"cannot read {folder}/thing"} for folder in inside]
    text = common.write_result("trial", rows, args).read_text()
    assert not [folder for folder in inside if f"{folder}/thing" in text]
    assert "<environment>/thing" in text


def test_only_a_whole_run_replaces_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import common

    for name in ("RESULTS", "PARTIAL_RESULTS", "QUICK_RESULTS"):
        monkeypatch.setattr(common, name, tmp_path / name)

    def folder(*options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["walks.py", *options])
        args = common.parse(common.options("", budget=1.0, timeout=1.0))
        return common.result_path("walks", args).parent.name

    assert folder() == folder("--save") == folder("--repeats", "3", "--save") == "RESULTS"
    assert folder("--only", "graphembed") == folder("--repeats", "3") == "PARTIAL_RESULTS"
    assert folder("--quick") == folder("--quick", "--save") == "QUICK_RESULTS"


def test_fitting_process_that_hangs_or_dies_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import determinism

    for script, message in (("import time; time.sleep(60)", "0.5 s"), ("exit(3)", "status 3")):
        child = determinism.Fitting.__new__(determinism.Fitting)
        child.timeout, child.buffer = (0.5 if "sleep" in script else 30.0), b""
        child.process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with pytest.raises(RuntimeError, match=message):
            child.wait_until_ready()
        child.end()


def test_what_breaks_a_promise_is_told() -> None:
    from determinism import is_bad

    same = {"status": "ok", "threads_agree": True, "differs_from_first_build": []}
    assert not is_bad(same)
    assert not is_bad({"status": "skipped", "reason": "no such compiler here"})
    assert is_bad(same | {"threads_agree": False})
    assert is_bad(same | {"differs_from_first_build": ["plain, alias, walks"]})
    assert is_bad({"status": "failed", "reason": "does not compile"})


# ----- Graph networks -----------------------------------------------------------------------------


@pytest.fixture
def citations() -> Any:
    """A graph with an isolated node, sparse features and masks."""
    import scipy.sparse as sp

    from graphembed import Graph
    from graphembed.datasets import NodeDataset

    pytest.importorskip("torch_geometric")
    rng = np.random.default_rng(0)
    n = 40
    edges = np.unique(np.sort(rng.integers(n, size=(100, 2))), axis=0)  # some are self-loops
    graph = Graph.from_any(edges.tolist(), nodes=range(n + 1))
    x = sp.random_array((n + 1, 30), density=0.1, format="csr", dtype=np.float32, rng=rng)
    masks = np.eye(3, dtype=bool)[:, np.arange(n + 1) % 3]
    y = rng.integers(3, size=n + 1)
    return NodeDataset("trial", graph, y, ("a", "b", "c"), "", x, *masks)


@pytest.mark.parametrize("name", ["gcn", "cheb", "gat", "sage"])
def test_networks_on_sparse_features_compute_what_pyg_does(citations: Any, name: str) -> None:
    """From the same weights the outputs are the same, and without dropout the training."""
    import torch
    import torch_geometric.nn
    from networks import as_written, with_our_layers
    from pyg_sparse import with_sparse_features

    def start(how: Any, *library: Any) -> Any:
        torch.manual_seed(0)
        training = how(citations, name, *library)
        training.model.eval()
        training.model.train = lambda *_: None
        return training

    pyg, fed_sparse, ours = (
        start(as_written, torch_geometric.nn), start(with_sparse_features), start(with_our_layers)
    )  # fmt: skip
    ours.model.load_state_dict(pyg.model.state_dict())
    losses = []
    for training in (pyg, fed_sparse, ours):
        losses.append([training.epoch() for _ in range(5)])
        torch.testing.assert_close(training.logits(), pyg.logits(), atol=1e-4, rtol=1e-3)
    np.testing.assert_allclose(losses[1:], [losses[0]] * 2, rtol=1e-4)
    assert losses[0][4] < losses[0][0]


def test_dropout_of_sparse_features_drops_stored_values(citations: Any) -> None:
    import torch
    from pyg_sparse import Features

    x = Features.from_scipy(citations.x)
    torch.manual_seed(0)
    dropped = x.dropout(0.5, training=True)
    assert set((dropped.values / x.values).round().tolist()) == {0.0, 2.0}
    assert x.dropout(0.5, training=False).values.equal(x.values)


def test_scores_choose_the_epochs_that_the_rules_name() -> None:
    from gnn_accuracy import Scores

    # loss, accuracy and test of each epoch; 2 and 3 are best in loss, 2 in both, 6 in accuracy
    run = [(3, 50, 1), (2, 60, 2), (1, 55, 3), (4, 10, 4), (4, 10, 5), (4, 60, 6), (9, 0, 7)]
    plain = Scores(5, None)
    assert [plain.update(*epoch) for epoch in run[:5]] == [False] * 4 + [True]
    assert plain.chosen == {"last": 5, "best_loss": 3}
    patient = Scores(2, 3)
    ends = [patient.update(*epoch) for epoch in [*run, *[run[6]] * 2]]
    assert ends == [False] * 8 + [True]
    assert patient.chosen == {"last": 2, "best_loss": 2, "patience": 2}
    assert patient.stopped == 9
    impatient = Scores(9, 2)
    assert [impatient.update(*epoch) for epoch in [*run, *[run[6]] * 2]] == [False] * 8 + [True]
    assert (impatient.stopped, impatient.chosen["patience"]) == (5, 2)


def test_epochs_are_timed_and_accuracy_is_measured(
    args: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphembed import DatasetNotFoundError

    pytest.importorskip("torch_geometric")
    import gnn_accuracy
    import gnn_epoch
    from citation import load

    try:
        load("cora")
    except DatasetNotFoundError as error:
        pytest.skip(f"needs the data: {error}")
    args.seconds = 0.0
    rows = {row["contender"]: row for row in gnn_epoch.run("gcn-cora", 1, args)}
    assert list(rows) == list(gnn_epoch.CONTENDERS)
    for row in rows.values():
        assert row["status"] == "ok", row["reason"]
        assert all(run["epochs"] == 3 and 0 < run["loss"] < 2 for run in row["runs"])
        assert min(row["ms"], row["cpu_ms"], row["of_pyg"], row["of_pyg_csr"]) > 0
    assert rows["PyG"]["of_pyg"] == rows["PyG, CSR features"]["of_pyg_csr"] == 1
    tasks = [("cora", "gcn", name, 0, 3) for name in gnn_accuracy.CONTENDERS]
    for row in gnn_accuracy.rows_of(tasks, map(gnn_accuracy.train, tasks)):
        assert row["status"] == "ok", row["reason"]
        assert 14 < row["last"] <= 100
        assert row["epochs"] == 3


def test_second_order_tells_who_reaches_the_targets(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    import second_order

    from graphembed import DatasetNotFoundError

    def trained(protocol: str, label: str, gamma: float | None = None) -> list[dict[str, Any]]:
        problem = second_order.problem_of("cora", protocol, "cpu")
        contender = second_order.CONTENDERS[protocol][label]
        return [second_order.run(problem, contender, 0, 8, gamma)]

    try:
        of_adam = trained("default", "adam 0.01")
    except DatasetNotFoundError as error:
        pytest.skip(f"needs the data: {error}")
    target = min(of_adam[0]["val_loss"])
    adam = second_order.summary(of_adam, [target])
    kfac = second_order.summary(trained("default", "kfac"), [target])
    assert kfac["best_val_loss"] < adam["best_val_loss"] == target
    assert (adam["epochs_t1"], adam["hits_t1"]) == (8, 1), "its own best is the target"
    assert kfac["epochs_t1"] < 8
    assert kfac["ms_t1"] > 0
    assert kfac["updates"] >= 1
    assert adam["updates"] is None
    complete = second_order.summary(trained("complete", "kfac"), [0.5])
    assert (complete["t1"], complete["hits_t1"], complete["epochs_t1"]) == (0.5, 0, 200)
    plain, pseudo = trained("paper", "kfac"), trained("paper", "kfac", 1.0)
    assert plain[0]["val_loss"][0] != pseudo[0]["val_loss"][-1]
    for row in (adam, kfac):
        row |= {"dataset": "cora", "protocol": "default", "contender": "any"}
    second_order.print_rows([adam, kfac])
    assert "hits t1" in capsys.readouterr().out
