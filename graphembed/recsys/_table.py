"""The immutable parts of `Interactions`: a matrix, ids and times, and what can be read off them."""

from collections.abc import Iterable
from inspect import Signature
from typing import Any, Never, Self

import scipy.sparse as sp

from graphembed._ingest.edge_list import Array
from graphembed._ingest.node_index import NodeIndex
from graphembed._validation import check_params, one_of
from graphembed.recsys._entries import Entries, make_csr, merge, plain, read_only, same

_CONSTRAINTS = {"duplicates": one_of("last", "sum", "error")}


class Table:
    """A read-only matrix with ids of users and items; `Interactions` documents the attributes."""

    __signature__ = Signature()  # what __init__ takes is for its error message only
    __slots__ = ("_item_index", "_user_index", "item_ids", "matrix", "times", "user_ids")
    __hash__ = None  # type: ignore[assignment]

    matrix: sp.csr_matrix
    user_ids: Array
    item_ids: Array
    times: Array | None
    _user_index: NodeIndex
    _item_index: NodeIndex

    def __init__(self, *args: Never, **kwargs: Never) -> None:
        raise TypeError(
            "Interactions has no constructor: use Interactions.from_frame(...), from_arrays(...), "
            "from_csr(...) or one of the doors for files"
        )

    @classmethod
    def _trusted(
        cls, matrix: sp.csr_matrix, user_ids: Array, item_ids: Array, times: Array | None = None
    ) -> Self:
        """Make a table of a matrix of `make_csr` and of ids that were checked already."""
        made = cls.__new__(cls)
        fields = {
            "matrix": matrix,
            "user_ids": read_only(user_ids),
            "item_ids": read_only(item_ids),
            "times": None if times is None else read_only(times),
            "_user_index": NodeIndex(user_ids),
            "_item_index": NodeIndex(item_ids),
        }
        for name, value in fields.items():
            object.__setattr__(made, name, value)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Interactions are immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Interactions are immutable: cannot delete {name!r}")

    @classmethod
    def _from_entries(cls, entries: Entries, duplicates: str) -> Self:
        check_params({"duplicates": duplicates}, _CONSTRAINTS)
        if 0 in entries.shape:
            raise ValueError("there are no interactions: at least one user and one item are wanted")
        matrix, times = merge(entries, duplicates)
        return cls._trusted(matrix, entries.user_ids, entries.item_ids, times)

    @property
    def n_users(self) -> int:
        """Number of users, those without interactions included."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items, those without interactions included."""
        return len(self.item_ids)

    @property
    def n_interactions(self) -> int:
        """Number of pairs."""
        return len(self.matrix.data)

    @property
    def is_weighted(self) -> bool:
        """Whether some value is not 1."""
        return bool((self.matrix.data != 1).any())

    def user_index(self, ids: Iterable[Any]) -> Array:
        """Find the rows of users.

        Parameters
        ----------
        ids : iterable of ids
            The caller's ids.

        Returns
        -------
        ndarray of int64
            Their rows.

        Raises
        ------
        KeyError
            If there is no such user; the message names the id.
        """
        return _find(self._user_index, ids, "user")

    def item_index(self, ids: Iterable[Any]) -> Array:
        """Find the columns of items.

        Parameters
        ----------
        ids : iterable of ids
            The caller's ids.

        Returns
        -------
        ndarray of int64
            Their columns.

        Raises
        ------
        KeyError
            If there is no such item; the message names the id.
        """
        return _find(self._item_index, ids, "item")

    def __repr__(self) -> str:
        counts = f"n_users={self.n_users}, n_items={self.n_items}"
        extras = ", weighted" * self.is_weighted + ", with times" * (self.times is not None)
        return f"Interactions({counts}, n_interactions={self.n_interactions}{extras})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table):
            return NotImplemented
        return all(same(a, b) for a, b in zip(self._arrays(), other._arrays(), strict=True))

    def _arrays(self) -> tuple[Array | None, ...]:
        m = self.matrix
        return m.data, m.indices, m.indptr, self.user_ids, self.item_ids, self.times

    def __reduce__(self) -> tuple[Any, ...]:
        m = self.matrix
        arrays = (m.data, m.indices, m.indptr, m.shape)
        return _rebuild, (type(self), arrays, self.user_ids, self.item_ids, self.times)


def _rebuild(
    kind: type[Table], parts: Any, user_ids: Array, item_ids: Array, times: Array | None
) -> Table:
    return kind._trusted(make_csr(*parts), user_ids, item_ids, times)


def _find(index: NodeIndex, ids: Iterable[Any], role: str) -> Array:
    try:
        return index.positions(ids)
    except KeyError as error:
        raise KeyError(f"there is no {role} {plain(error.args[0])!r}") from None
