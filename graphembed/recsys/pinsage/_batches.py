"""Mini-batches of pairs (query, item), with what a model may see of the graph meanwhile."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed.recsys._negatives import SeenItems
from graphembed.recsys.pinsage._neighbors import Neighbors, filled

Index = NDArray[np.int64]
_TRIES = 100  # to hold out items so that there is a pair


class Block(NamedTuple):
    """Edges into targets: row i of the matrix is target i; sources are the targets, then others."""

    matrix: sp.csr_matrix
    sources: Index


class View:
    """The neighbourhoods that are visible.

    Parameters
    ----------
    visited : Neighbors
        By interactions.
    content : Neighbors or None
        What stands in where there are none.
    held : ndarray of bool, shape (n_items,), optional
        Items that are held out: none of them is a neighbour, by interactions, of one that is not,
        nor the other way round.
    cold : ndarray of bool, shape (n_items,), optional
        Items that are treated as if they had no interactions: nobody's neighbours, and their own
        are those by content.
    offset : int, default=0
        The item of the first row of `visited` and `content`.
    """

    def __init__(
        self,
        visited: Neighbors,
        content: Neighbors | None,
        *,
        held: NDArray[np.bool_] | None = None,
        cold: NDArray[np.bool_] | None = None,
        offset: int = 0,
    ) -> None:
        self._visited, self._content = visited, content
        self._held, self._cold, self._offset = held, cold, offset

    def rows(self, targets: Index) -> Neighbors:
        """Neighbours of some items, -1 where one is not visible."""
        rows = targets - self._offset
        index, weight = self._visited.index[rows], self._visited.weight[rows]
        visible = index >= 0
        if self._held is not None:
            visible &= self._held[index] == self._held[targets][:, np.newaxis]
        if self._cold is not None:
            visible &= ~self._cold[index] & ~self._cold[targets][:, np.newaxis]
        seen = Neighbors(np.where(visible, index, -1), np.where(visible, weight, 0))
        if self._content is None:
            return seen
        index, weight = self._content.index[rows], self._content.weight[rows]
        if self._cold is not None:
            gone = (index < 0) | self._cold[index]
            index, weight = np.where(gone, -1, index), np.where(gone, 0, weight)
        return filled(seen, Neighbors(index, weight))

    def block(self, targets: Index, n_items: int) -> Block:
        """The edges into some distinct items."""
        seen = self.rows(targets)
        index, weight = seen.index, seen.weight
        kept = index >= 0
        sources = np.concatenate([targets, np.setdiff1d(index[kept], targets)])
        place = np.zeros(n_items, np.int32)
        place[sources] = np.arange(len(sources))
        indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
        shape = (len(targets), len(sources))
        matrix = sp.csr_matrix((weight[kept], place[index[kept]], indptr), shape=shape)
        return Block(matrix, sources)


@dataclass(frozen=True)
class Batch:
    """Pairs, and what is read for them; places count from 0 among the items of the batch.

    Attributes
    ----------
    blocks : list of csr_matrix
        For each layer, the first layer's first.
    nodes : ndarray
        Items that the first layer reads; those of the batch come first.
    x : csr_matrix or None
        Their features.
    cold : ndarray of bool
        Which of them are treated as new: their own vector is not to be used.
    shares : csr_matrix of shape (n_queries, n_batch)
        The items of a query, in equal shares.
    owner, positive : ndarray of shape (n_pairs,)
        The query and the place of the item of every pair.
    pool : ndarray
        Places of the negatives that are shared.
    mask : ndarray of bool, shape (n_pairs, n_pool + n_hard)
        True where an item of the pool is one of the user's, or a hard negative is missing.
    hard : ndarray of shape (n_pairs, n_hard), or None
        Places of the negatives of each pair alone; 0 where one is missing.
    """

    blocks: list[sp.csr_matrix]
    nodes: Index
    x: sp.csr_matrix | None
    cold: NDArray[np.bool_]
    shares: sp.csr_matrix
    owner: Index
    positive: Index
    pool: Index
    mask: NDArray[np.bool_]
    hard: Index | None


@dataclass(frozen=True)
class BatchSettings:
    """Parameters of a `PinSage` that concern batches; see there."""

    pairs: str
    n_layers: int
    batch_size: int
    holdout: float
    neighbor_dropout: float
    n_negatives: int
    hard_negatives: int
    popularity_power: float
    max_history: int


class Batches:
    """Draws batches; each depends on the seed, the epoch and its number alone.

    For every batch a random share of the items is held out. A pair is a held-out item of a user and
    a query made of the user's other items; negatives are held-out items that could be in a pair.

    A query must not see the edge that it is to find: no held-out item is a neighbour, by
    interactions, of one that is not, in either direction and in any layer. This goes for all of
    them, not for the pairs only, or the missing edge would give the pair away. A share
    `neighbor_dropout` of the held-out items is as new: they are no one's neighbours at all, have
    only neighbours by content, and no vector of their own.
    """

    def __init__(
        self,
        settings: BatchSettings,
        train: sp.csr_matrix,
        x: sp.csr_matrix | None,
        visited: Neighbors,
        content: Neighbors | None,
        window: Neighbors | None,
        seed: int,
    ) -> None:
        self._settings, self._train, self._x = settings, train, x
        self._visited, self._content, self._seed = visited, content, seed
        self._window = window
        self._users = np.repeat(np.arange(train.shape[0], dtype=np.int32), np.diff(train.indptr))
        self._items = train.indices
        degrees = np.bincount(self._items, minlength=train.shape[1])
        self._known = degrees > 0
        self._weight = np.maximum(degrees, 1) ** -settings.popularity_power
        self._seen = SeenItems(train)

    def __len__(self) -> int:
        """Batches of an epoch: pairs drawn are as many as there are interactions."""
        return max(1, round(len(self._items) / self._settings.batch_size))

    def make(self, epoch: int, number: int) -> Batch | None:
        """Batch `number` of an epoch, both from 0; None if no user has items on both sides."""
        settings = self._settings
        rng = np.random.default_rng([self._seed, epoch, number])
        for _ in range(_TRIES):
            held = self._known & (rng.random(len(self._known)) < settings.holdout)
            able = self._able(held)
            if len(able):
                break
        else:
            return None
        chosen = able
        if len(able) > settings.batch_size:
            weight = self._weight[self._items[able]]
            chosen = np.sort(_draw(able, weight, settings.batch_size, rng))
        cold = held & (rng.random(len(held)) < settings.neighbor_dropout)
        users, positive = self._users[chosen].astype(np.int64), self._items[chosen].astype(np.int64)
        everyone, owner, queries = self._queries(users, held, rng)
        pool = possible = np.unique(self._items[able]).astype(np.int64)
        if len(pool) > settings.n_negatives:
            pool = np.sort(rng.choice(pool, settings.n_negatives, replace=False))
        mask = (self._train[everyone][:, pool].toarray() > 0)[owner]
        hard = None
        if epoch and settings.hard_negatives and self._window is not None:
            ranked = self._window.index[_one_of_each(queries, rng)[owner]]
            n_hard = min(epoch, settings.hard_negatives)
            hard = self._hard(users, ranked, possible, n_hard, rng)
            mask = np.hstack([mask, hard < 0])
        view = self._view(held, cold)
        parts = [queries.indices.astype(np.int64), positive, pool]
        if hard is not None:
            parts.append(hard[hard >= 0])
        batch = np.unique(np.concatenate(parts))
        blocks: list[sp.csr_matrix] = []
        nodes = batch
        for _ in range(settings.n_layers):
            block = view.block(nodes, len(held))
            blocks.insert(0, block.matrix)
            nodes = block.sources
        place = np.zeros(len(held), np.int64)
        place[batch] = np.arange(len(batch))
        counts = np.diff(queries.indptr)
        shares = sp.csr_matrix(
            (
                np.repeat((1 / counts).astype(np.float32), counts),
                place[queries.indices],
                queries.indptr,
            ),
            (len(everyone), len(batch)),
        )
        return Batch(
            blocks=blocks,
            nodes=nodes,
            x=None if self._x is None else self._x[nodes],
            cold=cold[nodes],
            shares=shares,
            owner=owner,
            positive=place[positive],
            pool=place[pool],
            mask=mask,
            hard=None if hard is None else np.where(hard < 0, 0, place[hard]),
        )

    def _able(self, held: NDArray[np.bool_]) -> Index:
        """Places of interactions with held-out items, of users that have others."""
        is_held = held[self._items]
        n_held = np.bincount(self._users[is_held], minlength=self._train.shape[0])
        has_more = self._seen.counts > n_held
        return np.flatnonzero(is_held & has_more[self._users])

    def _queries(
        self, users: Index, held: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[Index, Index, sp.csr_matrix]:
        """Users, the user of every pair, and the items that their queries are made of.

        Of pairs of items, every pair has a query of its own, one item.
        """
        if self._settings.pairs == "items":
            everyone, owner = users, np.arange(len(users))
        else:
            everyone, owner = np.unique(users, return_inverse=True)
        rows = self._train[everyone]
        kept = ~held[rows.indices]
        row = np.repeat(np.arange(len(everyone)), np.diff(rows.indptr))[kept]
        items = rows.indices[kept]
        most = 1 if self._settings.pairs == "items" else self._settings.max_history
        # The `most` smallest of exponential times are a weighted sample without replacement.
        times = rng.exponential(size=len(items)) / self._weight[items]
        order = np.lexsort((times, row))
        starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(everyone)))])
        rank = np.arange(len(order)) - starts[row[order]]
        order = np.sort(order[rank < most])
        indptr = np.concatenate([[0], np.cumsum(np.bincount(row[order], minlength=len(everyone)))])
        shape = (len(everyone), len(held))
        ones = np.ones(len(order), np.float32)
        return everyone, owner, sp.csr_matrix((ones, items[order], indptr), shape=shape)

    def _hard(
        self,
        users: Index,
        ranked: NDArray[np.int32],
        possible: Index,
        n: int,
        rng: np.random.Generator,
    ) -> Index:
        """For each pair n of its ranked items that are possible.

        One that the user has had, or that there is not, is replaced by any possible item; -1 where
        the user has had that one, too.
        """
        is_possible = np.zeros(self._train.shape[1] + 1, bool)  # the last one is for -1
        is_possible[possible] = True
        lots = np.where(is_possible[ranked], rng.random(ranked.shape, np.float32), 2)
        columns = np.argpartition(lots, min(n, ranked.shape[1]) - 1, axis=1)[:, :n]
        found = np.full((len(users), n), -1, np.int64)
        found[:, : columns.shape[1]] = np.where(
            np.take_along_axis(lots, columns, axis=1) < 2,
            np.take_along_axis(ranked, columns, axis=1),
            -1,
        )
        bad = (found < 0) | self._seen.are_seen(users, found)
        found = np.where(bad, rng.choice(possible, found.shape), found)
        return np.where(self._seen.are_seen(users, found), -1, found)

    def _view(self, held: NDArray[np.bool_], cold: NDArray[np.bool_]) -> View:
        return View(self._visited, self._content, held=held, cold=cold)


def _one_of_each(rows: sp.csr_matrix, rng: np.random.Generator) -> Index:
    """A random column of each row; none is empty."""
    counts = np.diff(rows.indptr)
    columns: Index = rows.indices[rows.indptr[:-1] + (rng.random(len(counts)) * counts).astype(int)]
    return columns


def _draw(items: Index, weight: NDArray[np.float64], n: int, rng: np.random.Generator) -> Index:
    """A weighted sample without replacement."""
    times = rng.exponential(size=len(items)) / weight
    return items[np.argpartition(times, n - 1)[:n]]
