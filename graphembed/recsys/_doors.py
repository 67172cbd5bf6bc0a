"""The doors of `Interactions`: one for everything that interactions come in."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import scipy.sparse as sp

from graphembed._ingest.edge_list import Array
from graphembed._ingest.ids import check_distinct, ids_from, matrix_ids
from graphembed._storage import StrPath
from graphembed.recsys import _readers
from graphembed.recsys._entries import (
    Entries,
    check_times,
    check_values,
    code_ids,
    locate,
    plain,
    rows_of,
)
from graphembed.recsys._frame import read_frame
from graphembed.recsys._table import Table

Duplicates = Literal["last", "sum", "error"]


class Doors(Table):
    """The ``from_...`` methods of `Interactions`."""

    __slots__ = ()

    @classmethod
    def from_arrays(
        cls,
        users: Any,
        items: Any,
        ratings: Any = None,
        times: Any = None,
        *,
        user_ids: Iterable[Any] | None = None,
        item_ids: Iterable[Any] | None = None,
        duplicates: Duplicates = "last",
    ) -> Self:
        """Make a table of two arrays of ids, one pair an interaction.

        Parameters
        ----------
        users, items : array-like of ids, shape (n,)
            Integers, strings or any other hashables; no None, NaN or bool.
        ratings : array-like of shape (n,), optional
            Finite numbers > 0: ratings or weights.
        times : array-like of shape (n,), optional
            Finite numbers; datetime64 and ISO dates are turned into int64 microseconds.
        user_ids, item_ids : iterable of distinct ids, optional
            All rows and all columns, in this order; ids of `users` and `items` must be among them.
            If not given: those that occur, ascending if all are integers, else by first appearance.
        duplicates : {"last", "sum", "error"}, default="last"
            What becomes of a pair that occurs several times: the latest stays (of equal times, or
            without times, the last one in order); values are added up, and the latest time stays;
            or it is an error.

        Returns
        -------
        Interactions
            The table.

        Raises
        ------
        ValueError
            If something is no id, no rating or no time; the message names the position.

        Notes
        -----
        O(n log n) time, O(n) if the pairs are sorted.
        """
        rows, user_ids = _codes(users, user_ids, "users", "user_ids")
        columns, item_ids = _codes(items, item_ids, "items", "item_ids")
        if len(rows) != len(columns):
            raise ValueError(
                f"users and items must be equally many, got {len(rows)} and {len(columns)}"
            )
        values = None if ratings is None else check_values(ratings, len(rows), "ratings")
        moments = None if times is None else check_times(times, len(rows), "times")
        entries = Entries(rows, columns, values, moments, user_ids, item_ids)
        return cls._from_entries(entries, duplicates)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        user: str,
        item: str,
        rating: str | None = None,
        time: str | None = None,
        like: "Table | None" = None,
        duplicates: Duplicates = "last",
    ) -> Self:
        """Make a table of a data frame with an interaction in every row.

        Parameters
        ----------
        frame : pandas, polars or pyarrow data frame, or any other that narwhals knows
            A lazy frame is collected.
        user, item : str
            Names of the columns with the ids.
        rating, time : str, optional
            Names of the columns with ratings or weights, and with times.
        like : Interactions, optional
            A table whose users and items this one shares, such as the train part.
        duplicates : {"last", "sum", "error"}, default="last"
            What becomes of repeated pairs, as in `from_arrays`.

        Returns
        -------
        Interactions
            The table.

        Raises
        ------
        ValueError
            If a column is not there or a value is missing; the message names column and row.
        ImportError
            If narwhals is not installed; the message holds the pip command.
        """
        columns = read_frame(frame, {"user": user, "item": item, "rating": rating, "time": time})
        user_ids, item_ids = (None, None) if like is None else (like.user_ids, like.item_ids)
        return cls.from_arrays(
            columns["user"],
            columns["item"],
            columns.get("rating"),
            columns.get("time"),
            user_ids=user_ids,
            item_ids=item_ids,
            duplicates=duplicates,
        )

    @classmethod
    def from_csr(
        cls,
        matrix: Any,
        user_ids: Iterable[Any] | None = None,
        item_ids: Iterable[Any] | None = None,
        times: Any = None,
    ) -> Self:
        """Make a table of a sparse matrix of users by items.

        Parameters
        ----------
        matrix : scipy sparse matrix or array of shape (n_users, n_items)
            Ratings or weights >= 0; zeros are removed, entries that are stored twice are summed.
        user_ids, item_ids : iterable of distinct ids, optional
            0, 1, 2, ... if not given.
        times : array-like, optional
            A time for every stored entry, in the order of ``matrix.tocsr().data``.

        Returns
        -------
        Interactions
            The table; nothing of `matrix` is changed or kept.

        Raises
        ------
        ValueError
            If a value is negative or not finite, or the ids do not fit the shape.
        """
        if not sp.issparse(matrix):
            raise ValueError(f"matrix must be a scipy sparse matrix, got {type(matrix).__name__}")
        csr = _to_csr(matrix)
        rows = rows_of(csr)
        values = check_values(csr.data, csr.nnz, "matrix.data", zeros=True)
        moments = None if times is None else check_times(times, csr.nnz, "times")
        stored = np.flatnonzero(values)
        entries = Entries(
            rows[stored],
            csr.indices[stored],
            values[stored],
            None if moments is None else moments[stored],
            _given_ids(user_ids, csr.shape[0], "user_ids"),
            _given_ids(item_ids, csr.shape[1], "item_ids"),
        )
        return cls._from_entries(entries, "sum")

    @classmethod
    def from_lightgcn(
        cls,
        path: StrPath,
        *,
        like: "Table | None" = None,
        duplicates: Duplicates = "last",
    ) -> Self:
        """Read adjacency lists, the format of LightGCN and NGCF: ``user item item ...`` a line.

        Parameters
        ----------
        path : str or path-like
            A text file, plain or gzipped. A line of a user alone is a user without interactions.
        like : Interactions, optional
            A table whose users and items this one shares: ``train.txt`` for ``test.txt``. Where
            the file names others, read it without, and `align` the two.
        duplicates : {"last", "sum", "error"}, default="last"
            What becomes of repeated pairs, as in `from_arrays`.

        Returns
        -------
        Interactions
            The table. Ids are integers if every one in the file is written as an integer.

        Raises
        ------
        FileFormatError
            If the file is no text, or a user has several lines; the message names the line.
        ValueError
            If an id is not in `like`; the message names the line.

        Notes
        -----
        O(size of the file) time, O(n log n) where pairs are not sorted. While it is read, about 60
        bytes an interaction besides the table, 100 from files with ratings and times.
        """
        return cls._from_entries(_readers.read_lightgcn(Path(path), _universe(like)), duplicates)

    @classmethod
    def from_recbole(
        cls,
        path: StrPath,
        *,
        user: str = "user_id",
        item: str = "item_id",
        rating: str | None = "rating",
        time: str | None = "timestamp",
        like: "Table | None" = None,
        duplicates: Duplicates = "last",
    ) -> Self:
        """Read an atomic file of RecBole: tabs, and a header of ``name:type``.

        Parameters
        ----------
        path : str or path-like
            The ``.inter`` file, plain or gzipped.
        user, item : str
            Names of the columns with the ids, of the type ``token``.
        rating, time : str or None
            Names of the columns with ratings and times, of the type ``float``; the default names
            may be missing from the file. None: not read. All other columns are ignored.
        like : Interactions, optional
            A table whose users and items this one shares.
        duplicates : {"last", "sum", "error"}, default="last"
            What becomes of repeated pairs, as in `from_arrays`.

        Returns
        -------
        Interactions
            The table. Ids are integers if every one in the file is written as an integer.

        Raises
        ------
        FileFormatError
            If a line does not fit the header; the message names the line.
        ValueError
            If an id is not in `like`; the message names the line.
        """
        names = {"user": user, "item": item, "rating": rating, "time": time}
        entries = _readers.read_recbole(Path(path), names, _universe(like))
        return cls._from_entries(entries, duplicates)

    @classmethod
    def from_movielens(
        cls,
        path: StrPath,
        *,
        like: "Table | None" = None,
        duplicates: Duplicates = "last",
    ) -> Self:
        """Read lines of user, item, rating and time, the format of MovieLens.

        Parameters
        ----------
        path : str or path-like
            ``ratings.dat`` (separated by ``::``), ``u.data`` (by tabs) or ``ratings.csv`` (by
            commas, with a header), plain or gzipped. Time may be missing, and so may be rating and
            time.
        like : Interactions, optional
            A table whose users and items this one shares.
        duplicates : {"last", "sum", "error"}, default="last"
            What becomes of repeated pairs, as in `from_arrays`.

        Returns
        -------
        Interactions
            The table. Ids are integers if every one in the file is written as an integer.

        Raises
        ------
        FileFormatError
            If a line is not like the first one; the message names the line.
        ValueError
            If an id is not in `like`; the message names the line.
        """
        return cls._from_entries(_readers.read_movielens(Path(path), _universe(like)), duplicates)

    @classmethod
    def from_csv(
        cls,
        path: StrPath,
        *,
        user: str,
        item: str,
        rating: str | None = None,
        time: str | None = None,
        delimiter: str | None = None,
        like: "Table | None" = None,
        duplicates: Duplicates = "last",
    ) -> Self:
        """Read columns of a text file whose first line names them; no data frame is needed.

        Parameters
        ----------
        path : str or path-like
            The file, plain or gzipped, UTF-8; fields may be quoted, but not over several lines.
        user, item : str
            Names of the columns with the ids.
        rating, time : str, optional
            Names of the columns with ratings or weights, and with times (numbers or ISO
            dates).
        delimiter : str, optional
            One character; if not given, the first of tab, comma, semicolon in the header.
        like : Interactions, optional
            A table whose users and items this one shares.
        duplicates : {"last", "sum", "error"}, default="last"
            What becomes of repeated pairs, as in `from_arrays`.

        Returns
        -------
        Interactions
            The table. Ids are integers if every one in the file is written as an integer.

        Raises
        ------
        FileFormatError
            If a line does not fit the header; the message names the line.
        ValueError
            If an id is not in `like`; the message names the line.
        """
        names = {"user": user, "item": item, "rating": rating, "time": time}
        entries = _readers.read_csv(Path(path), names, delimiter, _universe(like))
        return cls._from_entries(entries, duplicates)


for _name, _door in vars(Doors).items():
    if isinstance(_door, classmethod):  # for the messages of Python itself
        _door.__func__.__qualname__ = f"Interactions.{_name}"


def _universe(like: Table | None) -> tuple[Array, Array] | None:
    return None if like is None else (like.user_ids, like.item_ids)


def _given_ids(ids: Iterable[Any] | None, count: int, name: str) -> Array:
    if not count:
        raise ValueError("there are no interactions: at least one user and one item are wanted")
    return matrix_ids(ids, count, name)


def _codes(values: Any, given: Iterable[Any] | None, name: str, ids: str) -> tuple[Array, Array]:
    """Number ids, by the ids that were given or among themselves."""
    checked = ids_from(_sequence(values), f"{name}[{{}}]")
    if given is None:
        distinct, codes = code_ids(checked)
        return codes, distinct
    universe = ids_from(_sequence(given), f"{ids}[{{}}]")
    check_distinct(universe, ids)
    codes = locate(checked, universe)
    if (codes < 0).any():
        k = int(np.argmin(codes))
        raise ValueError(f"{name}[{k}] is {plain(checked[k])!r}, which is not among {ids}")
    return codes, universe.copy()


def _sequence(values: Any) -> Any:
    return (
        values
        if isinstance(values, list) or not hasattr(values, "__array__")
        else np.asarray(values)
    )


def _to_csr(matrix: Any) -> sp.csr_matrix:
    return sp.csr_matrix(matrix)
