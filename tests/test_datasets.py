"""Loaders: the real files where they are, small files of the same form everywhere."""

import ast
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from graphembed import datasets
from graphembed.datasets import _python_imports, _python_modules
from graphembed.datasets._musae import read_musae
from graphembed.datasets._python_imports import installed_modules, load_python_imports
from graphembed.datasets._python_modules import find_modules, read_imports
from graphembed.datasets._registry import registry
from graphembed.exceptions import DatasetNotFoundError, FileFormatError, GraphFormatError
from graphembed.graph import Graph

CONVERT = Path(__file__).parents[1] / "datasets" / "convert.py"


# --- the real files ---------------------------------------------------------------------------


@pytest.mark.data
def test_blogcatalog(data_dir: Path) -> None:
    data = datasets.load_blogcatalog(download=False)
    assert (data.graph.n_nodes, data.graph.n_edges, data.n_labels) == (10312, 333983, 39)
    assert not data.graph.directed
    assert not data.graph.is_weighted
    assert data.labels.shape == (10312, 39)
    assert data.labels.dtype == bool
    assert data.labels.sum() == 14476
    assert data.labels.sum(axis=1).min() == 1
    assert repr(data) == (
        "<Dataset 'blogcatalog': 10312 nodes, 333983 undirected edges, 39 labels>"
    )


@pytest.mark.data
def test_ppi(data_dir: Path) -> None:
    data = datasets.load_ppi(download=False)
    loops = data.graph.to_scipy().diagonal().astype(bool).sum()
    assert (data.graph.n_nodes, data.n_labels, loops) == (3890, 50, 894)
    assert data.graph.n_arcs == 2 * 38292  # the usual figure is half of the matrix entries
    assert data.graph.n_edges == (76584 - 894) // 2 + 894 == 38739
    assert not data.graph.is_weighted


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "shape"), [("lastfm", (7624, 27806, 18)), ("facebook", (22470, 171002, 4))]
)
def test_musae(data_dir: Path, name: str, shape: tuple[int, int, int]) -> None:
    data = datasets.load_musae(name, download=False)
    assert (data.graph.n_nodes, data.graph.n_edges, data.n_labels) == shape
    assert not data.multilabel
    assert np.array_equal(data.graph.node_ids, np.arange(shape[0]))
    assert np.array_equal(np.unique(data.labels), np.arange(shape[2]))


@pytest.mark.data
def test_convert_writes_graph_and_labels(data_dir: Path, tmp_path: Path) -> None:
    graph, labels = tmp_path / "ppi.graph", tmp_path / "ppi.tsv"
    command = [sys.executable, str(CONVERT), "ppi", str(graph)]
    done = subprocess.run(
        [*command, "--labels", str(labels), "--no-download"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    data = datasets.load_ppi(download=False)
    assert Graph.load(graph) == data.graph
    rows = [line.split("\t") for line in labels.read_text().splitlines()]
    assert len(rows) == data.labels.nnz
    node, label = rows[-1]
    assert data.labels[int(node), data.label_names.index(label)]


# --- names, karate, Dataset -------------------------------------------------------------------


def test_available_is_the_registry() -> None:
    graphs = [name for name in registry() if name != "esol"]  # many small graphs, not one
    assert datasets.available() == tuple(graphs)
    with pytest.raises(ValueError, match=r"name must be one of 'blogcatalog', .* got 'dblp'"):
        datasets.load("dblp")
    with pytest.raises(ValueError, match="download must be True or False, got 'no'"):
        datasets.load("ppi", download="no")


@pytest.mark.parametrize("name", [n for n in datasets.available() if registry()[n].files])
def test_missing_files_are_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRAPHEMBED_DATA", raising=False)
    monkeypatch.setenv("GRAPHEMBED_CACHE", str(tmp_path))
    with pytest.raises(DatasetNotFoundError) as caught:
        datasets.load(name, download=False)
    assert str(tmp_path / registry()[name].files[0].path) in str(caught.value)


def test_karate() -> None:
    pytest.importorskip("networkx")
    data = datasets.load("karate")
    assert (data.graph.n_nodes, data.graph.n_edges) == (34, 78)
    assert data.label_names == ("Mr. Hi", "Officer")
    assert np.bincount(data.labels).tolist() == [17, 17]
    assert data.labels[data.graph.index_of([0, 33])].tolist() == [0, 1]  # the two leaders
    assert repr(data) == "<Dataset 'karate': 34 nodes, 78 undirected edges, 2 classes>"


def test_karate_without_networkx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(ImportError, match=r"pip install 'graphembed\[all\]'"):
        datasets.load_karate()


@pytest.mark.parametrize("labels", [np.zeros(2, int), sp.csr_array((3, 2), dtype=bool)])
def test_labels_must_fit_the_graph(labels: object) -> None:
    graph = Graph.from_edges(np.array([[0, 1], [1, 2]]))
    with pytest.raises(ValueError, match="labels must have shape"):
        datasets.Dataset("d", graph, labels, ("a",), "")


# --- MATLAB files -----------------------------------------------------------------------------

NETWORK = np.array([[1, 1, 0], [1, 0, 2], [0, 2, 0]], float)
GROUP = np.array([[1, 0], [1, 1], [0, 0]], float)


def save_mat(path: Path, **variables: object) -> Path:
    scipy.io.savemat(path, variables)
    return path


@pytest.mark.parametrize("form", [np.array, sp.csc_matrix, sp.csr_array])
@pytest.mark.parametrize("dtype", [float, np.uint8])
def test_load_mat(tmp_path: Path, form: type, dtype: type) -> None:
    network, group = form(NETWORK.astype(dtype)), form(GROUP.astype(dtype))
    data = datasets.load_mat(save_mat(tmp_path / "toy.mat", network=network, group=group))
    assert data.name == "toy"
    assert np.array_equal(data.graph.to_scipy().toarray(), NETWORK)
    assert (data.graph.directed, data.graph.n_edges) == (False, 3)
    assert data.labels.dtype == bool
    assert np.array_equal(data.labels.toarray(), GROUP.astype(bool))
    assert data.label_names == ("group 0", "group 1")


def test_an_asymmetric_network_is_directed(tmp_path: Path) -> None:
    data = datasets.load_mat(save_mat(tmp_path / "a.mat", network=np.triu(NETWORK), group=GROUP))
    assert (data.graph.directed, data.graph.n_edges) == (True, 3)


@pytest.mark.parametrize(
    ("variables", "error", "message"),
    [
        ({"network": NETWORK, "labels": GROUP}, FileFormatError, "lacks group and has: network, l"),
        ({"x": NETWORK}, FileFormatError, "lacks network and group and has: x"),
        ({"network": NETWORK, "group": GROUP[:2]}, FileFormatError, "one row per node, 3, got"),
        ({"network": NETWORK, "group": 2 * GROUP}, FileFormatError, "group must hold 0 and 1, got"),
        ({"network": NETWORK, "group": GROUP * np.nan}, FileFormatError, "group must hold 0 and 1"),
        ({"network": NETWORK, "group": GROUP * 1j}, FileFormatError, "group must be a matrix of r"),
        ({"network": "text", "group": GROUP}, FileFormatError, "network must be a matrix of real"),
        ({"network": {"a": 1}, "group": GROUP}, FileFormatError, "network must be a matrix of rea"),
        ({"network": NETWORK[:2], "group": GROUP}, GraphFormatError, "square"),
        ({"network": -NETWORK, "group": GROUP}, GraphFormatError, ">= 0"),
        ({"network": np.inf * sp.csc_matrix(NETWORK), "group": GROUP}, GraphFormatError, "finite"),
    ],
)
def test_mat_files_with_defects(
    tmp_path: Path, variables: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        datasets.load_mat(save_mat(tmp_path / "bad.mat", **variables))


def test_damaged_mat_files(tmp_path: Path) -> None:
    whole = save_mat(tmp_path / "a.mat", network=NETWORK, group=GROUP).read_bytes()
    for content in (b"", b"text", whole[:100], whole[:200], b"\x00" * 300):
        (tmp_path / "b.mat").write_bytes(content)
        with pytest.raises(FileFormatError, match=r"^b "):
            datasets.load_mat(tmp_path / "b.mat")
    hdf5 = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x00" * 512
    (tmp_path / "b.mat").write_bytes(hdf5)
    with pytest.raises(FileFormatError, match="save it with -v7"):
        datasets.load_mat(tmp_path / "b.mat")
    with pytest.raises(FileNotFoundError):
        datasets.load_mat(tmp_path / "nowhere.mat")


# --- MUSAE tables -----------------------------------------------------------------------------

EDGES, TARGET = b"id_1,id_2\n0,1\n2,2\n", b"id,target\n0,1\n1,0\n2,1\n3,0\n"


def test_read_musae() -> None:
    data = read_musae(EDGES, TARGET, name="toy", description="")
    assert (data.graph.n_nodes, data.graph.n_edges, data.n_labels) == (4, 2, 2)
    assert data.graph.degrees.tolist() == [1, 1, 1, 0]
    assert data.labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("edges", "target", "message"),
    [
        (b"a,b\n0,1\n", TARGET, r"edges.csv: the first line must be 'id_1,id_2', got 'a,b'"),
        (b"", TARGET, "edges.csv: "),
        (b"id_1,id_2\n", TARGET, "edges.csv: there are no rows"),
        (b"id_1,id_2\n0,1,2\n", TARGET, "edges.csv: there must be 2 columns, got 3"),
        (b"id_1,id_2\n0,x\n", TARGET, "edges.csv: "),
        (b"id_1,id_2\n0,\xff\n", TARGET, "edges.csv: "),
        (b"id_1,id_2\n0,9\n", TARGET, "names 1 nodes that target.csv lacks"),
        (EDGES, TARGET.replace(b"1,0", b"1,-3"), "classes must be >= 0, got -3"),
    ],
)
def test_bad_tables(edges: bytes, target: bytes, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read_musae(edges, target, name="toy", description="")


def test_load_musae_knows_two_names() -> None:
    with pytest.raises(ValueError, match="name must be one of 'facebook', 'lastfm', got 'twitch'"):
        datasets.load_musae("twitch")


# --- the import graph -------------------------------------------------------------------------


def write_tree(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return root


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A standard library of two modules and three small packages, in place of the real ones."""
    suffix = _python_modules.EXTENSION_SUFFIXES[0]
    write_tree(
        tmp_path,
        {
            "std/os.py": "import sys",
            "std/site-packages/hidden.py": "import os",
            "site/alpha/__init__.py": "from .core import run\nfrom . import util, missing_name\n",
            "site/alpha/core.py": (
                "def run():\n"
                "    import os.path\n"
                "    from beta import deep as d, no_module\n"
                "    try:\n        import absent\n    except ImportError:\n        import json\n"
            ),
            "site/alpha/util.py": "from .. import beyond\nfrom .core import *\nimport alpha.util",
            "site/alpha/_fast" + suffix: b"",
            "site/alpha/tests/test_core.py": "import alpha.core",
            "site/alpha/__pycache__/core.py": "import os",
            "site/alpha/not-a-name.py": "import os",
            "site/beta/__init__.py": "",
            "site/beta/deep/__init__.py": "from ..side import x\nfrom alpha import _fast\n",
            "site/beta/side.py": "match 1:\n    case 1:\n        from . import deep\n",
            "site/space/inner/one.py": "import space.inner.two",
            "site/space/inner/two.py": "import space",
            "site/alone.py": "x = 1",
            "site/broken.py": "import os\ndef f(:\n    import sys\n",
            "site/nulls.py": b"import os\0",
            "site/latin.py": b"# -*- coding: latin-1 -*-\nname = '\xe9'\nimport os\n",
            "site/wrong.py": b"name = '\xe9'\nimport os\n",
        },
    )
    monkeypatch.setattr(_python_imports, "standard_folders", lambda: [tmp_path / "std"])
    monkeypatch.setattr(_python_imports, "site_folders", lambda: [tmp_path / "site"])
    monkeypatch.setattr(sys, "builtin_module_names", ("sys",))
    return tmp_path / "site"


IMPORTS = {
    ("alpha", "alpha.core"),
    ("alpha", "alpha.util"),
    ("alpha.core", "beta"),
    ("alpha.core", "beta.deep"),
    ("alpha.core", "os"),
    ("alpha.util", "alpha.core"),
    ("beta.deep", "alpha._fast"),
    ("beta.deep", "beta.side"),
    ("beta.side", "beta.deep"),
    ("latin", "os"),
    ("os", "sys"),
    ("space.inner.one", "space.inner.two"),
}


def edges_of(graph: Graph) -> set[tuple[str, str]]:
    source, target = graph.to_scipy().nonzero()
    ids = graph.node_ids
    return {(ids[a], ids[b]) for a, b in zip(source, target, strict=True)}


def test_imports_are_resolved(installation: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="graphembed.datasets"):
        data = load_python_imports(directed=True, min_label_size=3)
    assert edges_of(data.graph) == IMPORTS
    assert data.graph.node_ids.tolist() == sorted({name for pair in IMPORTS for name in pair})
    assert data.label_names == ("alpha", "beta")
    labels = dict(zip(data.graph.node_ids, data.labels, strict=True))
    assert labels["alpha._fast"] == 0
    assert labels["beta"] == 1
    assert labels["os"] == labels["space.inner.one"] == -1
    assert "3 files skipped" in caplog.text


def test_undirected_imports_count_once(installation: Path) -> None:
    graph = load_python_imports().graph
    assert not graph.directed
    assert not graph.is_weighted
    assert edges_of(graph) == IMPORTS | {(b, a) for a, b in IMPORTS}
    assert graph.n_edges == len(IMPORTS) - 1  # beta.deep and beta.side import each other


def test_isolated_modules_and_tests_on_request(installation: Path) -> None:
    names = set(load_python_imports(keep_isolated=True).graph.node_ids)
    assert {"alone", "broken", "nulls", "wrong"} <= names
    assert "alpha.tests.test_core" not in names
    with_tests = load_python_imports(include_tests=True, directed=True).graph
    assert ("alpha.tests.test_core", "alpha.core") in edges_of(with_tests)


def test_packages_limits_what_is_installed(installation: Path) -> None:
    names = load_python_imports(packages=["beta"], keep_isolated=True).graph.node_ids
    assert names.tolist() == ["beta", "beta.deep", "beta.side", "os", "sys"]
    assert load_python_imports(packages=[]).graph.node_ids.tolist() == ["os", "sys"]
    with pytest.raises(ValueError, match="packages must be installed, got 'gamma'"):
        load_python_imports(packages=["beta", "gamma"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"packages": "numpy"}, "packages must hold names of packages"),
        ({"packages": [3]}, "packages must hold names of packages"),
        ({"packages": ["scikit-learn"]}, "packages must hold names of packages"),
        ({"directed": 1}, "directed must be True or False, got 1"),
        ({"min_label_size": 0}, "min_label_size must be an int >= 1 .* got 0"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_python_imports(**options)


def test_no_sources_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_python_imports, "standard_folders", lambda: [tmp_path])
    monkeypatch.setattr(_python_imports, "site_folders", list)
    with pytest.raises(DatasetNotFoundError, match="no Python sources"):
        load_python_imports()


def test_links_do_not_lead_in_circles(tmp_path: Path) -> None:
    site = write_tree(tmp_path / "site", {"pkg/__init__.py": "", "pkg/a.py": ""})
    outside = write_tree(tmp_path / "store", {"linked/__init__.py": "", "linked/b.py": ""})
    try:
        (site / "pkg" / "again").symlink_to(site / "pkg", target_is_directory=True)
        (site / "pkg" / "up").symlink_to(site, target_is_directory=True)
        (site / "linked").symlink_to(outside / "linked", target_is_directory=True)
        (site / "gone.py").symlink_to(site / "nowhere.py")
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error}")
    modules: dict[str, _python_modules.Module] = {}
    find_modules(site, modules)
    assert sorted(modules) == ["linked", "linked.b", "pkg", "pkg.a"]


def test_earlier_folders_take_precedence(tmp_path: Path) -> None:
    first = write_tree(tmp_path / "1", {"pkg/__init__.py": "", "one.py": "", "space/a.py": ""})
    second = write_tree(
        tmp_path / "2", {"pkg/__init__.py": "", "pkg/x.py": "", "one.py": "", "space/b.py": ""}
    )
    modules: dict[str, _python_modules.Module] = {}
    find_modules(first, modules)
    find_modules(second, modules)
    assert sorted(modules) == ["one", "pkg", "space.a", "space.b"]
    assert modules["one"].source == first / "one.py"


@pytest.mark.parametrize(
    "text",
    [
        "import a\nx = 1\n",
        "'''\nimport no\n'''\nimport a\n'''\nimport no\nz '''\n",
        "x = (\n'import'\n)\nimport a\n",
        "try:\n    import a\nexcept ImportError:\n    pass\nx = [\n1]\n",
        "class C:\n    def f(self):\n        if 1: import a\ny = 2\n",
        "x = '''import\nz'''; import a\n",
        "import \\\n  a\nx = 1\n",
        "def f():\n\n    import a\n# comment\n\n    y = 1\nz = 2\n",
        "important = 1\nimport a  # the import\ns = 'no import here'\n",
        "try: pass\nexcept* OSError: import a\n",
        "with x: import a\nelse_ = 1\r\n",
        "\ufeffimport a\n",
    ],
)
def test_every_import_is_found_and_no_other(tmp_path: Path, text: str) -> None:
    path = write_tree(tmp_path, {"m.py": text}) / "m.py"
    statements = read_imports(path)
    assert statements is not None
    assert [statement.base for statement in statements] == ["a"]


def test_parsing_a_part_gives_what_the_whole_gives() -> None:
    modules = installed_modules(frozenset(), include_tests=True)
    chosen = ("asyncio", "email", "importlib", "http", "xml", "concurrent", "unittest", "pydoc")
    sources = [
        module.source
        for name, module in modules.items()
        if module.source is not None and name.partition(".")[0] in chosen
    ]
    assert len(sources) > 100
    for source in sources:
        whole = []
        for node in ast.walk(ast.parse(source.read_bytes())):
            if isinstance(node, ast.Import):
                whole += [("", alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = "." * node.level + (node.module or "")
                whole += [(base, alias.name) for alias in node.names]
        found = []
        for item in read_imports(source):
            base = "." * item.level + item.base
            found += [(base, name) for name in item.names] or [("", base)]
        assert sorted(found) == sorted(whole), source


def test_huge_and_unreadable_files_are_skipped(tmp_path: Path) -> None:
    write_tree(tmp_path, {"huge.py": "import os\n" + "#" * _python_modules.MAX_SOURCE_BYTES})
    assert read_imports(tmp_path / "huge.py") is None
    assert read_imports(tmp_path / "nowhere.py") is None
    write_tree(tmp_path, {"deep.py": "import os; x = " + "(" * 5000 + ")" * 5000})
    assert read_imports(tmp_path / "deep.py") is None


def test_the_real_standard_library() -> None:
    data = load_python_imports(packages=(), directed=True)
    edges = edges_of(data.graph)
    assert data.graph.n_nodes > 500
    for pair in (("json", "json.decoder"), ("json.decoder", "re"), ("collections", "sys")):
        assert pair in edges
    assert "asyncio" in data.label_names
    sizes = np.bincount(data.labels[data.labels >= 0])
    assert sizes.min() >= 20
    assert np.all(np.diff(sizes) <= 0)
    loaded = load_python_imports(packages=(), directed=True)
    assert loaded.graph == data.graph
    assert np.array_equal(loaded.labels, data.labels)


def test_the_core_dependencies_give_thousands_of_modules() -> None:
    modules = installed_modules(frozenset({"numpy", "scipy", "sklearn", "tqdm"}))
    assert len(modules) > 1500
    assert modules["numpy.linalg"].is_package
    assert not any(part in ("test", "tests") for name in modules for part in name.split("."))


def test_nothing_is_imported() -> None:
    code = (
        "import sys; from graphembed.datasets import load_python_imports as load\n"
        "before = set(sys.modules); load(packages=['tqdm']); new = set(sys.modules) - before\n"
        "known = {'encodings', 'importlib'}  # needed to read texts and package data\n"
        "known |= {'multiprocessing', '_multiprocessing', '__mp_main__'}  # tqdm's lock\n"
        "print(sorted(name for name in new if name.split('.')[0] not in known))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_progress_bar_on_request(installation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_python_imports(verbose=1)
    assert "reading modules: 100%" in capsys.readouterr().err
    load_python_imports()
    assert capsys.readouterr() == ("", "")
