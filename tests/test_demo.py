"""The demo on the karate club: report, scores, neighbours, picture."""

import functools
import re

import numpy as np
import pytest

import graphembed._validation as validation
from graphembed.datasets import load_python_imports
from graphembed.demo import DATASETS, choose_params, load_dataset, run_demo


@pytest.fixture(scope="module")
def karate(tmp_path_factory):
    lines = []
    folder = tmp_path_factory.mktemp("demo") / "new"
    result = run_demo("karate", folder, n_jobs=1, echo=lines.append)
    return result, lines, folder


def test_report(karate):
    _, lines, folder = karate
    text = "\n".join(lines)
    assert re.search(
        r"34 nodes, 78 edges \(undirected, weighted\), 2 labels; loaded in [\d.]+ s", text
    )
    assert re.search(r"walk: +[\d,]+ steps in +[\d.]+ s \([\d.]+ M steps/s\)", text)
    assert re.search(r"train: +[\d,]+ pairs in +[\d.]+ s \([\d.]+ M pairs/s\)", text)
    assert re.search(r"Node2Vec +\d+\.\d % +\d+\.\d %", text)
    assert lines[-1] == f"Picture: {folder / 'karate.png'}"


def test_vectors_beat_both_baselines(karate):
    scores = {name: result.micro_mean[0] for name, result in karate[0].scores.items()}
    assert set(scores) == {"Node2Vec", "random vectors", "majority"}
    assert scores["Node2Vec"] > 0.85
    assert scores["Node2Vec"] > scores["random vectors"] + 0.2
    assert scores["Node2Vec"] > scores["majority"] + 0.2


def test_all_scores_are_of_the_same_protocol(karate):
    for result in karate[0].scores.values():
        assert (result.n_nodes, result.n_labels, result.n_splits) == (34, 2, 3)
        assert result.train_ratios.tolist() == [0.5]


def test_neighbors_of_the_two_leaders(karate):
    result, lines, _ = karate
    assert list(result.neighbors)[:2] == [0, 33]
    assert len(result.neighbors) == 4
    for node, found in result.neighbors.items():
        assert found == result.model.most_similar(node, topn=5)
        assert any(line.startswith(f"  {node}") and f"{found[0][0]} " in line for line in lines)
    labels = dict(zip(result.dataset.graph.node_ids.tolist(), result.dataset.labels, strict=True))
    for leader in (0, 33):
        assert {labels[other] for other, _ in result.neighbors[leader]} == {labels[leader]}


def test_picture(karate):
    result, _, folder = karate
    assert result.picture == folder / "karate.png"
    assert result.picture.read_bytes().startswith(b"\x89PNG")
    assert list(folder.iterdir()) == [result.picture]


def test_the_seed_decides(karate, tmp_path):
    again = run_demo("karate", tmp_path, n_jobs=2)
    np.testing.assert_array_equal(again.model.embedding_, karate[0].model.embedding_)
    assert again.picture.read_bytes() == karate[0].picture.read_bytes()
    other = run_demo("karate", tmp_path, random_state=1, n_jobs=1)
    assert not np.array_equal(other.model.embedding_, karate[0].model.embedding_)


def test_without_matplotlib_the_picture_is_left_out(tmp_path, monkeypatch):
    real = validation.importlib.import_module

    def missing(name):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name="matplotlib")
        return real(name)

    monkeypatch.setattr(validation.importlib, "import_module", missing)
    lines = []
    result = run_demo("karate", tmp_path, n_jobs=1, n_splits=1, echo=lines.append)
    assert result.picture is None
    assert list(tmp_path.iterdir()) == []
    assert re.search(r"picture is left out.*pip install 'graphembed\[plot\]'", lines[-1])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"dataset": "cora"}, "run_demo: dataset must be one of 'python-imports'.*got 'cora'"),
        ({"n_splits": 0}, "n_splits must be an int >= 1 .* got 0"),
        ({"random_state": -1}, "random_state must be"),
        ({"n_jobs": 0}, "n_jobs must be"),
    ],
)
def test_bad_arguments(tmp_path, kwargs, message):
    arguments = {"dataset": "karate", "output_folder": tmp_path} | kwargs
    with pytest.raises(ValueError, match=message):
        run_demo(**arguments)


def test_an_unknown_dataset():
    with pytest.raises(ValueError, match=r"dataset must be one of .*, got 'cora'"):
        load_dataset("cora")


def test_small_graphs_get_more_walks_per_node():
    small, large = choose_params(999), choose_params(1000)
    assert small["n_walks"] * small["epochs"] > large["n_walks"] * large["epochs"]
    assert small["n_components"] < large["n_components"]


@pytest.mark.slow
def test_python_imports(tmp_path, monkeypatch):
    # Of all packages here, torch among them, it would be ten times as large, and prove no more.
    small = functools.partial(load_python_imports, packages=["numpy"])
    monkeypatch.setattr("graphembed.datasets.load_python_imports", small)
    result = run_demo(output_folder=tmp_path, n_splits=1)
    scores = {name: score.micro_mean[0] for name, score in result.scores.items()}
    assert scores["Node2Vec"] > scores["majority"] + 0.3
    assert scores["Node2Vec"] > scores["random vectors"] + 0.3
    assert result.dataset.graph.n_nodes >= 1000  # the standard settings
    assert result.picture.exists()


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in DATASETS if n not in ("python-imports", "karate")])
def test_real_data_load(data_dir, name):
    data = load_dataset(name)
    assert data.graph.n_nodes > 1000
    assert data.labels.shape[0] == data.graph.n_nodes
