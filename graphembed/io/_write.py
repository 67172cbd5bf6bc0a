"""Writing an embedding in the format that the file's suffix names."""

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from graphembed._storage import StrPath, atomic_path, encode_ids
from graphembed._validation import import_optional
from graphembed.io._read import MODEL_SUFFIX
from graphembed.io._word2vec import (
    DIGITS,
    NodeIds,
    as_texts,
    as_values,
    as_words,
    check_embedding,
    check_encodable,
    rows_per_block,
    write_word2vec,
)


def write_embedding(
    path: StrPath,
    node_ids: NodeIds,
    embedding: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    vector: str | None = None,
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
    vector : str, optional
        For ``.parquet`` only: one column of this name with the whole vectors, as lists of a fixed
        size, instead of a column for each component. Vector databases read these.

    Raises
    ------
    ValueError
        If the suffix is unknown, or the format cannot hold the ids; the message says which can. If
        `vector` is given for another format, or together with `names`.
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
    if vector is None:
        _WRITERS[suffix](path, node_ids, embedding, names)
    elif suffix != ".parquet" or names is not None or vector == "id":
        raise ValueError(
            f"vector={vector!r} names the one column beside 'id' of a .parquet file; it goes with "
            "no other format, and not with names"
        )
    else:
        _write_parquet(path, node_ids, embedding, None, vector)


def check_node_ids(path: StrPath, node_ids: NodeIds) -> None:
    """Raise, before there are vectors, if the format of `path` cannot hold the node ids.

    Parameters
    ----------
    path : str or path-like
        The file to be written: with a suffix of `write_embedding`, or ``.gemb`` for a model.
    node_ids : ndarray or sequence of length n_nodes
        The ids.

    Raises
    ------
    TypeError
        If a model file cannot hold the type of an id.
    ValueError
        If the suffix is unknown, or the format cannot hold the ids; the message says which can.

    Notes
    -----
    These are the checks of the writers themselves, O(total length of the ids).
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _SPELLINGS:
        known = ", ".join(_SPELLINGS)
        raise ValueError(f"path must end in one of {known}, got {os.fspath(path)!r}")
    _SPELLINGS[suffix](node_ids)


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
        ids = _npz_ids(node_ids)
        with temporary.open("wb") as file:
            np.savez(file, node_ids=np.asarray(ids), embedding=table)


def _write_parquet(
    path: StrPath,
    node_ids: NodeIds,
    embedding: np.ndarray,
    names: Sequence[str] | None,
    vector: str | None = None,
) -> None:
    pyarrow = import_optional("pyarrow", extra="all")
    parquet = import_optional("pyarrow.parquet", extra="all")
    with atomic_path(path) as temporary:
        table = check_embedding(node_ids, embedding)
        ids = _parquet_ids(node_ids)
        id_type = pyarrow.string() if isinstance(ids, list) else pyarrow.int64()
        value_type = pyarrow.from_numpy_dtype(table.dtype)
        if vector is None:
            header = _check_names(names, table.shape[1])
            fields = [pyarrow.field(name, value_type) for name in header]
        else:
            fields = [pyarrow.field(vector, pyarrow.list_(value_type, table.shape[1]))]
        schema = pyarrow.schema([pyarrow.field("id", id_type), *fields])
        rows = rows_per_block(table)
        with temporary.open("wb") as file, parquet.ParquetWriter(file, schema) as writer:
            for low in range(0, len(ids), rows):
                block = table[low : low + rows]
                if vector is None:
                    columns = list(map(pyarrow.array, np.ascontiguousarray(block.T)))
                else:
                    flat = pyarrow.array(np.ascontiguousarray(block).ravel())
                    columns = [pyarrow.FixedSizeListArray.from_arrays(flat, table.shape[1])]
                arrays = [pyarrow.array(ids[low : low + rows], id_type), *columns]
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _npz_ids(node_ids: NodeIds) -> np.ndarray | list[str]:
    ids = _one_type(node_ids, ".npz")
    if isinstance(ids, list):
        for position, text in enumerate(ids):
            if text.endswith("\0"):
                raise ValueError(
                    f"node id {text!r} at position {position} ends in a zero character, which "
                    "a numpy str array drops: rename it, or write .parquet"
                )
    return ids


def _parquet_ids(node_ids: NodeIds) -> np.ndarray | list[str]:
    ids = _one_type(node_ids, ".parquet")
    if isinstance(ids, list):
        check_encodable(ids)
    return ids


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
EMBEDDING_SUFFIXES = tuple(_WRITERS)

# how the writer of each suffix spells ids, which raises where it cannot
_SPELLINGS: dict[str, Callable[[NodeIds], object]] = {
    ".csv": as_texts,
    ".tsv": as_texts,
    ".npz": _npz_ids,
    ".parquet": _parquet_ids,
    ".txt": as_words,
    ".w2v": as_words,
    ".bin": as_words,
    MODEL_SUFFIX: encode_ids,
}
