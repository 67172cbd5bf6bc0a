"""The source distribution, the wheel, the build without OpenMP, and what the README says."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import graphembed
from graphembed import DatasetNotFoundError, datasets
from graphembed._kernels._build import SANITIZED

ROOT = Path(__file__).parents[1]
slow_build = [
    pytest.mark.slow,
    pytest.mark.skipif(SANITIZED, reason="the sanitized build is no build to ship"),
]

# Digests of walks and vectors for every strategy, kind of graph and number of threads.
DIGESTS = """
import hashlib, itertools, json
import numpy as np
import graphembed
from graphembed._kernels._build import HAS_OPENMP

def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()

rng = np.random.default_rng(0)
n = 400
ends = np.column_stack([rng.integers(0, n, 3000), (rng.random(3000) ** 2 * n).astype(np.int64)])
weights = rng.choice([0.25, 1.0, 3.0], 3000)
graphs = {
    "unweighted": graphembed.Graph.from_edges(np.unique(np.sort(ends, axis=1), axis=0)),
    "weighted": graphembed.Graph.from_edges(np.column_stack([ends, weights])),
}
assert [g.is_weighted for g in graphs.values()] == [False, True]
result = {}
for (kind, graph), strategy, n_jobs in itertools.product(
    graphs.items(), ("rejection", "alias"), (1, 2, 4)
):
    law = dict(p=0.5, q=2.0, strategy=strategy, random_state=7, n_jobs=n_jobs, walk_length=40)
    model = graphembed.Node2Vec(20, n_walks=10, window=4, **law).fit(graph)
    result[f"{kind} {strategy} {n_jobs}"] = [
        digest(graphembed.sample_walks(graph, n_walks=10, **law)), digest(model.embedding_)
    ]
for (kind, graph), n_jobs in itertools.product(graphs.items(), (1, 2, 4)):
    model = graphembed.DeepWalk(20, n_walks=10, walk_length=40, random_state=7, n_jobs=n_jobs)
    result[f"{kind} first-order {n_jobs}"] = [digest(model.fit(graph).embedding_)]
print(json.dumps({"openmp": HAS_OPENMP, "file": graphembed.__file__, "digests": result}))
"""


def run(*command: object, cwd: Path, **environment: str) -> str:
    """Output of a command; when it fails, the output is the message."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, made from a copy without any product of a build."""
    folder = tmp_path_factory.mktemp("sdist")
    names = ["LICENSE", "MANIFEST.in", "Makefile", "README.md", "CHANGELOG.md", "constraints.txt"]
    for name in [*names, "pyproject.toml", "setup.py"]:
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
    for name in ("graphembed", "scripts", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", cwd=folder)
    (archive,) = (folder / "dist").iterdir()
    return archive


@pytest.fixture(scope="session")
def build_without_openmp(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The wheel made of the source distribution without OpenMP, and the compiler's commands."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (sources,) = folder.iterdir()
    # The last -O counts: half the time, and another optimisation may not change a bit either.
    compiler = folder / "cc"
    usual = os.environ.get("CC", sysconfig.get_config_var("CC") or "cc")
    compiler.write_text(f'#!/bin/sh\nexec {usual} "$@" -O1\n')
    compiler.chmod(0o755)
    command = (sys.executable, "-m", "build", "--wheel", "--no-isolation")
    log = run(
        *command, cwd=sources, CC=str(compiler), GRAPHEMBED_NO_OPENMP="1", GRAPHEMBED_DEBUG="0"
    )
    (wheel,) = (sources / "dist").iterdir()
    return wheel, log


def test_version_is_the_one_of_the_metadata() -> None:
    assert version("graphembed") == graphembed.__version__


def test_version_is_written_in_one_place() -> None:
    literal = f'"{graphembed.__version__}"'
    files = [ROOT / "pyproject.toml", ROOT / "setup.py", *(ROOT / "graphembed").rglob("*.py")]
    assignments = [
        path.name
        for path in files
        if re.search(rf"version\w* = {re.escape(literal)}", path.read_text(encoding="utf-8"))
        or f"__version__ = {literal}" in path.read_text(encoding="utf-8")
    ]
    assert assignments == ["_version.py"]


class TestBuild:
    pytestmark = slow_build

    def test_sdist_has_sources_and_nothing_compiled(self, sdist: Path) -> None:
        with tarfile.open(sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        ours = {p.relative_to(ROOT).as_posix() for p in (ROOT / "graphembed").rglob("*.[ph]*")}
        ours = {name for name in ours if "__pycache__" not in name}
        assert {"graphembed/_walks.pyx", "graphembed/_kernels/_rng.h"} <= ours
        assert ours <= names
        assert {"LICENSE", "tests/test_packaging.py", "graphembed/py.typed"} <= names
        assert [name for name in names if name.endswith((".c", ".so", ".pyc"))] == []

    def test_wheel_is_abi3_and_complete(self, build_without_openmp: tuple[Path, str]) -> None:
        wheel, _ = build_without_openmp
        assert wheel.name.startswith(f"graphembed-{graphembed.__version__}-cp311-abi3-")
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
        kernels = {p.relative_to(ROOT).with_suffix("") for p in ROOT.glob("graphembed/**/*.pyx")}
        for kernel in kernels:
            assert {f"{kernel}.abi3.so", f"{kernel}.pyi"} <= names
        assert {"graphembed/py.typed", "graphembed/datasets/registry.toml"} <= names
        assert [name for name in names if name.endswith((".c", ".pyx", ".h"))] == []
        assert not any(name.startswith(("tests/", "scripts/")) for name in names)

    def test_compiler_flags_fit_every_processor(
        self, build_without_openmp: tuple[Path, str]
    ) -> None:
        _, log = build_without_openmp
        commands = [line for line in log.splitlines() if "_walks.c" in line and " -c " in line]
        assert commands
        for line in commands:
            assert "-ffp-contract=off" in line
            assert "-O3" in line
            assert not re.search(r"-march=|-mtune=|-mavx|-ffast-math|-Ofast|-fopenmp", line)

    def test_build_without_openmp_gives_the_same_bits(
        self, build_without_openmp: tuple[Path, str], tmp_path: Path
    ) -> None:
        wheel, _ = build_without_openmp
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tmp_path / "lib")
        command = (sys.executable, "-c", DIGESTS)
        here = json.loads(run(*command, cwd=tmp_path))
        other = json.loads(run(*command, cwd=tmp_path, PYTHONPATH=str(tmp_path / "lib")))
        assert not other["openmp"]
        assert Path(other["file"]).is_relative_to(tmp_path / "lib")
        assert not Path(here["file"]).is_relative_to(tmp_path)
        assert other["digests"] == here["digests"]
        for name, digests in here["digests"].items():
            assert digests == here["digests"][f"{name[:-1]}1"]
        assert len({tuple(digests) for digests in here["digests"].values()}) == 6


def test_kernels_do_not_use_the_c_api_of_numpy() -> None:
    sources = [p for p in (ROOT / "graphembed").rglob("*.p[yx]*") if p.suffix in (".pyx", ".pxd")]
    assert len(sources) >= 5
    for path in sources:
        assert "numpy" not in path.read_text(encoding="utf-8")


# -- README ----------------------------------------------------------------------------------


def readme_blocks(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.skipif(SANITIZED, reason="takes many minutes under the sanitizers")
def test_python_of_the_readme_runs(tmp_path: Path) -> None:
    start, _, _ = readme_blocks("python")
    assert len(start.splitlines()) <= 12
    # One package beside the standard library: of all of them the graph is ten times as large.
    setup = (
        "import functools; from graphembed import datasets; datasets.load_python_imports = "
        "functools.partial(datasets.load_python_imports, packages=['numpy'])\n"
    )
    output = run(sys.executable, "-W", "error", "-c", setup + start, cwd=tmp_path)
    assert "128)" in output
    assert (tmp_path / "imports.gemb").exists()


@pytest.mark.slow
@pytest.mark.data
def test_graph_networks_of_the_readme_run(tmp_path: Path) -> None:
    try:
        datasets.load_planetoid("cora", download=False)
    except DatasetNotFoundError as error:
        pytest.skip(f"needs Cora below GRAPHEMBED_DATA: {error}")
    _, networks, _ = readme_blocks("python")
    assert 0.79 < float(run(sys.executable, "-W", "error", "-c", networks, cwd=tmp_path)) < 0.84


@pytest.mark.slow
def test_recommendation_of_the_readme_runs(tmp_path: Path) -> None:
    _, _, recommendation = readme_blocks("python")
    table = run(sys.executable, "-W", "error", "-c", recommendation, cwd=tmp_path)
    recall = {line.split()[0]: line.split()[1] for line in table.splitlines()[2:]}
    assert float(recall["Popularity"]) == min(map(float, recall.values()))
    assert (tmp_path / "items.npz").exists()


@pytest.mark.slow
def test_commands_of_the_readme_run(tmp_path: Path) -> None:
    lines = [line for block in readme_blocks("console") for line in block.splitlines()]
    commands = [line.removeprefix("$ ") for line in lines if "friends.csv" in line]
    commands += [line.removeprefix("$ ") for line in lines if "evaluate karate" in line]
    assert len(commands) == 4
    graphembed_command = f'graphembed() {{ "{sys.executable}" -m graphembed "$@"; }}'
    run("sh", "-e", "-c", "\n".join([graphembed_command, *commands]), cwd=tmp_path)
    assert (tmp_path / "vectors.csv").exists()


@pytest.mark.parametrize("name", ["demo", "test", "bench", "lint", "docs"])
def test_makefile_has_the_target(name: str) -> None:
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
