"""The benchmark of recommenders runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def test_a_quick_run(tmp_path):
    if not FOLDER.is_dir():
        pytest.skip("the benchmarks are not part of this copy")
    code = (
        f"import sys, pathlib; sys.path.insert(0, {str(FOLDER)!r}); import common, recsys;"
        f"common.QUICK_RESULTS = pathlib.Path({str(tmp_path)!r}); recsys.main()"
    )
    models = ["Popularity", "IALS", "ContentKNN", "DeepWalkRecommender"]
    options = ["--quick", "--threads", "1", "--seeds", "2", "--models", *models]
    done = subprocess.run(
        [sys.executable, "-c", code, *options], capture_output=True, text=True, check=True
    )
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
        best = next(
            other
            for other in rows
            if (other["dataset"], other["model"]) == (row["dataset"], row["reference"])
        )
        difference = row["recall@20, seed 0"] - best["recall@20, seed 0"]
        assert row["difference, seed 0"] == pytest.approx(difference, abs=1e-12)
        assert row["low, seed 0"] <= difference + 1e-12
        assert row["high, seed 0"] >= difference - 1e-12
        assert (row["recall@20 sd"] is None) == (row["seeds"] == 1)
    assert "paired bootstrap" in done.stdout
