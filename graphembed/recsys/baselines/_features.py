"""Features of items, from arrays, sparse matrices or text, as weighted rows of length 1."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize


def read_features(features: Any, n_items: int, *, weight: bool) -> sp.csr_matrix:
    """Return float32 rows of length 1; `weight` multiplies by ``log(n / df)``."""
    if features is None:
        raise ValueError(
            "item_features must be given: an array, a sparse matrix or a list of texts, one row "
            "for each item of train"
        )
    check_rows(features, n_items)
    texts = texts_of(features)
    rows = sp.csr_matrix(
        features if texts is None else CountVectorizer().fit_transform(texts), dtype=np.float64
    )
    bad = np.flatnonzero(~np.isfinite(rows.data))
    if len(bad):
        row = int(np.searchsorted(rows.indptr, bad[0], side="right")) - 1
        raise ValueError(f"item_features must be finite, but row {row} is not")
    if weight:
        counts = np.bincount(rows.indices[rows.data != 0], minlength=rows.shape[1])
        idf = np.log(n_items / np.maximum(1, counts))
        rows = sp.csr_matrix(rows.multiply(idf[np.newaxis]))
    return sp.csr_matrix(normalize(rows), dtype=np.float32)


def check_rows(features: Any, n_items: int) -> None:
    """Raise if there is not one row for each item."""
    if isinstance(features, str) or (not np.ndim(features) and not hasattr(features, "shape")):
        raise ValueError(
            "item_features must be an array, a sparse matrix or a list of texts, got "
            f"{type(features).__name__}"
        )
    n_rows = features.shape[0] if hasattr(features, "shape") else len(features)
    if n_rows != n_items:
        raise ValueError(
            f"item_features must have a row for each of the {n_items} items of train, got {n_rows}"
        )


def texts_of(features: Any) -> list[str] | None:
    """Texts of a list, an array or a Series; None if they are no texts."""
    if hasattr(features, "columns"):
        try:
            np.asarray(features, np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                "item_features is a data frame whose columns are not all numbers: pass one column "
                "of texts"
            ) from error
    if not isinstance(features, Sequence) and np.ndim(features) != 1:
        return None
    values = list(features)
    strings = [isinstance(value, str) for value in values]
    if any(strings) and not all(strings):
        k = strings.index(False)
        raise ValueError(f"item_features must be texts, but row {k} is {values[k]!r:.80}")
    return values if all(strings) and values else None
