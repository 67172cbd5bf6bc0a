"""The benchmark of recommenders runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are not in this copy")


def python(code: str, *options: str) -> str:
    start = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import common, recsys\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code, *options], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_quick_run(tmp_path):
    code = f"import pathlib\ncommon.QUICK_RESULTS = pathlib.Path({str(tmp_path)!r})\nrecsys.main()"
    models = ["Popularity", "IALS", "ContentKNN", "DeepWalkRecommender"]
    options = ["--quick", "--threads", "1", "--seeds", "2", "--models", *models]
    out = python(code, *options)
    rows = json.loads((tmp_path / "recsys.json").read_text())["rows"]
    found = [(row["dataset"], row["model"], row["seeds"]) for row in rows]
    assert found == [
        ("synthetic", "Popularity", 1),
        ("synthetic", "IALS", 2),
        ("synthetic", "ContentKNN", 1),
        ("synthetic", "DeepWalkRecommender", 2),
        ("synthetic cold", "Popularity", 1),
        ("synthetic cold", "ContentKNN", 1),
    ]
    for row in rows:
        assert 0 <= row["recall@20"] <= 1
        assert row["low"] <= row["difference"] <= row["high"]
        assert (row["recall@20 sd"] is None) == (row["seeds"] == 1)
    assert "paired bootstrap" in out


def test_differences_are_those_of_the_first_seed():
    code = """
from types import SimpleNamespace as Some
calls = []
def compare(made, *args, **kwargs):
    seed = len(calls); calls.append(made)
    row = {"recall@20": seed, "ndcg@20": seed, "difference": seed, "low": seed, "high": seed}
    return Some(reference=f"seed {seed}", rows=[{"model": name, **row} for name in made])
recsys.compare = compare
problem = recsys.QUICK["synthetic"]()
rows = recsys.run("d", problem, ["IALS"], {}, Some(seeds=3, threads=1))
row = [r for r in rows][0]
print(row["recall@20"], row["difference"], row["low"], row["high"], row["reference"])
"""
    assert python(code).splitlines()[-1] == "1 0 0 0 seed 0"


def test_settings_are_from_the_grids_or_said_to_be_found_by_hand():
    code = """
for models in recsys.SETTINGS.values():
    for model, params in models.items():
        for name, value in params.items():
            if name != "device" and value not in recsys.GRIDS[model].get(name, ()):
                print(model, name)
"""
    by_hand = {("LightGCN", "learning_rate"), ("LightGCN", "n_epochs")}
    for model in ("DeepWalkRecommender", "Node2VecRecommender"):
        by_hand |= {(model, name) for name in ("ns_exponent", "window", "learning_rate")}
    assert {tuple(line.split()) for line in python(code).splitlines()} <= by_hand


def test_stored_differences_are_of_one_seed():
    rows = json.loads((FOLDER / "results" / "recsys.json").read_text())["rows"]
    assert all("difference" not in row for row in rows if row.get("seeds", 1) > 1)
