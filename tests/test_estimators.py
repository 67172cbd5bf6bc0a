"""DeepWalk and Node2Vec: the common contract, and what is their own."""

import concurrent.futures
import functools
import inspect
import logging
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from estimator_checks import ALL_CHECKS, RING, random_graph
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from graphembed import LINE, DeepWalk, FileFormatError, Graph, Node2Vec, sample_walks

SMALL = {"n_components": 8, "walk_length": 10, "n_walks": 2, "window": 3}
ESTIMATORS = {
    "node2vec": functools.partial(Node2Vec, p=0.5, q=2.0, **SMALL),
    "node2vec-rejection": functools.partial(Node2Vec, p=4.0, q=0.5, strategy="rejection", **SMALL),
    "deepwalk": functools.partial(DeepWalk, **SMALL),
    "line": functools.partial(LINE, 8, order="second", n_samples=20_000),
}


@pytest.mark.parametrize("check", ALL_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_contract(name, check, tmp_path):
    def make(random_state=0, **params):
        return ESTIMATORS[name](random_state=random_state, **params)

    arguments = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(check).parameters else {}
    check(make, **arguments)


def planted_partition(n_blocks=4, size=40, inside=0.3, outside=0.01, seed=0):
    rng = np.random.default_rng(seed)
    block = np.repeat(np.arange(n_blocks), size)
    chance = np.where(block[:, None] == block, inside, outside)
    adjacency = np.triu(rng.random(chance.shape) < chance, 1).astype(float)
    return adjacency + adjacency.T, block


def test_communities_are_found():
    adjacency, block = planted_partition()
    for model in (
        Node2Vec(16, p=0.5, q=2.0, random_state=0, epochs=2),
        DeepWalk(16, random_state=0, epochs=2),
    ):
        vectors = model.fit_transform(adjacency)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = unit @ unit.T
        same = block[:, None] == block
        np.fill_diagonal(same, False)
        assert cosines[same].mean() > cosines[block[:, None] != block].mean() + 0.3


def test_pipeline_predicts_labels():
    adjacency, block = planted_partition()
    pipeline = make_pipeline(Node2Vec(16, random_state=0, epochs=2), LogisticRegression())
    pipeline.fit(adjacency, block)
    assert pipeline.score(adjacency, block) > 0.9
    pandas = pytest.importorskip("pandas")
    frame = pipeline[:1].set_output(transform="pandas").fit_transform(adjacency)
    assert isinstance(frame, pandas.DataFrame)


def test_p_and_q_are_obeyed():
    """p and q change the result, and Node2Vec with p = q = 1 is DeepWalk."""
    graph = random_graph()
    plain = Node2Vec(random_state=0, **SMALL).fit(graph).embedding_
    np.testing.assert_array_equal(plain, DeepWalk(random_state=0, **SMALL).fit(graph).embedding_)
    for law in ({"p": 0.25}, {"q": 4.0}):
        assert not np.array_equal(
            plain, Node2Vec(random_state=0, **law, **SMALL).fit(graph).embedding_
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("walk_length", 11),
        ("n_walks", 3),
        ("window", 4),
        ("negative", 2),
        ("ns_exponent", 0.0),
        ("epochs", 2),
        ("learning_rate", 0.1),
        ("min_learning_rate", 0.02),
        ("shrink_windows", False),
        ("loss", "hs"),
        ("negative_sharing", 1),
    ],
)
def test_every_parameter_is_obeyed(name, value):
    graph = random_graph()
    plain = DeepWalk(random_state=0, **SMALL).fit(graph).embedding_
    other = DeepWalk(random_state=0, **{**SMALL, name: value}).fit(graph).embedding_
    assert not np.array_equal(plain, other)


def test_weights_and_direction_are_obeyed():
    weighted = random_graph(weighted=True)
    ignored = Graph.from_csr(weighted.indptr, weighted.indices)
    model = DeepWalk(random_state=0, **SMALL)
    assert not np.array_equal(model.fit(weighted).embedding_, model.fit(ignored).embedding_)
    chain = [(i, i + 1) for i in range(30)]
    both = model.fit(chain).embedding_
    assert not np.array_equal(both, model.fit(chain, directed=True).embedding_)


def test_relabelling_nodes_relabels_rows():
    """Ids are labels only: the same structure with other ids gives the same vectors."""
    graph = random_graph()
    names = [f"node {i}" for i in range(graph.n_nodes)]
    named = Graph.from_csr(graph.indptr, graph.indices, graph.weights, node_ids=names)
    model = DeepWalk(random_state=0, **SMALL)
    plain = model.fit(graph).embedding_
    np.testing.assert_array_equal(plain, model.fit(named).embedding_)
    np.testing.assert_array_equal(model["node 3"], plain[3])


def test_training_stats():
    model = Node2Vec(random_state=0, p=0.5, strategy="rejection", **SMALL).fit(RING)
    stats = model.training_stats_
    assert stats["strategy"] == "rejection"
    assert stats["n_steps"] == 12 * 2 * 10
    assert stats["n_pairs"] > stats["n_steps"]
    assert stats["walk_seconds"] > 0
    assert stats["train_seconds"] > 0


def test_divergence_is_an_error():
    with pytest.raises(ValueError, match=r"diverged.*lower learning_rate, got 1e\+30"):
        DeepWalk(learning_rate=1e30, min_learning_rate=1e30, random_state=0).fit(RING)


def test_min_learning_rate_above_learning_rate():
    with pytest.raises(ValueError, match="min_learning_rate must be <= learning_rate"):
        DeepWalk(learning_rate=0.01, min_learning_rate=0.1).fit(RING)


def test_load_refuses_another_class(tmp_path):
    path = tmp_path / "model"
    DeepWalk(random_state=0, **SMALL).fit(RING).save(path)
    with pytest.raises(FileFormatError, match="holds a DeepWalk, not a Node2Vec"):
        Node2Vec.load(path)


def test_save_with_a_generator(tmp_path):
    model = DeepWalk(random_state=np.random.default_rng(0), **SMALL).fit(RING)
    model.save(tmp_path / "model")
    assert DeepWalk.load(tmp_path / "model").random_state is None


def test_data_frame_columns_are_passed_on():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"from": ["a", "b"], "to": ["b", "c"], "w": [1.0, 5.0]})
    names = {"source": "from", "target": "to", "weight": "w"}
    model = DeepWalk(random_state=0, **SMALL).fit(frame, **names)
    assert model.node_ids_.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(model.transform(frame), model.embedding_)
    assert sample_walks(frame, nodes=["z"], random_state=0, **names).shape == (40, 80)


def test_numpy_scalars_are_parameters():
    plain = Node2Vec(random_state=0, p=0.5, **SMALL).fit(RING).embedding_
    numpy = Node2Vec(random_state=np.int64(0), p=np.float32(0.5), verbose=False, **SMALL)
    np.testing.assert_array_equal(plain, numpy.fit(RING).embedding_)


FORKED = """
import multiprocessing
import numpy as np
from graphembed import Graph, sample_walks

edges = np.random.default_rng(0).integers(0, 20_000, (100_000, 2))
graph = Graph.from_edges(edges)

def walk(_):
    return sample_walks(graph, n_walks=2, random_state=0, n_jobs=2).tobytes()

mine = walk(0)
with multiprocessing.get_context("fork").Pool(1) as pool:
    assert pool.map_async(walk, [0]).get(timeout=60)[0] == mine
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_walks_too():
    """A child of fork must not ask for OpenMP threads, which are gone: it would hang."""
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=100)


def test_verbose(capsys):
    DeepWalk(random_state=0, **SMALL).fit(RING)
    quiet = capsys.readouterr()
    assert quiet.out == quiet.err == ""
    DeepWalk(random_state=0, verbose=1, **SMALL).fit(RING)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "counting walks" in shown.err
    assert "training" in shown.err
    assert "pairs/s" in shown.err
    sample_walks(RING, verbose=1)
    assert "steps/s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ({"q": 0.5}, "second-order walks by alias"),
        ({"p": 0.5}, "walks by return: a return counts 2 times"),
    ],
)
def test_auto_says_what_it_chose(law, message, caplog):
    triangle_and_tail = [(0, 1), (1, 2), (2, 0), (2, 3)]
    with caplog.at_level(logging.INFO, logger="graphembed"):
        model = Node2Vec(random_state=0, **law, **SMALL).fit(triangle_and_tail)
    assert re.search(message, caplog.text)
    assert model.training_stats_["strategy"] in message


def test_alias_beyond_the_budget():
    with pytest.raises(MemoryError, match=r"memory_budget=10: raise memory_budget or use"):
        Node2Vec(p=0.5, strategy="alias", memory_budget=10, **SMALL).fit(RING)


class TestGensim:
    @pytest.fixture(autouse=True)
    def _gensim(self):
        pytest.importorskip("gensim")

    def test_trainer(self):
        adjacency, block = planted_partition()
        model = DeepWalk(16, trainer="gensim", random_state=0, epochs=2, n_jobs=1)
        first = model.fit_transform(adjacency)
        assert first.shape == (160, 16)
        assert first.dtype == np.float32
        np.testing.assert_array_equal(first, model.fit_transform(adjacency))
        unit = first / np.linalg.norm(first, axis=1, keepdims=True)
        cosines = unit @ unit.T
        assert (
            cosines[block[:, None] == block].mean() > cosines[block[:, None] != block].mean() + 0.3
        )

    def test_long_walks_are_refused(self):
        with pytest.raises(ValueError, match="walk_length must be <= 10000 with trainer='gensim'"):
            DeepWalk(trainer="gensim", walk_length=10_001).fit(RING)

    def test_ctrl_c_leaves_no_threads_behind(self, monkeypatch):
        def interrupted(future, timeout=None):
            time.sleep(0.3)
            raise KeyboardInterrupt

        before = threading.active_count()
        graph, model = random_graph(), DeepWalk(trainer="gensim", n_walks=1000, n_jobs=2)
        with monkeypatch.context() as patch:
            patch.setattr(concurrent.futures.Future, "result", interrupted)
            with pytest.raises(KeyboardInterrupt):
                model.fit(graph)
        deadline = time.monotonic() + 20
        while threading.active_count() > before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert threading.active_count() <= before
        assert DeepWalk(trainer="gensim", random_state=0, **SMALL).fit(RING).n_nodes_in_ == 12

    def test_progress(self, capsys):
        model = DeepWalk(trainer="gensim", random_state=0, verbose=1, **SMALL).fit(RING)
        assert "training by gensim" in capsys.readouterr().err
        assert model.training_stats_["n_pairs"] is None

    def test_to_keyed_vectors(self, tmp_path):
        from gensim.models import KeyedVectors

        model = DeepWalk(random_state=0, **SMALL).fit([("a", "b"), ("b", "c")])
        keyed = model.to_keyed_vectors()
        np.testing.assert_array_equal(keyed["b"], model["b"])
        for binary in (False, True):
            model.save_word2vec_format(tmp_path / "vectors", binary=binary)
            read = KeyedVectors.load_word2vec_format(str(tmp_path / "vectors"), binary=binary)
            np.testing.assert_array_equal(read["c"], model["c"])
