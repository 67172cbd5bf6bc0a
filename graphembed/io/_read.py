"""Reading an embedding back from any format that is written here."""

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from graphembed._storage import StrPath
from graphembed._validation import import_optional
from graphembed.exceptions import FileFormatError
from graphembed.io._models import load_model
from graphembed.io._word2vec import read_word2vec

MODEL_SUFFIX: Final = ".gemb"


def read_embedding(path: StrPath) -> tuple[list[str], npt.NDArray[np.floating[Any]]]:
    """Read node ids and vectors from any file that `write_embedding` or `save_model` has written.

    Parameters
    ----------
    path : str or path-like
        The file; its suffix names the format.

    Returns
    -------
    node_ids : list of str
        The ids as text: most of the formats hold no types.
    embedding : ndarray of shape (n_nodes, n_components)
        Row i belongs to ``node_ids[i]``.

    Raises
    ------
    ValueError
        If the suffix is unknown.
    FileFormatError
        If the file does not hold what its suffix promises; the message says where.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise ValueError(
            f"an embedding must end in one of {', '.join(_READERS)}, got {str(path)!r}"
        )
    try:
        node_ids, embedding = _READERS[suffix](path)
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: not UTF-8 text: {error}") from error
    except csv.Error as error:
        raise FileFormatError(f"{path}: {error}") from error
    return [str(node_id) for node_id in node_ids], embedding


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
    if table.num_columns == 2 and pyarrow.types.is_fixed_size_list(table.schema.types[1]):
        vectors = table.column(1).combine_chunks()
        size = vectors.type.list_size
        return table.column(0).to_pylist(), vectors.flatten().to_numpy().reshape(-1, size)
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
