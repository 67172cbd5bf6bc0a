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
    is_text = isinstance(features, Sequence) and all(isinstance(f, str) for f in features)
    n_rows = len(features) if is_text else np.shape(features)[0] if np.ndim(features) else 0
    if n_rows != n_items:
        raise ValueError(
            f"item_features must have a row for each of the {n_items} items of train, got {n_rows}"
        )
    rows = sp.csr_matrix(
        CountVectorizer().fit_transform(features) if is_text else features, dtype=np.float64
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
