"""The files that a command names: graphs, embeddings and labels in, embeddings out."""

import csv
import errno
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from graphembed._storage import MAGIC
from graphembed._validation import import_optional
from graphembed.exceptions import FileFormatError
from graphembed.graph import Graph
from graphembed.io import load_model, read_word2vec, write_embedding

MODEL_SUFFIX: Final = ".gemb"
EMBEDDING_SUFFIXES: Final = (".csv", ".tsv", ".npz", ".parquet", ".txt", ".w2v", ".bin")
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
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "the output is a folder", str(path))
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the output's folder does not exist", str(folder))
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise PermissionError(errno.EACCES, "the output cannot be written", str(path))
    if source is not None and source.exists() and path.exists() and path.samefile(source):
        raise ValueError(f"the output would overwrite the input {str(source)!r}")
    if suffix == ".parquet":
        import_optional("pyarrow", extra="all")


def write_fitted(path: Path, model: Any) -> None:
    """Write the vectors of a fitted estimator, or the estimator itself to a model file."""
    if path.suffix.lower() == MODEL_SUFFIX:
        model.save(path)
    else:
        write_embedding(path, model.node_ids_, model.embedding_)


def read_embedding(path: Path) -> tuple[list[str], npt.NDArray[np.floating[Any]]]:
    """Read node ids, as text, and vectors from any file that `write_fitted` writes."""
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise ValueError(
            f"an embedding must end in one of {', '.join(_READERS)}, got {str(path)!r}"
        )
    with _utf8(path):
        node_ids, embedding = _READERS[suffix](path)
    return [str(node_id) for node_id in node_ids], embedding


@contextmanager
def _utf8(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: not UTF-8 text: {error}") from error


def _read_csv(path: Path, delimiter: str = ",") -> tuple[list[str], npt.NDArray[np.float64]]:
    ids: list[str] = []
    rows: list[npt.NDArray[np.float64]] = []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        width = len(next(reader, []))
        if width < 2:
            raise FileFormatError(f"{path}: a header 'id{delimiter}...' with a column is missing")
        for fields in reader:
            if len(fields) != width:
                raise FileFormatError(
                    f"{path}, line {reader.line_num}: {width} columns wanted, got {len(fields)}"
                )
            ids.append(fields[0])
            try:
                rows.append(np.array(fields[1:], dtype=np.float64))
            except ValueError as error:
                raise FileFormatError(f"{path}, line {reader.line_num}: {error}") from error
    return ids, np.array(rows).reshape(len(rows), width - 1)


def _read_tsv(path: Path) -> tuple[list[str], npt.NDArray[np.float64]]:
    return _read_csv(path, "\t")


def _read_npz(path: Path) -> tuple[list[Any], npt.NDArray[np.floating[Any]]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            node_ids, embedding = arrays["node_ids"], arrays["embedding"]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise FileFormatError(
            f"{path}: not an .npz file with node_ids and embedding: {error}"
        ) from error
    if embedding.ndim != 2 or node_ids.shape != embedding.shape[:1]:
        raise FileFormatError(
            f"{path}: node_ids of shape {node_ids.shape} do not match "
            f"an embedding of shape {embedding.shape}"
        )
    return node_ids.tolist(), embedding


def _read_parquet(path: Path) -> tuple[list[Any], npt.NDArray[np.floating[Any]]]:
    pyarrow = import_optional("pyarrow", extra="all")
    parquet = import_optional("pyarrow.parquet", extra="all")
    try:
        table = parquet.read_table(path)
    except pyarrow.ArrowInvalid as error:
        raise FileFormatError(f"{path}: {error}") from error
    if table.num_columns < 2 or table.column_names[0] != "id":
        raise FileFormatError(
            f"{path}: the first of at least two columns must be 'id', got {table.column_names[:3]}"
        )
    columns = [column.to_numpy() for column in table.columns[1:]]
    return table.column(0).to_pylist(), np.column_stack(columns)


def _read_w2v_text(path: Path) -> tuple[Any, npt.NDArray[np.floating[Any]]]:
    return read_word2vec(path, binary=False)


def _read_w2v_binary(path: Path) -> tuple[Any, npt.NDArray[np.floating[Any]]]:
    return read_word2vec(path, binary=True)


def _read_model(path: Path) -> tuple[Any, npt.NDArray[np.floating[Any]]]:
    model = load_model(path)
    if "embedding" not in model.arrays:
        raise FileFormatError(f"{path}: the saved {model.estimator} has no embedding")
    return model.node_ids, model.arrays["embedding"]


_READERS: Final[dict[str, Callable[[Path], tuple[Any, npt.NDArray[np.floating[Any]]]]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".npz": _read_npz,
    ".parquet": _read_parquet,
    ".txt": _read_w2v_text,
    ".w2v": _read_w2v_text,
    ".bin": _read_w2v_binary,
    MODEL_SUFFIX: _read_model,
}


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
    with _utf8(path):
        lines = list(_label_lines(path))
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
