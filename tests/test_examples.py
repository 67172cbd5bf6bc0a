"""The examples run, and learn."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

EXAMPLES = Path(__file__).parents[1] / "examples"
# Several runs in one process: to import torch takes longer than to train on a small graph.
RUNNER = """
import json, runpy, sys
script, *runs = sys.argv[1:]
for arguments in map(json.loads, runs):
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
    print("-- end of a run")
"""


def run(name, *runs):
    """Output of an example for each list of arguments."""
    texts = [json.dumps([str(argument) for argument in arguments]) for arguments in runs]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER, str(EXAMPLES / name), *texts],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # small graphs: threads only wait for each other
    )
    assert done.returncode == 0, done.stderr
    outputs = done.stdout.split("-- end of a run\n")[:-1]
    assert len(outputs) == len(runs)
    return outputs


@pytest.mark.data
@pytest.mark.parametrize("name", ["train_gcn.py", "train_cheb.py", "train_gat.py", "train_sage.py"])
def test_training_scripts(name):
    epochs = 6 if name == "train_sage.py" else 30
    options = ["--epochs", epochs, "--seed", 1]
    for output in run(name, *(["--dataset", data, *options] for data in ("cora", "citeseer"))):
        last = output.splitlines()[-1]
        validation, test = (float(text) for text in re.findall(r"([\d.]+)%", last))
        assert min(validation, test) > 60
        assert str(epochs) in last


@pytest.mark.data
def test_node_classifier(tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("safetensors")
    (out,) = run("node_classifier.py", ["--epochs", 40, "--output", tmp_path])
    assert float(re.search(r"test accuracy ([\d.]+)%", out)[1]) > 70
    pictures = ["confusion.png", "hidden.png", "learning_curve.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [*pictures, "model.safetensors"]
    for picture in pictures:
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.data
def test_second_order(tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "curves.png"
    options = ["--epochs", 12, "--seeds", 2, "--output", picture]
    (out,) = run("second_order.py", options)
    losses = [float(loss) for loss in re.findall(r"best validation loss ([\d.]+),", out)]
    slow, _, second = losses
    assert second < slow - 0.3  # of 1.9 at the start: Adam with lr 0.01 takes 200 epochs
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_recsys_movielens_takes_a_folder(tmp_path):
    read = runpy.run_path(str(EXAMPLES / "recsys_movielens.py"))["read"]
    with pytest.raises(SystemExit, match=r"holds none of \*\.inter, u\.data"):
        read(tmp_path)
    (tmp_path / "u.data").write_text("1\t2\t5\t10\n")
    (tmp_path / "u.user").write_text("1|24|M\n")
    assert read(tmp_path) == read(tmp_path / "u.data")


@pytest.mark.parametrize("name", [path.name for path in sorted(EXAMPLES.glob("*.py"))])
def test_help(name, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert end.value.code == 0
    assert "--help" in capsys.readouterr().out
