"""The import graph of the running Python: a real graph that is on every machine."""

import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from tqdm import tqdm

from graphembed._validation import boolean, check_params, int_at_least
from graphembed.datasets._dataset import Dataset
from graphembed.datasets._python_modules import (
    ImportStatement,
    Module,
    find_modules,
    read_imports,
    site_folders,
    standard_folders,
)
from graphembed.datasets._registry import registry
from graphembed.exceptions import DatasetNotFoundError
from graphembed.graph import Graph

_logger = logging.getLogger(__name__)

_CONSTRAINTS = {
    "directed": boolean(),
    "include_tests": boolean(),
    "keep_isolated": boolean(),
    "min_label_size": int_at_least(1),
    "verbose": int_at_least(0),
}


def load_python_imports(
    *,
    packages: Iterable[str] | None = None,
    directed: bool = False,
    include_tests: bool = False,
    keep_isolated: bool = False,
    min_label_size: int = 20,
    verbose: int = 0,
) -> Dataset:
    """Make the import graph of the running Python. Needs no download and imports nothing.

    Nodes are the modules of the standard library and of the installed packages, named as in
    ``import``; an edge says that one imports the other, wherever in the file the statement stands.
    ``from a import b`` leads to the module ``a.b`` if there is one, else to ``a``; a module that
    was not found counts as the nearest package above it. Compiled and built-in modules have edges
    only from those who import them. The label of a module is its top-level package.

    Parameters
    ----------
    packages : iterable of str, optional
        Top-level names of the installed packages to read, beside the standard library. By default
        all.
    directed : bool, default=False
        True keeps the direction, from the importing to the imported module.
    include_tests : bool, default=False
        True includes folders and modules named like tests.
    keep_isolated : bool, default=False
        True keeps modules without any edge.
    min_label_size : int, default=20
        Packages with fewer modules in the graph get no label, -1.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Dataset
        Nodes sorted by name, without weights or self-loops; classes sorted by size, largest first.
        The same installation gives the same graph.

    Raises
    ------
    ValueError
        If `packages` names something that is not installed.
    DatasetNotFoundError
        If there is no source code (an embedded Python, for example).

    Notes
    -----
    Reads and parses every source file of at most 1 MB: a few seconds for the core dependencies,
    up to half a minute for an environment with PyTorch. Files that do not parse (up to their last
    import) are left without imports, and their number is logged.
    """
    options = {
        "directed": directed,
        "include_tests": include_tests,
        "keep_isolated": keep_isolated,
        "min_label_size": min_label_size,
        "verbose": verbose,
    }
    check_params(options, _CONSTRAINTS, owner="load_python_imports")
    modules = installed_modules(_check_packages(packages), include_tests=include_tests)
    names = sorted(modules)
    arcs = _arcs(names, modules, verbose=verbose)
    if not keep_isolated:
        connected = np.unique(arcs)
        arcs = np.searchsorted(connected, arcs)
        names = [names[i] for i in connected]
    if not names:
        raise DatasetNotFoundError(
            f"no Python sources with imports in {[str(path) for path in standard_folders()]}"
        )
    labels, label_names = package_labels(names, min_size=min_label_size)
    return Dataset(
        "python-imports",
        _graph(arcs, names, directed=directed),
        labels,
        label_names,
        registry()["python-imports"].description,
    )


def _check_packages(packages: Iterable[str] | None) -> frozenset[str] | None:
    if packages is None:
        return None
    names = [packages] if isinstance(packages, str) else list(packages)
    for name in names:
        if isinstance(packages, str) or not isinstance(name, str) or not name.isidentifier():
            raise ValueError(
                f'packages must hold names of packages, like ["numpy", "scipy"], got {name!r}'
            )
    return frozenset(names)


def installed_modules(
    packages: frozenset[str] | None, *, include_tests: bool = False
) -> dict[str, Module]:
    """Find the modules of the standard library and of the installed packages (None: of all)."""
    modules = {name: Module(None) for name in sys.builtin_module_names}
    for folder in standard_folders():
        find_modules(folder, modules, include_tests=include_tests)
    seen: set[str] = set()

    def wanted(top_level: str) -> bool:
        seen.add(top_level)
        return packages is None or top_level in packages

    for folder in site_folders():
        find_modules(folder, modules, include_tests=include_tests, wanted=wanted)
    missing = sorted(packages - seen) if packages else []
    if missing:
        raise ValueError(
            f"packages must be installed, got {missing[0]!r}, which is in none of "
            f"{[str(path) for path in site_folders()]}"
        )
    return modules


def _arcs(
    names: Sequence[str], modules: Mapping[str, Module], *, verbose: int
) -> npt.NDArray[np.int64]:
    """Pairs (importing, imported) as positions in `names`."""
    position = {name: i for i, name in enumerate(names)}
    arcs = []
    n_skipped = 0
    for name in tqdm(names, desc="reading modules", unit="module", disable=not verbose):
        module = modules[name]
        statements = [] if module.source is None else read_imports(module.source)
        if statements is None:
            n_skipped += 1
            continue
        for target in imported_modules(name, module.is_package, statements, modules):
            arcs.append((position[name], position[target]))
    _logger.info("%d modules, %d imports, %d files skipped", len(names), len(arcs), n_skipped)
    return np.array(arcs, dtype=np.int64).reshape(-1, 2)


def imported_modules(
    name: str,
    is_package: bool,
    statements: Iterable[ImportStatement],
    modules: Mapping[str, Module],
) -> set[str]:
    """Resolve the import statements of the module `name` to modules that exist."""
    found = {
        target
        for statement in statements
        for path in _paths(name, is_package, statement, modules)
        if (target := _nearest(path, modules)) is not None
    }
    found.discard(name)
    return found


def _paths(
    name: str, is_package: bool, statement: ImportStatement, modules: Mapping[str, Module]
) -> Iterator[str]:
    base = statement.base
    if statement.level:
        parents = name.split(".") if is_package else name.split(".")[:-1]
        n_kept = len(parents) - (statement.level - 1)
        if n_kept < 1:
            return  # "attempted relative import beyond top-level package"
        base = ".".join([*parents[:n_kept], *filter(None, [base])])
    if not statement.names:
        yield base
    for member in statement.names:
        yield f"{base}.{member}" if f"{base}.{member}" in modules else base


def _nearest(path: str, modules: Mapping[str, Module]) -> str | None:
    """Give the module itself, or the nearest package above it that exists."""
    while path and path not in modules:
        path = path.rpartition(".")[0]
    return path or None


def package_labels(
    names: Sequence[str], *, min_size: int
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Number the top-level packages with at least `min_size` modules, largest first."""
    packages = [name.partition(".")[0] for name in names]
    sizes = Counter(packages)
    kept = sorted((p for p, n in sizes.items() if n >= min_size), key=lambda p: (-sizes[p], p))
    number = {package: k for k, package in enumerate(kept)}
    return np.array([number.get(package, -1) for package in packages], np.int64), tuple(kept)


def _graph(arcs: npt.NDArray[np.int64], names: Sequence[str], *, directed: bool) -> Graph:
    source, target = arcs.T
    if not directed:
        source, target = np.concatenate([source, target]), np.concatenate([target, source])
    ones = np.ones(len(source), dtype=np.int8)
    matrix = sp.coo_array((ones, (source, target)), shape=(len(names), len(names)))
    return Graph.from_scipy(matrix, directed=directed, nodes=names, weighted=False)
