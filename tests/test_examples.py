"""The examples run, and learn."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, *args):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, args)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # small graphs: threads only wait for each other
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.data
@pytest.mark.parametrize("name", ["train_gcn.py", "train_cheb.py", "train_gat.py", "train_sage.py"])
@pytest.mark.parametrize("dataset", ["cora", "citeseer"])
def test_training_scripts(name, dataset):
    epochs = 6 if name == "train_sage.py" else 30
    lines = run(name, "--dataset", dataset, "--epochs", epochs, "--seed", 1).splitlines()
    validation, test = (float(text) for text in re.findall(r"([\d.]+)%", lines[-1]))
    assert min(validation, test) > 60
    assert str(epochs) in lines[-1]


@pytest.mark.data
def test_node_classifier(tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("safetensors")
    out = run("node_classifier.py", "--epochs", 40, "--output", tmp_path)
    assert float(re.search(r"test accuracy ([\d.]+)%", out)[1]) > 70
    pictures = ["confusion.png", "hidden.png", "learning_curve.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [*pictures, "model.safetensors"]
    for picture in pictures:
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", [path.name for path in sorted(EXAMPLES.glob("*.py"))])
def test_help(name):
    assert "--help" in run(name, "--help")
