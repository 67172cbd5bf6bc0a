"""Embeddings and models as files: word2vec, csv, npz, parquet, and graphembed's own format.

Every writer is atomic: the old file stays as it was until the new one is complete on the disk.
"""

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from graphembed._storage import (
    StrPath,
    atomic_path,
    decode_ids,
    encode_ids,
    read_arrays,
    write_arrays,
)
from graphembed._validation import import_optional
from graphembed._word2vec import (
    DIGITS,
    NodeIds,
    as_texts,
    as_values,
    check_embedding,
    check_encodable,
    read_word2vec,
    rows_per_block,
    write_word2vec,
)
from graphembed.exceptions import FileFormatError

__all__ = [
    "ModelFile",
    "load_model",
    "read_word2vec",
    "save_model",
    "to_keyed_vectors",
    "write_embedding",
    "write_word2vec",
]

_IDS = "node_ids"


def write_embedding(
    path: StrPath,
    node_ids: NodeIds,
    embedding: np.ndarray,
    *,
    names: Sequence[str] | None = None,
) -> None:
    """Write an embedding in the format that the suffix of `path` names.

    Parameters
    ----------
    path : str or path-like
        ``.csv`` and ``.tsv``: header ``id,<names>``, one node a line. ``.npz``: the arrays
        ``node_ids`` and ``embedding``, readable with ``allow_pickle=False``. ``.parquet``: columns
        ``id`` and `names` (needs pyarrow). ``.txt`` and ``.w2v``: word2vec text. ``.bin``:
        word2vec binary.
    node_ids : ndarray or sequence of length n_nodes
        All int or all str for ``.npz`` and ``.parquet``, which keep the type; anything for the
        others, which write ``str(id)``.
    embedding : ndarray of shape (n_nodes, n_components)
        Floats; written without loss (word2vec: as float32).
    names : sequence of str, optional
        Names of the columns; ``x0, x1, ...`` if None. Not used by the formats without any.

    Raises
    ------
    ValueError
        If the suffix is unknown, or the format cannot hold the ids; the message says which can.
    ImportError
        If pyarrow is needed and not installed; the message holds the pip command.
    OSError
        If the file cannot be written.

    Notes
    -----
    O(n_nodes * n_components) time; memory for the ids and a block of values.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise ValueError(f"path must end in one of {known}, got {os.fspath(path)!r}")
    _WRITERS[suffix](path, node_ids, embedding, names)


def _check_names(names: Sequence[str] | None, n_components: int) -> list[str]:
    if names is None:
        return [f"x{i}" for i in range(n_components)]
    if len(names) != n_components or len({"id", *names}) != n_components + 1:
        raise ValueError(f"names must be {n_components} distinct names other than 'id'")
    return list(names)


def _write_csv(
    path: StrPath,
    node_ids: NodeIds,
    embedding: np.ndarray,
    names: Sequence[str] | None,
    delimiter: str = ",",
) -> None:
    with atomic_path(path) as temporary:
        table = check_embedding(node_ids, embedding)
        header = ["id", *_check_names(names, table.shape[1])]
        texts = as_texts(node_ids)
        line = " ".join([DIGITS[table.dtype.itemsize]] * table.shape[1])
        with temporary.open("w", encoding="utf-8", newline="") as file:
            plain = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            quoted = csv.writer(
                file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL
            )
            plain.writerow(header)
            for text, row in zip(texts, table, strict=True):
                # Before Python 3.13 csv leaves a lone carriage return unquoted.
                writer = quoted if "\r" in text else plain
                writer.writerow([text, *(line % tuple(row.tolist())).split(" ")])


def _write_tsv(
    path: StrPath, node_ids: NodeIds, embedding: np.ndarray, names: Sequence[str] | None
) -> None:
    _write_csv(path, node_ids, embedding, names, "\t")


def _write_npz(
    path: StrPath, node_ids: NodeIds, embedding: np.ndarray, names: Sequence[str] | None
) -> None:
    with atomic_path(path) as temporary:
        table = check_embedding(node_ids, embedding)
        ids = _one_type(node_ids, ".npz")
        if isinstance(ids, list):
            for position, text in enumerate(ids):
                if text.endswith("\0"):
                    raise ValueError(
                        f"node id {text!r} at position {position} ends in a zero character, which "
                        "a numpy str array drops: rename it, or write .parquet"
                    )
        with temporary.open("wb") as file:
            np.savez(file, node_ids=np.asarray(ids), embedding=table)


def _write_parquet(
    path: StrPath, node_ids: NodeIds, embedding: np.ndarray, names: Sequence[str] | None
) -> None:
    pyarrow = import_optional("pyarrow", extra="all")
    parquet = import_optional("pyarrow.parquet", extra="all")
    with atomic_path(path) as temporary:
        table = check_embedding(node_ids, embedding)
        header = ["id", *_check_names(names, table.shape[1])]
        ids = _one_type(node_ids, ".parquet")
        if isinstance(ids, list):
            check_encodable(ids)
        id_type = pyarrow.string() if isinstance(ids, list) else pyarrow.int64()
        value_type = pyarrow.from_numpy_dtype(table.dtype)
        fields = [pyarrow.field(name, value_type) for name in header[1:]]
        schema = pyarrow.schema([pyarrow.field("id", id_type), *fields])
        rows = rows_per_block(table)
        with temporary.open("wb") as file, parquet.ParquetWriter(file, schema) as writer:
            for low in range(0, len(ids), rows):
                columns = np.ascontiguousarray(table[low : low + rows].T)
                arrays = [
                    pyarrow.array(ids[low : low + rows], id_type),
                    *map(pyarrow.array, columns),
                ]
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _one_type(node_ids: NodeIds, suffix: str) -> np.ndarray | list[str]:
    """Return ids that are all int as an int64 array, ids that are all str as a list."""
    values = as_values(node_ids)
    wanted = str if values and isinstance(values[0], str) else int
    for position, value in enumerate(values):
        fits = isinstance(value, wanted) or (wanted is int and isinstance(value, np.integer))
        if not fits or isinstance(value, bool) or (wanted is int and not -(2**63) <= value < 2**63):
            raise ValueError(
                f"{suffix} holds ids that are all str or all 64-bit int, but the first one is "
                f"{type(values[0]).__name__} and {value!r} at position {position} is "
                f"{type(value).__name__}: convert all to str, or write .csv, or save the model, "
                "which keeps types"
            )
    return values if wanted is str else np.array(values, np.int64)


def _write_word2vec_text(
    path: StrPath, node_ids: NodeIds, embedding: np.ndarray, names: Sequence[str] | None
) -> None:
    write_word2vec(path, node_ids, embedding)


def _write_word2vec_binary(
    path: StrPath, node_ids: NodeIds, embedding: np.ndarray, names: Sequence[str] | None
) -> None:
    write_word2vec(path, node_ids, embedding, binary=True)


_Writer = Callable[[StrPath, NodeIds, np.ndarray, Sequence[str] | None], None]
_WRITERS: dict[str, _Writer] = {
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".npz": _write_npz,
    ".parquet": _write_parquet,
    ".txt": _write_word2vec_text,
    ".w2v": _write_word2vec_text,
    ".bin": _write_word2vec_binary,
}


def to_keyed_vectors(node_ids: NodeIds, embedding: np.ndarray) -> Any:
    """Turn an embedding into gensim's ``KeyedVectors``.

    Parameters
    ----------
    node_ids : ndarray or sequence of length n_nodes
        The keys are ``str(id)``: gensim takes an int key for a row number.
    embedding : ndarray of shape (n_nodes, n_components)
        Floats; converted to float32.

    Returns
    -------
    gensim.models.KeyedVectors
        Key ``i`` and row ``i`` are those of node ``i``.

    Raises
    ------
    ImportError
        If gensim is not installed; the message holds the pip command.
    ValueError
        If two ids read the same, such as 1 and "1"; if the shapes do not match.

    Notes
    -----
    O(n_nodes * n_components) time and memory: gensim copies the table.
    """
    gensim = import_optional("gensim", extra="gensim")
    table = check_embedding(node_ids, embedding)
    vectors = gensim.models.KeyedVectors(table.shape[1], dtype=np.float32)
    vectors.add_vectors(as_texts(node_ids), table.astype(np.float32, copy=False))
    return vectors


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds.

    Parameters
    ----------
    estimator : str
        Name of the estimator's class.
    params : dict
        Its parameters, as given to `save_model`.
    node_ids : ndarray of shape (n_nodes,)
        The ids, types kept.
    arrays : dict of str to ndarray
        The arrays by name.
    """

    estimator: str
    params: dict[str, Any]
    node_ids: np.ndarray
    arrays: dict[str, np.ndarray]


def save_model(
    path: StrPath,
    *,
    estimator: str,
    params: Mapping[str, Any],
    node_ids: NodeIds,
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Save a fitted estimator: atomically, with checksums, without pickle.

    Parameters
    ----------
    path : str or path-like
        The file.
    estimator : str
        Name of the estimator's class.
    params : mapping of str
        Its parameters: None, bool, int, finite float, str, and lists of these.
    node_ids : ndarray or sequence of length n_nodes
        Ids of int, str, float, bool, None, bytes, and tuples of these; types are kept.
    arrays : mapping of str to ndarray
        Fitted arrays; one named ``embedding`` must have a row per node.

    Raises
    ------
    TypeError
        If a parameter, an id or an array cannot be saved; the message names it.
    ValueError
        If the rows of ``embedding`` do not match `node_ids`, or a name is taken.
    OSError
        If the file cannot be written.

    Notes
    -----
    One pass over the arrays, which are not copied.
    """
    id_meta, id_arrays = encode_ids(node_ids)
    for name in arrays:
        if name.startswith(_IDS):
            raise ValueError(f"an array must not be named {name!r}: {_IDS}* holds the node ids")
    if "embedding" in arrays:
        check_embedding(node_ids, arrays["embedding"])
    plain = {name: _plain_param(name, value) for name, value in params.items()}
    write_arrays(
        path,
        kind="model",
        meta={"estimator": estimator, "params": plain, **id_meta},
        arrays={**arrays, **id_arrays},
    )


def _plain_param(name: str, value: Any) -> Any:
    if isinstance(value, (np.bool_, np.number)):
        value = value.item()
    if isinstance(value, list):
        return [_plain_param(name, part) for part in value]
    if value is not None and type(value) not in (bool, int, float, str):
        raise TypeError(
            f"parameter {name}={value!r:.200} has the type {type(value).__name__}, which cannot be "
            f"saved without pickle: set {name} to a number, a str or None before saving"
        )
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"parameter {name} must be finite to be saved, got {value!r}")
    return value


def load_model(path: StrPath) -> ModelFile:
    """Load what `save_model` saved. Nothing in the file is ever executed.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    ModelFile
        Estimator name, parameters, node ids and arrays.

    Raises
    ------
    FileFormatError
        If the file is damaged, foreign, of a newer format, or holds something else than a model.
    OSError
        If the file cannot be read.

    Notes
    -----
    One pass over the file, checksums included.
    """
    meta, arrays = read_arrays(path, kind="model")
    estimator, params = meta.get("estimator"), meta.get("params")
    if not isinstance(estimator, str) or not isinstance(params, dict):
        raise FileFormatError(f"{os.fspath(path)}: the model has no estimator and params")
    try:
        node_ids = decode_ids(meta, arrays)
    except FileFormatError as error:
        raise FileFormatError(f"{os.fspath(path)}: {error}") from error
    embedding = arrays.get("embedding")
    if embedding is not None and (embedding.ndim != 2 or len(embedding) != len(node_ids)):
        raise FileFormatError(
            f"{os.fspath(path)}: the embedding of shape {embedding.shape} does not match "
            f"{len(node_ids)} node ids"
        )
    fitted = {name: array for name, array in arrays.items() if not name.startswith(_IDS)}
    return ModelFile(estimator, params, node_ids, fitted)
