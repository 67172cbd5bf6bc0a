"""What `import graphembed` imports, what it can do without, and which floor may import which."""

import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest

import graphembed

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "graphembed"
OPTIONAL = ("torch", "gensim", "pandas", "polars", "pyarrow", "networkx", "igraph", "matplotlib")

# Behaves as if the optional packages were not installed.
BLOCK = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""

EDGES = "[('ann', 'bob'), ('bob', 'cem'), ('cem', 'ann'), ('cem', 'dan')]"


def run_python(code: str, *arguments: object, cwd: Path | None = None) -> str:
    """Standard output of a fresh interpreter; what it prints on stderr becomes the message."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_no_optional_package() -> None:
    code = f"""
import sys, sklearn.base, sklearn.utils.validation
before = set(sys.modules)  # scikit-learn imports pandas for its own purposes
from graphembed import *
print([name for name in {OPTIONAL} if name in set(sys.modules) - before])
print([name for name in ("torch", "gensim", "networkx", "matplotlib") if name in sys.modules])
"""
    assert run_python(code).split() == ["[]", "[]"]


def test_names_are_imported_at_the_first_use() -> None:
    code = """
import sys, graphembed
print("sklearn" in sys.modules, "numpy" in sys.modules)
assert set(graphembed.__all__) <= set(dir(graphembed))
for name in dir(graphembed):
    getattr(graphembed, name)
assert graphembed.Graph is sys.modules["graphembed.graph"].Graph
try:
    graphembed.nonsense
except AttributeError as error:
    print(error)
"""
    assert run_python(code).splitlines() == [
        "False False",
        "module 'graphembed' has no attribute 'nonsense'",
    ]


def test_core_works_without_optional_packages(tmp_path: Path) -> None:
    code = f"""{BLOCK}
import numpy as np
import graphembed
from graphembed.datasets import load_python_imports
from graphembed.evaluation import node_classification, split_edges, link_prediction

model = graphembed.Node2Vec(8, p=0.5, random_state=0).fit({EDGES})
assert model.embedding_.shape == (4, 8)
assert graphembed.sample_walks({EDGES}, n_walks=1, random_state=0).shape == (4, 80)
model.save("model.gemb")
assert graphembed.Node2Vec.load("model.gemb").most_similar("ann") == model.most_similar("ann")
for name in ("a.csv", "a.npz", "a.txt", "a.bin"):
    graphembed.io.write_embedding(name, model.node_ids_, model.embedding_)
rng = np.random.default_rng(0)
labels = np.arange(60) % 3
node_classification(rng.normal(size=(60, 4)), labels, n_splits=1, random_state=0)
print(sorted({{m.partition(".")[0] for m in sys.modules}} & set({OPTIONAL})))
"""
    assert run_python(code, cwd=tmp_path).strip() == "[]"


NEEDY = {
    "graphembed.Node2Vec(8, trainer='gensim').fit(edges)": ("gensim", "gensim"),
    "model.to_keyed_vectors()": ("gensim", "gensim"),
    "model.set_output(transform='pandas').transform()": ("pandas", "all"),
    "model.set_output(transform='polars').transform()": ("polars", "all"),
    "graphembed.io.write_embedding('a.parquet', ids, vectors)": ("pyarrow", "all"),
    "graphembed.datasets.load_karate()": ("networkx", "all"),
    "graphembed.plotting.plot_embedding(vectors)": ("matplotlib", "plot"),
    "from graphembed.recsys import LightGCN": ("torch", "torch"),
    "from graphembed.recsys import PinSage": ("torch", "torch"),
}


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What every statement of NEEDY says where no optional package is installed."""
    code = f"""{BLOCK}
import json
import graphembed, graphembed.io, graphembed.datasets, graphembed.plotting
edges, messages = {EDGES}, {{}}
for statement in {list(NEEDY)}:
    model = graphembed.Node2Vec(8, random_state=0).fit(edges)
    ids, vectors = model.node_ids_, model.embedding_
    try:
        exec(statement)
    except ImportError as error:
        messages[statement] = str(error)
print(json.dumps(messages))
"""
    return json.loads(run_python(code, cwd=tmp_path_factory.mktemp("needy")))


@pytest.mark.parametrize("statement", NEEDY)
def test_missing_package_is_an_import_error_with_the_pip_command(
    statement: str, messages: dict[str, str]
) -> None:
    package, extra = NEEDY[statement]
    expected = f"needs the package {package!r}, which is not installed: "
    expected += f"pip install 'graphembed[{extra}]'"
    assert expected in messages[statement]


def test_every_extra_that_a_message_names_installs_the_package() -> None:
    calls = set()
    for path in SOURCES.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        calls |= set(re.findall(r'import_optional\(\s*"(\w+)[\w.]*",\s*extra="(\w+)"', text))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]

    def packages(extra: str) -> set[str]:
        found: set[str] = set()
        for requirement in extras[extra]:
            name, nested = re.match(r"([\w-]+)(?:\[([\w,]+)\])?", requirement).groups()
            found.add(name)
            for other in (nested or "").split(","):
                found |= packages(other) if name == "graphembed" and other else set()
        return found

    assert len(calls) >= 6
    missing = [(n, e) for n, e in calls if n.replace("_", "-") not in packages(e)]
    assert missing == []


def test_core_dependencies_are_four() -> None:
    core = [line for line in requires("graphembed") or [] if "extra ==" not in line]
    names = sorted(re.match(r"[\w-]+", line)[0] for line in core)
    assert names == ["numpy", "scikit-learn", "scipy", "tqdm"]


# -- Floors ----------------------------------------------------------------------------------


def lint_floors(folder: Path) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports; "
        "sys.exit(lint_imports(no_cache=True, is_debug_mode=True))"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300
    )


def copy_sources(folder: Path) -> Path:
    """The Python files and the contract, without compiled modules: they are read, never run."""
    ignored = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
    shutil.copytree(SOURCES, folder / "graphembed", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder / "graphembed"


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("_validation.py", "from graphembed.graph import Graph"),
        ("graph.py", "from graphembed.samplers import sample_walks"),
        ("samplers/walks.py", "import graphembed.estimators.node2vec"),
        ("_kernels/__init__.py", "from graphembed.exceptions import FileFormatError"),
    ],
)
def test_import_upwards_is_caught(module: str, forbidden: str, tmp_path: Path) -> None:
    path = copy_sources(tmp_path) / module
    path.write_text(path.read_text(encoding="utf-8") + f"\n{forbidden}\n", encoding="utf-8")
    done = lint_floors(tmp_path)
    assert done.returncode != 0
    assert "is not allowed to import" in done.stdout


def test_module_without_a_floor_is_caught(tmp_path: Path) -> None:
    (copy_sources(tmp_path) / "newcomer.py").write_text("", encoding="utf-8")
    done = lint_floors(tmp_path)
    assert done.returncode != 0
    assert "newcomer" in done.stdout + done.stderr


def test_only_modules_are_imported_from_the_root_package() -> None:
    # The linter does not see compiled modules and takes their import for one of the root package.
    for path in SOURCES.rglob("*.py"):
        if path == SOURCES / "__init__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "graphembed":
                for alias in node.names:
                    name = f"graphembed.{alias.name}"
                    assert importlib.util.find_spec(name), f"{path}: {name} is no module"


def test_kernels_import_kernels_only() -> None:
    kernels = [*SOURCES.rglob("*.pyx"), *SOURCES.rglob("*.pxd")]
    assert len(kernels) >= 5
    for path in kernels:
        text = path.read_text(encoding="utf-8")
        for module in re.findall(r"^\s*(?:from|cimport|import) +([\w.]+)", text, re.MULTILINE):
            allowed = module == "cython.parallel" or module.startswith(
                ("libc.", "graphembed._kernels.")
            )
            assert allowed, f"{path.name} imports {module}"


def test_public_names_exist() -> None:
    assert all(hasattr(graphembed, name) for name in graphembed.__all__)
