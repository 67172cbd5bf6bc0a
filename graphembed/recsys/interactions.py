"""`Interactions`: the one door for tables of who took what, an immutable matrix with ids."""

from typing import Any

import numpy as np

from graphembed._ingest.edge_list import Array
from graphembed._ingest.ids import object_array
from graphembed._validation import check_params, float_in, int_at_least
from graphembed.graph import Graph
from graphembed.recsys._doors import Doors
from graphembed.recsys._entries import Entries, locate, make_csr, rows_of, unite


class Interactions(Doors):
    """An immutable table of interactions: rows are users, columns are items.

    There is no constructor: a table is made by one of the ``from_...`` doors, which check the data
    once. A pair of a user and an item occurs at most once. All arrays are read-only.

    Attributes
    ----------
    matrix : scipy.sparse.csr_matrix of float32, shape (n_users, n_items)
        Ratings or weights, all above zero; 1 where there are none. Indices ascend within a row.
    user_ids, item_ids : ndarray of shape (n_users,) and (n_items,)
        The caller's own ids: int64 for integers, object for any others. Row ``i`` of the matrix
        belongs to ``user_ids[i]``, column ``j`` to ``item_ids[j]``.
    times : ndarray of shape (n_interactions,), or None
        When, in the order of ``matrix.data``: int64 or float64, in the caller's own unit.

    See Also
    --------
    graphembed.recsys.random_split : The first of six ways to cut off a test part.

    Notes
    -----
    Memory: 8 bytes an interaction, 8 more with times, 4 bytes a user, and the ids.

    Examples
    --------
    >>> from graphembed.recsys import Interactions
    >>> Interactions.from_arrays(["ann", "ann", "bob"], ["tea", "rum", "tea"])
    Interactions(n_users=2, n_items=2, n_interactions=3)
    """

    __slots__ = ("__weakref__",)

    def select(self, mask: Any) -> "Interactions":
        """Keep some of the interactions, and all ids.

        Parameters
        ----------
        mask : array-like of bool, shape (n_interactions,)
            Which ones, in the order of ``matrix.data``.

        Returns
        -------
        Interactions
            The table.
        """
        chosen = np.asarray(mask)
        if chosen.dtype != bool or chosen.shape != (self.n_interactions,):
            raise ValueError(
                f"mask must be {self.n_interactions} bools, one for every interaction, got "
                f"shape {chosen.shape} and dtype {chosen.dtype}"
            )
        m = self.matrix
        before = np.concatenate([[0], np.cumsum(chosen)])
        matrix = make_csr(m.data[chosen], m.indices[chosen], before[m.indptr], m.shape)
        times = None if self.times is None else self.times[chosen]
        return self._trusted(matrix, self.user_ids, self.item_ids, times)

    def filter(self, *, min_rating: float) -> "Interactions":
        """Keep the interactions with high ratings, and all ids.

        Parameters
        ----------
        min_rating : float
            The lowest rating that stays.

        Returns
        -------
        Interactions
            The table; ``k_core(1)`` takes away whoever has nothing left.

        Raises
        ------
        ValueError
            If nothing is left.
        """
        check_params({"min_rating": min_rating}, {"min_rating": float_in(0, 3e38)})
        kept = self.matrix.data >= np.float32(min_rating)
        if len(kept) and not kept.any():
            highest = f"the highest value is {self.matrix.data.max():g}"
            if not self.is_weighted:
                highest = "all values are 1: filter before implicit(), or name the rating column"
            raise ValueError(f"min_rating={min_rating:g} leaves no interaction, {highest}")
        return self.select(kept)

    def k_core(self, k: int, k_items: int | None = None) -> "Interactions":
        """Keep the users and items that have enough interactions with each other.

        Parameters
        ----------
        k : int
            Interactions that every user keeps at least.
        k_items : int, optional
            The same for items; `k` if not given.

        Returns
        -------
        Interactions
            The largest part where that holds; other users and items are gone, with their ids.

        Raises
        ------
        ValueError
            If nothing is left.

        Notes
        -----
        O(n_interactions) time for every round of removals.
        """
        least = k if k_items is None else k_items
        check_params({"k": k, "k_items": least}, {"k": int_at_least(1), "k_items": int_at_least(1)})
        rows, columns = rows_of(self.matrix), self.matrix.indices
        alive = np.arange(self.n_interactions)
        while True:
            users = np.bincount(rows[alive], minlength=self.n_users) >= k
            items = np.bincount(columns[alive], minlength=self.n_items) >= least
            rest = alive[users[rows[alive]] & items[columns[alive]]]
            if len(rest) == len(alive):
                break
            alive = rest
        if not len(alive):
            raise ValueError(f"no user is left with {k} items that have {least} users each")
        indptr = np.append(0, np.cumsum(np.bincount(rows[alive], minlength=self.n_users)[users]))
        indices = (np.cumsum(items) - 1)[columns[alive]].astype(np.int32)
        shape = (int(users.sum()), int(items.sum()))
        matrix = make_csr(self.matrix.data[alive], indices, indptr, shape)
        times = None if self.times is None else self.times[alive]
        return self._trusted(matrix, self.user_ids[users], self.item_ids[items], times)

    def implicit(self) -> "Interactions":
        """Make every value 1: that something was taken, not how it was liked.

        Returns
        -------
        Interactions
            The table, times and ids kept.
        """
        ones = np.ones(self.n_interactions, np.float32)
        m = self.matrix
        matrix = make_csr(ones, m.indices, m.indptr, m.shape)
        return self._trusted(matrix, self.user_ids, self.item_ids, self.times)

    def with_matrix(self, matrix: Any) -> "Interactions":
        """Put other interactions beside the same ids.

        Parameters
        ----------
        matrix : scipy sparse matrix of shape (n_users, n_items)
            Values >= 0, as in `from_csr`.

        Returns
        -------
        Interactions
            The table, without times.
        """
        other = Interactions.from_csr(matrix)
        if other.matrix.shape != self.matrix.shape:
            raise ValueError(
                f"matrix must have the shape {self.matrix.shape}, got {other.matrix.shape}"
            )
        return self._trusted(other.matrix, self.user_ids, self.item_ids)

    def align(self, *others: "Interactions") -> tuple["Interactions", ...]:
        """Give tables that belong together the same users and the same items.

        Parameters
        ----------
        *others : Interactions
            The other tables.

        Returns
        -------
        tuple of Interactions
            This table and the others, in order. All have the ids of this one first, then those
            that are new in the next one, and so on.

        Raises
        ------
        ValueError
            If ids are numbers in one table and the same numbers, as text, in another.

        Examples
        --------
        >>> from graphembed.recsys import Interactions
        >>> train = Interactions.from_arrays([1, 2], [10, 20])
        >>> test = Interactions.from_arrays([2, 3], [10, 30])
        >>> train, test = train.align(test)
        >>> test.user_ids, test.item_ids
        (array([1, 2, 3]), array([10, 20, 30]))
        """
        user_ids, item_ids = self.user_ids, self.item_ids
        for other in others:
            user_ids, item_ids = unite(user_ids, other.user_ids), unite(item_ids, other.item_ids)
        return tuple(table._among(user_ids, item_ids) for table in (self, *others))

    def _among(self, user_ids: Array, item_ids: Array) -> "Interactions":
        """The same interactions in a larger table."""
        entries = Entries(
            locate(self.user_ids, user_ids)[rows_of(self.matrix)],
            locate(self.item_ids, item_ids)[self.matrix.indices],
            self.matrix.data,
            self.times,
            user_ids,
            item_ids,
        )
        return self._from_entries(entries, "error")

    def to_graph(self) -> Graph:
        """Make the undirected bipartite graph: users first, then items.

        Returns
        -------
        Graph
            Node ids are ``("user", id)`` and ``("item", id)``, node types "user" and "item". Edges
            have the values as weights, unless all are 1.

        Notes
        -----
        O(n_users + n_items + n_interactions) time; 16 bytes an interaction, and a tuple a node.
        """
        m = self.matrix
        back = m.tocsc()
        indptr = np.concatenate([m.indptr, np.int64(len(m.data)) + back.indptr[1:]])
        indices = np.concatenate([m.indices + np.int32(self.n_users), back.indices])
        weights = np.concatenate([m.data, back.data]) if self.is_weighted else None
        ids = [
            *(("user", user) for user in self.user_ids.tolist()),
            *(("item", item) for item in self.item_ids.tolist()),
        ]
        return Graph._trusted(
            indptr.astype(np.int64, copy=False),
            indices.astype(np.int32, copy=False),
            weights,
            object_array(ids, len(ids)),
            False,
            np.repeat(np.arange(2, dtype=np.int32), m.shape),
            object_array(["user", "item"], 2),
        )
