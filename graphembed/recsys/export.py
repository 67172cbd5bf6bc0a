"""The vectors of a recommender as files, for an index or a database."""

from typing import Any, Literal

import numpy as np

from graphembed._ingest.edge_list import Array
from graphembed._storage import StrPath
from graphembed._validation import boolean, check_params, one_of
from graphembed.io import to_keyed_vectors as make_keyed_vectors
from graphembed.io import write_embedding
from graphembed.recsys.base import Recommender

Side = Literal["items", "users"]
_CONSTRAINTS = {"table": one_of("items", "users"), "normalize": boolean()}


def export_vectors(
    path: StrPath, model: Recommender, *, table: Side = "items", normalize: bool = False
) -> None:
    """Write the vectors of a fitted recommender, with the caller's ids.

    Parameters
    ----------
    path : str or path-like
        Where to, by suffix. ``.npz``: the arrays ``node_ids`` and ``embedding``. ``.parquet``: the
        columns ``id`` and ``vector``, lists of a fixed size (needs pyarrow). ``.csv`` and ``.tsv``:
        a column for each component. ``.txt`` and ``.w2v``: word2vec text. ``.bin``: word2vec
        binary.
    model : Recommender
        A fitted model that has vectors.
    table : {"items", "users"}, default="items"
        Whose vectors.
    normalize : bool, default=False
        Divide every vector by its length; then the inner product is the cosine, and an index for
        one is one for the other. Zero vectors stay zero. The ranking of a model that scores by
        inner products changes.

    Raises
    ------
    AttributeError
        If the model has no vectors.
    ValueError
        If the suffix is unknown, or the format cannot hold the ids; the message says which can.

    See Also
    --------
    graphembed.io.read_embedding : Reads all these files.
    graphembed.io.write_embedding : Writes vectors of any other origin.

    Notes
    -----
    One pass over the table; the file appears when it is complete.
    """
    if not isinstance(model, Recommender):
        raise TypeError(
            f"model must be a fitted recommender, got {type(model).__name__}: the call is "
            "export_vectors(path, model)"
        )
    ids, vectors = _vectors(model, table, normalize)
    is_parquet = str(path).lower().endswith(".parquet")
    write_embedding(path, ids, vectors, vector="vector" if is_parquet else None)


def to_keyed_vectors(model: Recommender, *, table: Side = "items", normalize: bool = False) -> Any:
    """Turn the vectors of a fitted recommender into gensim's ``KeyedVectors``.

    Parameters
    ----------
    model : Recommender
        A fitted model that has vectors.
    table : {"items", "users"}, default="items"
        Whose vectors.
    normalize : bool, default=False
        Divide every vector by its length.

    Returns
    -------
    gensim.models.KeyedVectors
        Keys are ``str(id)``; ``most_similar`` asks for cosines.

    Raises
    ------
    ImportError
        If gensim is not installed; the message holds the pip command.
    AttributeError
        If the model has no vectors.
    """
    return make_keyed_vectors(*_vectors(model, table, normalize))


def _vectors(model: Recommender, table: str, normalize: bool) -> tuple[Array, Array]:
    check_params({"table": table, "normalize": normalize}, _CONSTRAINTS)
    vectors: Array = np.asarray(model.item_vectors if table == "items" else model.user_vectors)
    ids = model.train_.item_ids if table == "items" else model.train_.user_ids
    if normalize:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors / np.where(lengths > 0, lengths, 1)
    return ids, vectors
