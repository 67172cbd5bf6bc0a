"""Saved models, and the way to gensim's ``KeyedVectors``."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from graphembed._storage import StrPath, decode_ids, encode_ids, read_arrays, write_arrays
from graphembed._validation import import_optional
from graphembed.exceptions import FileFormatError
from graphembed.io._word2vec import NodeIds, as_texts, check_embedding

_IDS = "node_ids"


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
