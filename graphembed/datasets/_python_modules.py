"""Finding the modules of a Python installation and their import statements; nothing is imported."""

import ast
import logging
import os
import re
import site
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

_logger = logging.getLogger(__name__)

MAX_SOURCE_BYTES = 1_000_000  # what is larger was generated: tables, not code
_MAX_DEPTH = 32
_IMPORT = re.compile(rb"\bimport\b")
_LINE_AT_MARGIN = re.compile(rb"^[^\s#)\]}]", re.MULTILINE)


@dataclass(frozen=True)
class Module:
    """A module; `source` is None where it is compiled or built in."""

    source: Path | None
    is_package: bool = False


@dataclass(frozen=True)
class ImportStatement:
    """``import base`` (no `names`), or ``from base import names``; `level` counts the dots."""

    base: str
    names: tuple[str, ...] = ()
    level: int = 0


def standard_folders() -> list[Path]:
    """Folders of the standard library."""
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    platstdlib = Path(sysconfig.get_paths()["platstdlib"])
    folders = [stdlib, platstdlib, stdlib / "lib-dynload", Path(sys.base_prefix) / "DLLs"]
    return [folder for folder in folders if folder.is_dir()]


def site_folders() -> list[Path]:
    """Folders of installed packages, in the order in which Python searches them."""
    paths = sysconfig.get_paths()
    names = [*site.getsitepackages(), paths["purelib"], paths["platlib"]]
    if site.ENABLE_USER_SITE:
        names.insert(0, site.getusersitepackages())
    folders = dict.fromkeys(Path(name) for name in names)
    return [folder for folder in folders if folder.is_dir()]


def is_test(name: str) -> bool:
    """True for the usual names of test folders and test modules."""
    return name in ("test", "tests", "conftest") or (
        name.startswith("test_") or name.endswith(("_test", "_tests"))
    )


def find_modules(
    folder: Path,
    modules: dict[str, Module],
    *,
    include_tests: bool = False,
    wanted: Callable[[str], bool] = lambda top_level: True,
) -> None:
    """Add the modules below `folder` to `modules`; those already there take precedence.

    Folders without ``__init__.py`` count as namespace packages: they are searched, but are no
    module themselves. Folders whose name is no identifier cannot be imported and are left out.
    Links to folders are followed, but no folder is entered twice.
    """
    entered: set[tuple[int, int]] = set()

    def search(path: Path, prefix: str, depth: int) -> None:
        status = path.stat()
        if depth > _MAX_DEPTH or (status.st_dev, status.st_ino) in entered:
            return
        entered.add((status.st_dev, status.st_ino))
        folders, sources, compiled = _importable(path)
        if prefix and "__init__" in sources:
            if prefix in modules:
                return  # shadowed by a package of an earlier folder
            modules[prefix] = Module(sources.pop("__init__"), is_package=True)
        for name, child in folders.items():
            if accepted(name, prefix):
                search(child, prefix + "." + name if prefix else name, depth + 1)
        for files in (sources, compiled):
            for name, file in files.items():
                if accepted(name, prefix):
                    source = file if files is sources else None
                    modules.setdefault(prefix + "." + name if prefix else name, Module(source))

    def accepted(name: str, prefix: str) -> bool:
        return (include_tests or not is_test(name)) and (bool(prefix) or wanted(name))

    search(folder, "", 0)


def _importable(path: Path) -> tuple[dict[str, Path], dict[str, Path], dict[str, Path]]:
    """Folders, source files and compiled files in a folder that have a module's name, sorted."""
    folders: dict[str, Path] = {}
    sources: dict[str, Path] = {}
    compiled: dict[str, Path] = {}
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        _logger.warning("cannot list %s: %s", path, error)
        return folders, sources, compiled
    for entry in entries:
        stem = entry.name
        if stem.isidentifier() and stem != "__pycache__" and entry.is_dir():
            folders[stem] = Path(entry.path)
        elif stem.endswith(".py") and stem[:-3].isidentifier() and entry.is_file():
            sources[stem[:-3]] = Path(entry.path)
        else:
            stem = next((stem.removesuffix(s) for s in EXTENSION_SUFFIXES if stem.endswith(s)), "")
            if stem.isidentifier() and entry.is_file():
                compiled[stem] = Path(entry.path)
    return folders, sources, compiled


def read_imports(source: Path) -> list[ImportStatement] | None:
    """Import statements of a file, at any depth of it; None if it is too large or does not parse.

    The file is parsed to the end of the block with the last word ``import`` only.
    """
    try:
        with source.open("rb") as stream:
            text = stream.read(MAX_SOURCE_BYTES + 1)
        if len(text) > MAX_SOURCE_BYTES:
            raise ValueError(f"larger than {MAX_SOURCE_BYTES} bytes")
        tree = _parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError) as error:
        _logger.debug("skipped %s: %s", source, error)
        return None
    return [item for node in _import_nodes(tree) for item in _statements(node)]


def _parse(text: bytes) -> ast.Module:
    """Parse what may hold imports: half of the time of parsing everything, with the same result.

    If the cut went through a string or a statement, the shorter text is no valid Python.
    """
    ends = [match.end() for match in _IMPORT.finditer(text)]
    if not ends:
        return ast.Module(body=[], type_ignores=[])
    margin = _LINE_AT_MARGIN.search(text, ends[-1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's invalid escapes
        if margin is not None:
            try:
                return ast.parse(text[: margin.start()])
            except SyntaxError:
                pass  # cut in the middle of something
        return ast.parse(text)


def _import_nodes(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Visit statements only: no expression contains an import."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
            continue
        for field in ("body", "orelse", "handlers", "finalbody", "cases"):
            block = getattr(node, field, None)
            if isinstance(block, list):  # the body of a lambda or of `x if y` is no block
                pending.extend(block)


def _statements(node: ast.Import | ast.ImportFrom) -> list[ImportStatement]:
    names = tuple(alias.name for alias in node.names)
    if isinstance(node, ast.Import):
        return [ImportStatement(name) for name in names]
    return [ImportStatement(node.module or "", names, node.level)]
