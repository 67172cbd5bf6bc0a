"""Columns of data frames (pandas, polars, pyarrow, ...), read through narwhals."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphembed._ingest.edge_list import Array
from graphembed._validation import import_optional


def read_frame(frame: Any, names: Mapping[str, str | None]) -> dict[str, Array]:
    """Return the columns of the given names, by their roles."""
    nw = import_optional("narwhals", extra="recsys")
    try:
        table = nw.from_native(frame)
    except TypeError as error:
        raise ValueError(f"this is not a data frame: {error}") from error
    if isinstance(table, nw.LazyFrame):
        table = table.collect()
    columns = {}
    for role, name in names.items():
        if name is None:
            continue
        if name not in table.columns:
            raise ValueError(
                f"the data frame has no column {name!r}; say with {role}= which one it is: "
                f"{list(table.columns)}"
            )
        series = table[name]
        missing = series.is_null().to_numpy()
        if missing.any():
            raise ValueError(
                f"column {name!r} has a missing value in row {int(np.argmax(missing))}: drop "
                "such rows first"
            )
        columns[role] = np.asarray(series.to_numpy())
    return columns
