"""The command line: every command, its exit codes, and what it says when something is wrong."""

import inspect
import os
import re
import select
import signal
import subprocess
import sys
import time

import networkx as nx
import numpy as np
import pytest
from scipy import sparse

from graphembed import Graph, __version__, cli, datasets
from graphembed.cli import _options
from graphembed.datasets import NodeDataset
from graphembed.demo import DATASETS
from graphembed.estimators import LINE, DeepWalk, Node2Vec, NodeClassifier
from graphembed.io import load_model

SMALL = ["--n-components", "8", "--walk-length", "10", "--n-walks", "3", "--n-jobs", "1"]


@pytest.fixture(scope="session")
def karate_files(tmp_path_factory):
    """Give the karate club as an edge list and a file of labels."""
    folder = tmp_path_factory.mktemp("karate")
    club = nx.karate_club_graph()
    edges, labels = folder / "karate.csv", folder / "labels.csv"
    edges.write_text(
        "source,target,weight\n"
        + "".join(f"{u},{v},{w}\n" for u, v, w in club.edges(data="weight"))
    )
    labels.write_text("id,club\n" + "".join(f"{u},{c}\n" for u, c in club.nodes(data="club")))
    return edges, labels


def run(*args):
    """Run in this process; return the exit code as a shell would see it."""
    try:
        return cli.main([str(arg) for arg in args])
    except SystemExit as exit_:
        return exit_.code


def spawn(*args, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-m", "graphembed", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **kwargs,
    )


def error_line(capsys):
    """Return the one line on stderr; nothing may have been printed to stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("graphembed: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err[len("graphembed: error: ") : -1]


# -- Help, version, usage --------------------------------------------------------------------


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"graphembed {__version__}\n"


def test_version_as_a_process():
    process = spawn("--version")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.decode(), err) == (0, f"graphembed {__version__}\n", b"")


def help_text(capsys, command):
    assert run(command, "--help") == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", ["embed", "evaluate", "info", "train", "demo"])
def test_help_shows_every_default(capsys, command):
    text = help_text(capsys, command)
    parser = _options.build_parser()[1][command]
    for action in parser._actions:
        if not action.option_strings or action.dest in ("help", "output"):
            continue
        begin = text.index(f" {action.option_strings[-1]} ", text.index("options:"))
        if action.default is None:
            assert action.dest == "update" or "(default: " in action.help
        else:
            following = re.search(r"\(default: (.*?)\)", text[begin:])
            assert following is not None
            assert following[1] == str(action.default)


@pytest.mark.parametrize("estimator", [Node2Vec, DeepWalk, LINE])
def test_defaults_are_those_of_the_estimators(estimator):
    args = vars(_options.build_parser()[0].parse_args(["embed", "edges.csv", "-o", "out.csv"]))
    shared = {
        name: parameter.default
        for name, parameter in inspect.signature(estimator.__init__).parameters.items()
        if name in args and name != "verbose"
    }
    assert len(shared) >= 4
    assert shared == {name: args[name] for name in shared}


def test_dataset_names_are_those_of_the_demo():
    assert _options.DATASETS == DATASETS


def test_help_imports_nothing_heavy():
    code = """
import sys
from graphembed import cli
try:
    cli.main(["embed", "--help"])
except SystemExit as exit_:
    assert exit_.code == 0
heavy = {"matplotlib", "torch", "gensim", "networkx", "graphembed.demo", "graphembed.evaluation"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "required: COMMAND"),
        (["embde"], "invalid choice: 'embde'"),
        (["embed", "edges.csv"], "required: -o/--output"),
        (
            ["embed", "e.csv", "-o", "o.csv", "--p", "-1"],
            "argument --p: must be .* > 0 .*, got '-1'",
        ),
        (["embed", "e.csv", "-o", "o.csv", "--p", "nan"], "argument --p: must be .* got 'nan'"),
        (["embed", "e.csv", "-o", "o.csv", "--q", "x"], "argument --q: must be .* got 'x'"),
        (["embed", "e.csv", "-o", "o.csv", "--window", "0"], "--window: must be an int >= 1"),
        (["embed", "e.csv", "-o", "o.csv", "--n-walks", "2.5"], "--n-walks: must be an int >= 1"),
        (["embed", "e.csv", "-o", "o.csv", "--seed", "-1"], "--seed: must be an int >= 0"),
        (["embed", "e.csv", "-o", "o.csv", "--n-jobs", "0"], "--n-jobs: must be .* other than 0"),
        (["embed", "e.csv", "-o", "o.csv", "--format", "xml"], "--format: invalid choice: 'xml'"),
        (["embed", "e.csv", "-o", "o.csv", "--method", "lines"], "--method: invalid choice"),
        (
            ["embed", "e.csv", "-o", "o.csv", "--method", "deepwalk", "--q", "2"],
            "--q has no effect here: it belongs to --method node2vec, not deepwalk",
        ),
        (["evaluate", "karate", "--train-ratios", "1.0"], r"--train-ratios: .*\(0, 1\), got '1.0'"),
        (["evaluate", "karate", "--directed"], "--directed has no effect here: a dataset"),
        (["evaluate", "karate", "--target", "x"], "--target has no effect here"),
        (["evaluate", "karate", "--test-fraction", ".1"], "--test-fraction has no effect"),
        (["evaluate", "v.csv", "l.csv", "--walk-length", "9"], "no effect .* vectors of TARGET"),
        (["evaluate", "karate", "--task", "link-prediction", "--n-splits", "3"], "--n-splits has"),
        (["evaluate", "karate", "l.csv", "--task", "link-prediction"], "LABELS is not used"),
        (["demo", "--dataset", "cora"], "--dataset: invalid choice: 'cora'"),
        (["train", "--patience", "9"], "--patience has no effect .* to --early-stopping"),
        (["train", "--n-layers", "1", "--hidden", "9"], "--hidden has no effect .* one layer"),
    ],
)
def test_wrong_usage_exits_2(capsys, args, message):
    assert run(*args) == 2
    line = error_line(capsys)
    assert re.search(message, line)
    assert "--help)" in line


# -- embed -----------------------------------------------------------------------------------


def test_embed_writes_a_model_like_the_one_made_in_python(karate_files, tmp_path, capsys):
    edges, _ = karate_files
    out = tmp_path / "model.gemb"
    assert run("embed", edges, "-o", out, *SMALL, "--p", "0.5", "--q", "2", "--seed", "3") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{out}: 34 vectors of 8 components")
    assert printed.err == ""
    expected = Node2Vec(8, walk_length=10, n_walks=3, p=0.5, q=2.0, random_state=3, n_jobs=1).fit(
        str(edges)
    )
    saved = load_model(out)
    assert saved.estimator == "Node2Vec"
    np.testing.assert_array_equal(saved.arrays["embedding"], expected.embedding_)
    assert saved.node_ids.tolist() == expected.node_ids_.tolist()


CHANGES = {
    "--method": ["deepwalk"],
    "--p": ["9"],
    "--q": ["9"],
    "--n-components": ["9"],
    "--walk-length": ["11"],
    "--n-walks": ["4"],
    "--window": ["3"],
    "--negative": ["2"],
    "--epochs": ["2"],
    "--loss": ["hs"],
    "--seed": ["1"],
    "--trainer": ["gensim"],
    "--directed": [],
    "--no-weighted": [],
}


@pytest.mark.parametrize("option", CHANGES)
def test_every_option_is_obeyed(karate_files, tmp_path, option):
    """Each option at a value where the vectors differ (p and q of DeepWalk are 1)."""
    edges, _ = karate_files

    def embed(name, *options):
        assert run("embed", edges, "-o", tmp_path / name, *SMALL, *options) == 0
        return np.load(tmp_path / name)["embedding"]

    # the start differs from DeepWalk, or --method would change nothing
    first = embed("first.npz", *(["--p", "0.2"] if option == "--method" else []))
    second = embed("second.npz", option, *CHANGES[option])
    assert first.shape != second.shape or not np.array_equal(first, second)


def test_line(karate_files, tmp_path, capsys):
    edges, _ = karate_files

    def embed(name, *options):
        line = ["--method", "line", "--n-components", "8", *options]
        assert run("embed", edges, "-o", tmp_path / name, *line) == 0
        return np.load(tmp_path / name)["embedding"]

    few = ["--n-samples", "5000"]
    both, first = embed("both.npz", *few), embed("first.npz", *few, "--order", "first")
    assert both.shape == first.shape == (34, 8)
    assert "10,000 pairs trained" in capsys.readouterr().out
    assert not np.array_equal(both, first)
    assert not np.array_equal(both, embed("more.npz", "--n-samples", "6000"))


@pytest.mark.parametrize(
    ("choice", "option", "owners"),
    [
        (["--method", "line"], ["--window", "3"], "node2vec or deepwalk"),
        (["--method", "line"], ["--walk-length", "80"], "node2vec or deepwalk"),  # the default
        (["--method", "line"], ["--loss", "hs"], "node2vec or deepwalk"),
        (["--method", "line"], ["--p", "3"], "node2vec"),
        (["--method", "deepwalk"], ["--order", "first"], "line"),
        (["--method", "deepwalk"], ["--n-samples", "9"], "line"),
        (["--method", "deepwalk"], ["--q", "3"], "node2vec"),
        (["--loss", "hs"], ["--negative", "9"], "ns"),
        (["--loss", "hs"], ["--negative", "5"], "ns"),  # the default
        (["--loss", "hs", "--method", "deepwalk"], ["--negative", "9"], "ns"),
    ],
)
@pytest.mark.parametrize("command", [["embed", "e.csv", "-o", "o.csv"], ["evaluate", "karate"]])
def test_options_that_the_choice_does_not_use_are_refused(capsys, command, choice, option, owners):
    expected = (
        f"argument {option[0]} has no effect here: it belongs to {choice[0]} {owners}, "
        f"not {choice[1]} "
    )
    for given in ([*choice, *option], [*option, *choice]):
        assert run(*command, *given) == 2
        assert error_line(capsys).startswith(expected)


def test_the_default_method_and_loss_refuse_as_chosen_ones_do(capsys):
    assert run("embed", "e.csv", "-o", "o.csv", "--order", "both") == 2
    assert "--order has no effect here: it belongs to --method line, not node2vec" in (
        error_line(capsys)
    )


def test_update_grows_a_model(karate_files, tmp_path, capsys):
    edges, _ = karate_files
    model, grown, larger = (tmp_path / name for name in ("old.gemb", "new.gemb", "larger.csv"))
    assert run("embed", edges, "-o", model, *SMALL, "--method", "deepwalk") == 0
    larger.write_text(edges.read_text().rstrip() + "\n33,99,1\n32,99,1\n")
    assert run("embed", larger, "-o", grown, "--update", model) == 0
    assert "35 vectors of 8 components (1 new, 1 trained)" in capsys.readouterr().out
    old, new = DeepWalk.load(model), DeepWalk.load(grown)
    np.testing.assert_array_equal(new.embedding_[:34], old.embedding_)
    assert 99 in new
    assert run("embed", larger, "-o", grown, "--update", model, "--window", "3") == 2
    assert "--window has no effect here: the model has its own" in capsys.readouterr().err
    assert run("embed", larger, "-o", grown, "--update", edges) == 1
    assert run("embed", edges, "-o", model, "--method", "line", "--n-samples", "1000") == 0
    assert run("embed", larger, "-o", grown, "--update", model) == 1
    assert "a LINE does not grow" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"loss": "hs"}, "loss='hs' does not grow: fit it anew"),
        ({"metapath": ["a", "b", "a"]}, "metapath=.* does not grow"),
        ({"trainer": "gensim"}, "trainer='gensim' does not grow"),
    ],
)
def test_update_refuses_what_cannot_grow_before_the_graph_is_read(
    tmp_path, capsys, monkeypatch, params, message
):
    if "trainer" in params:
        pytest.importorskip("gensim")
    types = {0: "a", 1: "b", 2: "a", 3: "b"}
    graph = Graph.from_any([(0, 1), (1, 2), (2, 3)], node_types=types)
    model = tmp_path / "model.gemb"
    DeepWalk(8, n_walks=2, walk_length=10, n_jobs=1, **params).fit(graph).save(model)

    def read(*args, **kwargs):
        pytest.fail("the graph was read")

    monkeypatch.setattr(Graph, "from_edge_list_file", read)
    (tmp_path / "edges.csv").write_text("0,1\n")
    out = tmp_path / "out.gemb"
    assert run("embed", tmp_path / "edges.csv", "-o", out, "--update", model) == 1
    assert re.search(f"{model}: .*{message}", error_line(capsys))
    assert not out.exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("7,8\n8,9\n", "7,8\n8,9\n9,x\n", "int, such as 7, but its ids are str, such as '7' "),
        ("7,8\n8,x\n", "7,8\n8,9\n", "str, such as '7', but its ids are int, such as 7 "),
    ],
)
def test_update_by_a_file_with_ids_of_another_kind(tmp_path, capsys, old, new, message):
    edges, model = tmp_path / "edges.csv", tmp_path / "model.gemb"
    edges.write_text(old)
    assert run("embed", edges, "-o", model, *SMALL) == 0
    capsys.readouterr()
    edges.write_text(new)
    assert run("embed", edges, "-o", tmp_path / "out.gemb", "--update", model) == 1
    line = error_line(capsys)
    assert message in line
    assert "lacks" not in line
    assert "fit anew" in line


def test_threads_do_not_change_the_result(karate_files, tmp_path):
    edges, _ = karate_files
    for n_jobs in ("1", "2"):
        assert (
            run("embed", edges, "-o", tmp_path / f"{n_jobs}.csv", *SMALL, "--n-jobs", n_jobs) == 0
        )
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_columns_by_name(tmp_path):
    edges = tmp_path / "edges.tsv"
    edges.write_text("note\tfrom_node\tstrength\tto_node\nx\ta\t1\tb\ny\tb\t5\tc\n")
    columns = ["--source", "from_node", "--target", "to_node", "--weight", "strength"]
    out = tmp_path / "out.tsv"
    assert run("embed", edges, "-o", out, *SMALL, *columns, "--format", "tsv") == 0
    assert [line.split("\t")[0] for line in out.read_text().splitlines()] == ["id", "a", "b", "c"]


def test_verbose_shows_a_bar_for_each_phase(karate_files, tmp_path, capsys):
    edges, _ = karate_files
    assert run("embed", edges, "-o", tmp_path / "o.csv", *SMALL, "--verbose") == 0
    err = capsys.readouterr().err
    assert "steps/s" in err
    assert "pairs/s" in err


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("out.foo", "must end in one of .csv, .*.gemb, got"),
        ("out", "must end in one of"),
        ("missing/out.csv", "missing: the output's folder does not exist"),
        ("karate.csv/out.csv", "karate.csv: the output's folder does not exist"),
        ("folder.csv", "folder.csv: the output is a folder"),
        ("karate.csv", "would overwrite the input"),
    ],
)
def test_a_bad_output_is_found_before_any_work(
    tmp_path, karate_files, capsys, monkeypatch, output, message
):
    def work(*args, **kwargs):
        pytest.fail("work was begun")

    monkeypatch.setattr(Graph, "from_edge_list_file", work)
    edges = tmp_path / "karate.csv"
    edges.write_bytes(karate_files[0].read_bytes())
    (tmp_path / "folder.csv").mkdir()
    assert run("embed", edges, "-o", tmp_path / output, *SMALL) == 1
    assert re.search(message, error_line(capsys))
    assert edges.read_bytes() == karate_files[0].read_bytes()


def test_an_output_that_may_not_be_written(karate_files, tmp_path, capsys, monkeypatch):
    # root may write everywhere, so the answer of the system is replaced
    monkeypatch.setattr("graphembed.cli._files.os.access", lambda path, mode: False)
    out = tmp_path / "out.csv"
    assert run("embed", karate_files[0], "-o", out, *SMALL) == 1
    assert error_line(capsys) == f"{out}: the output cannot be written"
    assert not out.exists()


@pytest.mark.parametrize(
    ("edges", "output", "message"),
    [
        ([("ann lee", "bob"), ("bob", "cem")], "out.w2v", "'ann lee' .* holds whitespace"),
        ([("ann lee", "bob"), ("bob", "cem")], "out.TXT", "'ann lee' .* holds whitespace"),
        ([("ann lee", "bob"), ("bob", "cem")], "out.bin", "'ann lee' .* holds whitespace"),
        ([(1, "bob"), ("bob", 2)], "out.npz", "all str or all 64-bit int.*'bob' at position 1"),
        ([(1, "bob"), ("bob", 2)], "out.parquet", "all str or all 64-bit int"),
        ([(1, "1"), ("1", 2)], "out.csv", "both read '1'"),
    ],
)
def test_ids_that_the_output_cannot_hold_are_found_before_training(
    tmp_path, capsys, monkeypatch, edges, output, message
):
    def train(*args, **kwargs):
        pytest.fail("training was begun")

    if output.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    monkeypatch.setattr(Node2Vec, "fit", train)
    Graph.from_any(edges).save(tmp_path / "graph")
    out = tmp_path / output
    assert run("embed", tmp_path / "graph", "-o", out, *SMALL) == 1
    assert re.search(message, error_line(capsys))
    assert not out.exists()


def test_embed_reads_ids_with_blanks_for_formats_that_hold_them(tmp_path, capsys):
    edges = tmp_path / "edges.csv"
    edges.write_text("ann lee,bob\nbob,cem\n")
    assert run("embed", edges, "-o", tmp_path / "out.csv", *SMALL) == 0
    assert re.search(
        r"3 vectors of 8 components \([\d,]+ pairs trained in", capsys.readouterr().out
    )


def test_a_trainer_that_counts_no_pairs_is_not_quoted_with_a_number(
    karate_files, tmp_path, capsys, monkeypatch
):
    fit = Node2Vec.fit

    def fit_without_count(self, graph):
        fit(self, graph)
        self.training_stats_["n_pairs"] = None
        return self

    monkeypatch.setattr(Node2Vec, "fit", fit_without_count)
    assert run("embed", karate_files[0], "-o", tmp_path / "out.csv", *SMALL) == 0
    assert re.search(r"components \(trained in \d+\.\d s\)\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("", "no edge|no node|empty"),
        ("a b\nc\n", "line 2"),
        ("a,b,1\nb,c,-2\n", "line 2.*weight"),
        ("a,b,1\nb,c,nan\n", "line 2.*weight"),
    ],
)
def test_bad_edge_lists(tmp_path, capsys, text, message):
    edges = tmp_path / "edges.csv"
    if text is not None:
        edges.write_text(text)
    out = tmp_path / "out.csv"
    assert run("embed", edges, "-o", out, *SMALL) == 1
    assert re.search(message, error_line(capsys))
    assert not out.exists()


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(FileNotFoundError):
        cli.main(["info", str(tmp_path / "missing.csv"), "--debug"])


# -- evaluate --------------------------------------------------------------------------------


def table(out):
    """Map each row's first column to the numbers of the row."""
    rows = [line.split() for line in out.splitlines()[2:]]
    return {row[0]: [float(x) for x in row if re.fullmatch(r"[\d.]+", x)] for row in rows}


def test_evaluate_a_file_of_vectors(karate_files, tmp_path, capsys):
    edges, labels = karate_files
    vectors = tmp_path / "vectors.csv"
    run("embed", edges, "-o", vectors, *SMALL, "--n-walks", "50")
    capsys.readouterr()
    assert run("evaluate", vectors, labels, "--train-ratios", "0.2", "0.5", "--n-splits", "4") == 0
    out = capsys.readouterr().out
    assert "34 labelled nodes, 2 labels" in out
    assert "4 random splits" in out
    scores = table(out)
    assert list(scores) == ["20", "50"]
    assert scores["50"][1] > 80  # micro-F1 in percent


def test_evaluate_a_dataset(capsys):
    assert run("evaluate", "karate", *SMALL, "--train-ratios", "0.5", "--n-splits", "3") == 0
    out = capsys.readouterr().out
    assert "34 labelled nodes, 2 labels" in out
    assert list(table(out)) == ["50"]


@pytest.mark.parametrize("from_file", [True, False])
def test_evaluate_link_prediction(karate_files, capsys, from_file):
    target = karate_files[0] if from_file else "karate"
    task = ["--task", "link-prediction", "--test-fraction", "0.25"]
    assert run("evaluate", target, *task, *SMALL) == 0
    out = capsys.readouterr().out
    assert "20 removed edges" in out  # a quarter of 78
    assert set(table(out)) == {"average", "hadamard", "l1", "l2"}
    for auc, precision in table(out).values():
        assert 0 <= auc <= 1
        assert 0 <= precision <= 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["cora"], "'cora' is no dataset .*name the file of LABELS"),
        (["vectors.xyz", "labels.csv"], "must end in one of .csv"),
        (["missing.csv", "labels.csv"], "missing.csv: No such file"),
        (["vectors.csv", "missing.csv"], "missing.csv: No such file"),
        (["vectors.csv", "labels.csv", "--train-ratios", "0.01"], "too few labelled nodes"),
        (["missing.csv", "--task", "link-prediction"], "missing.csv: No such file"),
        (["karate", "--task", "link-prediction", "--test-fraction", "0.9"], "test_fraction"),
    ],
)
def test_evaluate_failures(karate_files, tmp_path, capsys, monkeypatch, args, message):
    edges, labels = karate_files
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.csv").write_bytes(labels.read_bytes())
    run("embed", edges, "-o", "vectors.csv", *SMALL)
    capsys.readouterr()
    assert run("evaluate", *args) == 1
    assert re.search(message, error_line(capsys))


def test_warnings_are_single_lines(karate_files, tmp_path, capsys):
    edges, labels = karate_files
    more = tmp_path / "labels.csv"
    more.write_text(labels.read_text() + "stranger,Officer\n")
    vectors = tmp_path / "vectors.csv"
    run("embed", edges, "-o", vectors, *SMALL)
    capsys.readouterr()
    # the command itself has no filter that turns warnings into errors
    process = spawn("evaluate", vectors, more, "--train-ratios", "0.5")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert b"34 labelled nodes" in out
    assert err.startswith(b"graphembed: warning: ")
    assert b"'stranger'" in err
    assert err.count(b"\n") == 1


# -- info ------------------------------------------------------------------------------------


def info(capsys, *args):
    assert run("info", *args) == 0
    return dict(re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines())


def test_info(karate_files, capsys):
    rows = info(capsys, karate_files[0])
    assert rows["nodes"] == "34"
    assert rows["edges"] == "78"
    assert (rows["directed"], rows["weighted"]) == ("no", "yes")
    assert rows["degree"] == "min 1, median 3, mean 4.59, max 17"
    assert rows["components"].startswith("1, the largest has 34 nodes")


def test_info_directed_and_without_weights(karate_files, capsys):
    rows = info(capsys, karate_files[0], "--directed", "--no-weighted")
    assert (rows["directed"], rows["weighted"]) == ("yes", "no")
    assert rows["edges"] == "78"
    assert rows["strong components"] == "34"  # every edge leads to a higher number


def test_info_of_a_saved_graph(tmp_path, capsys):
    path = tmp_path / "graph.gemb"
    Graph.from_edges([("a", "b"), ("b", "c")], nodes=["lonely"]).save(path)
    rows = info(capsys, path)
    assert (rows["nodes"], rows["edges"], rows["isolated"]) == ("4", "2", "1")
    assert run("info", path, "--directed") == 1
    assert "saved graph" in error_line(capsys)


# -- train -----------------------------------------------------------------------------------


@pytest.fixture
def small_cora(monkeypatch):
    """A dataset of two cliques in the place of Cora."""
    cliques = [(i, j) for k in (0, 10) for i in range(k, k + 10) for j in range(k, i)]
    graph = Graph.from_edges([*cliques, (9, 10)])
    masks = [np.isin(np.arange(20), rows) for rows in ([0, 10], [1, 11, 2, 12], range(3, 10))]
    y = (np.arange(20) >= 10).astype(np.int64)
    x = sparse.eye_array(20, format="csr", dtype=np.float32)
    data = NodeDataset("cora", graph, y, ("left", "right"), "two cliques", x, *masks)
    seen = {}

    def load(name, **options):
        seen.update(options, name=name)
        return data

    monkeypatch.setattr(datasets, "load_planetoid", load)
    return seen


def test_train(small_cora, tmp_path, capsys):
    pytest.importorskip("torch")
    model, predictions = tmp_path / "model.safetensors", tmp_path / "classes.tsv"
    options = ["--epochs", "60", "--seed", "3", "-o", model, "--predictions", predictions]
    assert run("train", "--split", "random", "--n-jobs", "1", *options) == 0
    assert small_cora == {"name": "cora", "split": "random", "random_state": 3}
    out, err = capsys.readouterr()
    assert err == ""
    first, second, third, *files = out.splitlines()
    assert first.startswith("NodeDataset 'cora': 20 nodes, 91 undirected edges, 2 classes, 20")
    assert re.fullmatch(r"gcn: 60 epochs in \d+\.\d\d s, epoch 60 is kept", second)
    assert third == "accuracy: validation 100.0%, test 100.0%"
    assert files == [f"{model}: the model", f"{predictions}: 20 predicted classes"]
    rows = [line.split("\t") for line in predictions.read_text().splitlines()]
    assert rows[0] == ["id", "class"]
    assert rows[1:] == [[str(i), "right" if i >= 10 else "left"] for i in range(20)]
    params = NodeClassifier.load(model).get_params()
    assert (params["model"], params["epochs"], params["random_state"]) == ("gcn", 60, 3)


TRAIN_OPTIONS = {
    "hidden": 24,
    "n_layers": 3,
    "dropout": 0.3,
    "lr": 0.02,
    "weight_decay": 0.001,
    "patience": 5,
    "early_stopping": "loss",
    "device": "cpu",
}


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("gcn", TRAIN_OPTIONS),
        ("sage", {"batch_size": 2}),
        ("gat", {"heads": 4, "early_stopping": "no"}),
        ("cheb", {"K": 2}),
    ],
)
def test_train_options_reach_the_classifier(small_cora, tmp_path, model, options):
    pytest.importorskip("torch")
    path = tmp_path / "m.safetensors"
    given = [
        part
        for name, value in options.items()
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]
    assert run("train", "--model", model, "--epochs", "3", "-o", path, *given) == 0
    params = NodeClassifier.load(path).get_params()
    if options.get("early_stopping") == "no":
        options = options | {"early_stopping": False}
    assert {name: params[name] for name in options} == options


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--model", "gin"], 2, "--model: invalid choice: 'gin'"),
        (["--dataset", "karate"], 2, "--dataset: invalid choice: 'karate'"),
        (["--dropout", "1"], 2, r"--dropout: must be a finite number in \[0, 1\), got '1'"),
        (["--heads", "4"], 2, "--heads has no effect here: it belongs to --model gat"),
        (["--K", "4"], 2, "--K has no effect here: it belongs to --model cheb"),
        (["--dataset", "actor", "--split", "full"], 2, "--split has no effect.*actor has random"),
        (["-o", "model.pt"], 1, "'model.pt' must end in .safetensors"),
        (["--predictions", "p.txt"], 1, "'p.txt' must end in .csv or .tsv"),
        (["-o", "missing/m.safetensors"], 1, "missing: the output's folder does not exist"),
        (["--model", "gat", "--heads", "5"], 1, "heads=5 must divide hidden=64"),
        (["--device", "abacus"], 1, "device must be"),
    ],
)
def test_train_failures(small_cora, tmp_path, capsys, monkeypatch, args, code, message):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    assert run("train", *args) == code
    err = capsys.readouterr().err
    assert re.search(message, err)
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.data
def test_train_on_cora(capsys):
    pytest.importorskip("torch")
    assert (
        run("train", "--model", "gcn", "--dataset", "cora", "--epochs", "50", "--n-jobs", "1") == 0
    )
    accuracy = float(re.search(r"test ([\d.]+)%", capsys.readouterr().out)[1])
    assert accuracy > 75


# -- demo ------------------------------------------------------------------------------------


def test_demo(tmp_path, capsys):
    folder = tmp_path / "made" / "here"
    assert run("demo", "--dataset", "karate", "-o", folder, "--n-jobs", "1") == 0
    out = capsys.readouterr().out
    assert "34 nodes, 78 edges" in out
    assert f"Picture: {folder / 'karate.png'}" in out
    assert (folder / "karate.png").read_bytes().startswith(b"\x89PNG")


def test_demo_into_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run("demo", "--dataset", "karate", "-o", tmp_path / "file") == 1
    assert "file: File exists" in error_line(capsys)


# -- Interruption ----------------------------------------------------------------------------


def wait_for(stream, word, seconds):
    """Read a stream until a word has come."""
    seen, deadline = b"", time.monotonic() + seconds
    while word not in seen:
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(stream.fileno(), 1 << 16) if ready else b""
        if not chunk:
            pytest.fail(f"{word!r} did not come, only {seen!r}")
        seen += chunk


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent as on POSIX")
def test_ctrl_c_leaves_the_old_output(karate_files, tmp_path):
    edges, _ = karate_files
    out = tmp_path / "out.csv"
    out.write_text("the old file")
    # The first walks are counted before training begins: few of them, many times.
    endless = ["--n-walks", "10000", "--epochs", "10000", "--n-jobs", "1", "--verbose"]
    process = spawn("embed", edges, "-o", out, *endless)
    try:
        wait_for(process.stderr, b"training", seconds=120)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.endswith(b"graphembed: interrupted\n")
    assert b"Traceback" not in err
    assert out.read_text() == "the old file"
    assert list(tmp_path.iterdir()) == [out]


def test_ctrl_c_in_this_process(karate_files, tmp_path, capsys, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Node2Vec, "fit", interrupt)
    out = tmp_path / "out.csv"
    assert run("embed", karate_files[0], "-o", out) == 130
    assert capsys.readouterr().err == "graphembed: interrupted\n"
    assert not out.exists()


@pytest.mark.skipif(os.name != "posix", reason="pipes break differently elsewhere")
def test_a_reader_that_leaves_is_no_traceback(karate_files):
    process = spawn("info", karate_files[0])
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=60) == 1
    assert err == b""
    process.stderr.close()


def test_a_fault_of_ours_is_not_hidden(karate_files, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(Graph, "from_edge_list_file", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["info", str(karate_files[0])])
