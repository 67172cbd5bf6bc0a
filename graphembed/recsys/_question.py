"""What is asked of a model in an evaluation, and its answers, user by user."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from graphembed.evaluation.ranking import (
    FloatArray,
    coverage,
    novelty,
    popularity_slices,
    ranking_scores,
    slice_recalls,
)
from graphembed.recsys._entries import plain
from graphembed.recsys.base import IndexArray, Recommender, as_interactions
from graphembed.recsys.interactions import Interactions

_USERS_PER_BLOCK = 4096


class Question:
    """What is asked of a model: whom it recommends to, out of which items, and what is right."""

    def __init__(
        self,
        model: Recommender,
        train: Any,
        test: Any,
        items: Any,
        filter_seen: bool,
        histories: Any = None,
    ) -> None:
        self.model = model
        check_is_fitted(model, "train_")
        self.train, wanted = check_parts(train, test, filter_seen)
        check_same(self.train, model.train_, "model")
        repeats = None if filter_seen else self.train.matrix
        _check_unseen(model.train_, wanted, "the model's train_", repeats)
        self.test = wanted.matrix
        self.candidates: IndexArray | None = None
        if items is not None:
            self.candidates = np.unique(self.train.item_index(items))
            inside = np.zeros(self.train.n_items, bool)
            inside[self.candidates] = True
            self.test = _only(self.test, inside)
        self.histories = None
        if histories is not None:
            known = as_interactions(histories, "histories")
            check_same(self.train, known, "histories")
            if filter_seen:
                _check_unseen(known, wanted, "histories")
            self.histories = known.matrix
        seen = self.train.matrix if self.histories is None else self.histories
        self.seen = seen if filter_seen else None
        self.users = np.flatnonzero(np.diff(self.test.indptr))
        if not len(self.users):
            raise ValueError("test must hold an interaction with one of the items, got none")

    def blocks(self, size: int = _USERS_PER_BLOCK) -> Iterator[IndexArray]:
        """Users with a test item, block by block."""
        for begin in range(0, len(self.users), size):
            yield self.users[begin : begin + size]

    def full(self, ks: tuple[int, ...]) -> tuple[dict[str, FloatArray], dict[str, float]]:
        """Scores of each user, and of all lists together."""
        counts = np.bincount(self.train.matrix.indices, minlength=self.train.n_items)
        slices = popularity_slices(counts)
        tops, parts = [], []
        for users in self.blocks():
            seen = None if self.seen is None else self.seen[users]
            known = None if self.histories is None else self.histories[users]
            top, _ = self.model._top(
                users if known is None else None, max(ks),
                exclude=seen, candidates=self.candidates, histories=known,
            )  # fmt: skip
            test = self.test[users]
            parts.append({**ranking_scores(top, test, ks), **slice_recalls(top, test, slices, ks)})
            tops.append(top)
        scores = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        top = np.concatenate(tops)
        n_candidates = self.train.n_items if self.candidates is None else len(self.candidates)
        totals: dict[str, float] = {}
        for k in ks:
            totals[f"coverage@{k}"] = coverage(top[:, :k], n_candidates)
            totals[f"novelty@{k}"] = novelty(top[:, :k], counts, self.train.n_users)
        totals["n_users"] = len(self.users)
        return scores, totals

    def sampled(
        self, ks: tuple[int, ...], n_negatives: int, rng: np.random.Generator
    ) -> dict[str, FloatArray]:
        """Scores of each test item among random ones."""
        pool = np.arange(self.train.n_items) if self.candidates is None else self.candidates
        ranks = []
        for users in self.blocks(256):
            scores = np.array(self.model._all_scores(users))
            is_new = np.diff(self.model.train_.matrix.indptr)[users] == 0
            scores[is_new] = self.model._popularity  # as in `recommend`
            for row, user in zip(scores, users, strict=True):
                right = _row(self.test, user)
                free = np.setdiff1d(pool, np.append(_row(self.train.matrix, user), right))
                if len(free) < n_negatives:
                    raise ValueError(
                        f"n_negatives must be at most the {len(free)} items that user "
                        f"{self.train.user_ids[user]!r} has not, got {n_negatives}"
                    )
                for item in right:
                    wrong = rng.choice(free, n_negatives, replace=False)
                    equal = (row[wrong] == row[item]) & (wrong < item)
                    ranks.append(int((row[wrong] > row[item]).sum() + equal.sum()))
        top = np.full((len(ranks), max(ks)), -1)
        for i, rank in enumerate(ranks):
            if rank < max(ks):
                top[i, rank] = 0
        test = sp.csr_matrix(np.ones((len(ranks), 1), np.float32))
        return ranking_scores(top, test, ks)


def check_parts(train: Any, test: Any, filter_seen: bool) -> tuple[Interactions, Interactions]:
    """Return what may be asked: parts with the same ids, no test item among those left out."""
    known, wanted = as_interactions(train), as_interactions(test, "test")
    check_same(known, wanted, "test")
    if filter_seen:
        _check_unseen(known, wanted, "train")
    return known, wanted


def score_names(ks: tuple[int, ...]) -> list[str]:
    """Names of the scores that every user has."""
    top, test = np.zeros((1, max(ks)), np.int32), sp.csr_matrix(np.ones((1, 1), np.float32))
    top[:, 1:] = -1
    slices = np.zeros(1, np.int8)
    return [*ranking_scores(top, test, ks), *slice_recalls(top, test, slices, ks)]


def nan_mean(values: FloatArray) -> float:
    """Mean of the values that are there; 0 if there are none."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else 0.0


def _row(matrix: sp.csr_matrix, i: int) -> NDArray[np.int32]:
    row: NDArray[np.int32] = matrix.indices[matrix.indptr[i] : matrix.indptr[i + 1]]
    return row


def _only(matrix: sp.csr_matrix, inside: NDArray[np.bool_]) -> sp.csr_matrix:
    """The entries in these columns."""
    kept = matrix.copy()
    kept.data = inside[kept.indices].astype(np.float32)
    kept.eliminate_zeros()
    return kept


def check_same(train: Interactions, other: Interactions, what: str) -> None:
    """Raise if another table has other users or items."""
    for kind in ("user", "item"):
        mine, others = getattr(train, f"{kind}_ids"), getattr(other, f"{kind}_ids")
        if not np.array_equal(mine, others):
            raise ValueError(
                f"train and {what} must have the same {kind}s in the same order, got {len(mine)} "
                f"and {len(others)}: split one table, or align the two when they are read"
            )


def _check_unseen(
    known: Interactions, test: Interactions, what: str, repeats: sp.csr_matrix | None = None
) -> None:
    """Raise if the test asks for what is known, other than repetitions that are asked for."""
    both = known.matrix.multiply(test.matrix).tocsr()
    if repeats is not None and both.nnz:
        is_known = repeats.astype(bool)
        both = both - both.multiply(is_known)
        both.eliminate_zeros()
    both = both.tocoo()
    if both.nnz:
        user, item = test.user_ids[both.row[0]], test.item_ids[both.col[0]]
        raise ValueError(
            f"{both.nnz} interactions are in {what} and in test, such as ({plain(user)!r}, "
            f"{plain(item)!r}): the model would be tested on what it has seen"
        )
