"""The files that a command names: graphs, embeddings and labels in, embeddings out."""

import csv
import errno
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from scipy import sparse

from graphembed._storage import MAGIC
from graphembed._validation import import_optional
from graphembed.exceptions import FileFormatError
from graphembed.graph import Graph
from graphembed.io import EMBEDDING_SUFFIXES, MODEL_SUFFIX, load_model, write_embedding

DELIMITERS: Final = {"auto": None, "csv": ",", "tsv": "\t", "space": " "}
_LABEL_HEADERS: Final = ("id", "node", "node_id", "nodeid")


class NodeLabels(NamedTuple):
    """Labels of the nodes of an embedding: which node has which, and their names."""

    indicator: sparse.csr_array  # bool (n_nodes, n_labels)
    names: list[str]


def read_graph(
    path: Path,
    *,
    directed: bool = False,
    weighted: bool = True,
    source: str | None = None,
    target: str | None = None,
    weight: str = "weight",
    file_format: str = "auto",
) -> Graph:
    """Read an edge list, or a graph that was saved with `Graph.save`.

    A saved graph knows by itself whether it is directed and what its columns were.
    """
    with path.open("rb") as file:
        is_saved = file.read(len(MAGIC)) == MAGIC
    if not is_saved:
        return Graph.from_edge_list_file(
            path,
            source=source,
            target=target,
            weight=weight if weighted else None,
            directed=directed,
            delimiter=DELIMITERS[file_format],
        )
    if directed or source or target or not weighted or weight != "weight" or file_format != "auto":
        raise ValueError(
            f"{path} is a saved graph: directed, weighted, source, target, weight and format "
            "are for edge lists only"
        )
    return Graph.load(path)


def check_output(path: Path, *, source: Path | None = None) -> None:
    """Raise, before any work is done, if an embedding cannot be written to `path`."""
    suffix = path.suffix.lower()
    if suffix not in (*EMBEDDING_SUFFIXES, MODEL_SUFFIX):
        known = ", ".join((*EMBEDDING_SUFFIXES, MODEL_SUFFIX))
        raise ValueError(f"the output must end in one of {known}, got {str(path)!r}")
    check_writable(path)
    if source is not None and source.exists() and path.exists() and path.samefile(source):
        raise ValueError(f"the output would overwrite the input {str(source)!r}")
    if suffix == ".parquet":
        import_optional("pyarrow", extra="all")


def check_writable(path: Path) -> None:
    """Raise if a file cannot be written to `path`."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "the output is a folder", str(path))
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the output's folder does not exist", str(folder))
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise PermissionError(errno.EACCES, "the output cannot be written", str(path))


def read_growing(path: Path) -> Any:
    """Read a model that can grow; raise ValueError if it cannot."""
    from graphembed.estimators import DeepWalk, Node2Vec

    kinds = {kind.__name__: kind for kind in (DeepWalk, Node2Vec)}
    name = load_model(path).estimator
    if name not in kinds:
        raise ValueError(f"{path}: a {name} does not grow, only {' and '.join(kinds)} do")
    model = kinds[name].load(path)
    try:
        model._memory_to_grow()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return model


def write_fitted(path: Path, model: Any) -> None:
    """Write the vectors of a fitted estimator, or the estimator itself to a model file."""
    if path.suffix.lower() == MODEL_SUFFIX:
        model.save(path)
    else:
        write_embedding(path, model.node_ids_, model.embedding_)


def read_labels(path: Path, node_ids: list[str]) -> NodeLabels:
    """Read lines of a node id and a label; a node with several labels has several lines.

    The columns are separated by a tab, a comma, a semicolon or blanks, whichever the first line
    has. Empty lines and lines that begin with ``#`` are skipped, and so is a header
    ``id,<anything>``. Nodes without a line have no label; lines of nodes that are not in
    `node_ids` are left out with a warning.
    """
    index = {node_id: i for i, node_id in enumerate(node_ids)}
    codes: dict[str, int] = {}
    entries: list[tuple[int, int]] = []
    strangers: list[tuple[int, str]] = []
    try:
        lines = list(_label_lines(path))
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: not UTF-8 text: {error}") from error
    for position, (number, node_id, label) in enumerate(lines):
        if node_id in index:
            entries.append((index[node_id], codes.setdefault(label, len(codes))))
        elif position > 0 or node_id.lower() not in _LABEL_HEADERS:
            strangers.append((number, node_id))
    if not entries:
        hint = f", such as {strangers[0][1]!r} in line {strangers[0][0]}" if strangers else ""
        raise ValueError(f"{path}: no line labels a node of the embedding{hint}")
    if strangers:
        number, node_id = strangers[0]
        warnings.warn(
            f"{path}: {len(strangers)} lines were left out because their node is not in the "
            f"embedding, the first one is line {number}: {node_id!r}",
            stacklevel=2,
        )
    rows, columns = np.array(entries, dtype=np.int64).T
    indicator = sparse.csr_array(
        (np.ones(len(entries), dtype=bool), (rows, columns)), shape=(len(node_ids), len(codes))
    )
    return NodeLabels(indicator, list(codes))


def _label_lines(path: Path) -> Iterator[tuple[int, str, str]]:
    delimiter: str | None = None
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            delimiter = delimiter or next((sign for sign in "\t,;" if sign in text), " ")
            fields = _split(text, delimiter)
            if len(fields) != 2 or "" in fields:
                raise FileFormatError(
                    f"{path}, line {number}: a node id and one label wanted, got {text[:80]!r}"
                )
            yield number, fields[0], fields[1]


def _split(text: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return re.split(r"\s+", text)
    return [field.strip() for field in next(csv.reader([text], delimiter=delimiter))]
