"""How good recommendations are: all items ranked for every user, and models side by side."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._validation import boolean, check_params, draw_seed, int_at_least, one_of
from graphembed.evaluation.ranking import (
    FloatArray,
    check_ks,
    coverage,
    novelty,
    popularity_slices,
    ranking_scores,
    slice_recalls,
)
from graphembed.recsys.base import IndexArray, Recommender, as_interactions
from graphembed.recsys.interactions import Interactions

_USERS_PER_BLOCK = 4096


def evaluate(
    model: Recommender,
    train: Any,
    test: Any,
    ks: Any = (20,),
    *,
    items: Any = None,
    filter_seen: bool = True,
    protocol: str = "full",
    n_negatives: int = 99,
    random_state: Any = None,
) -> dict[str, float]:
    """Score a fitted model by the items that users went on to.

    Every user with a test item gets a list of the best of all items, less those seen in `train`.

    Parameters
    ----------
    model : Recommender
        A fitted model.
    train : Interactions or scipy sparse matrix
        What the model was fitted to; these items are left out of a user's list.
    test : Interactions or scipy sparse matrix
        What users went on to; the same users and items as `train`.
    ks : int or iterable of int, default=(20,)
        Lengths of the lists.
    items : list or array of ids, optional
        Rank these items only, such as new ones; test items that are not among them do not count.
    filter_seen : bool, default=True
        Leave out the items of `train`.
    protocol : {"full", "sampled"}, default="full"
        "sampled" ranks each test item among `n_negatives` random items that the user has neither
        in `train` nor in `test`, as some papers do; such figures may put models into another
        order than the full ranking does (Krichene and Rendle 2020), and a warning says so.
    n_negatives : int, default=99
        Of "sampled".
    random_state : None, int, numpy.random.Generator or RandomState, default=None
        Decides the items of "sampled"; not used by "full".

    Returns
    -------
    dict of str to float
        Means over the users with a test item, for each k: ``"recall@20"``, ``"ndcg@20"``,
        ``"hit_rate@20"``, ``"precision@20"``, ``"mrr@20"``, ``"map@20"`` (see
        `graphembed.evaluation.ranking_scores`); ``"recall_head@20"``, ``"recall_mid@20"``,
        ``"recall_tail@20"`` among items of like popularity (over the users that have one);
        ``"coverage@20"`` of the candidates, ``"novelty@20"`` in bits; and ``"n_users"``. "sampled"
        has the first six alone, as means over the test items.

    Raises
    ------
    ValueError
        If the users or items of model, `train` and `test` are not the same, nobody has a test item,
        or an argument is out of range.

    Notes
    -----
    Users are ranked in blocks, so memory does not grow with their number. The result is the same
    for any number of threads.

    References
    ----------
    Krichene, W. and Rendle, S. (2020). On sampled metrics for item recommendation. KDD.
    """
    check_params(
        {"filter_seen": filter_seen, "protocol": protocol, "n_negatives": n_negatives},
        {
            "filter_seen": boolean(),
            "protocol": one_of("full", "sampled"),
            "n_negatives": int_at_least(1),
        },
        owner="evaluate",
    )
    if protocol == "sampled":
        warnings.warn(
            "sampled metrics may put models into another order than the full ranking does "
            "(Krichene and Rendle 2020): compare them only with figures of the same protocol",
            stacklevel=2,
        )
        lengths = check_ks(ks)
        rng = np.random.default_rng(draw_seed(random_state))
        question = Question(model, train, test, items, filter_seen)
        scores = question.sampled(lengths, n_negatives, rng)
        return {name: float(values.mean()) for name, values in scores.items()}
    question = Question(model, train, test, items, filter_seen)
    scores, totals = question.full(check_ks(ks))
    return {**{name: nan_mean(values) for name, values in scores.items()}, **totals}


class Question:
    """What is asked of a model: whom it recommends to, out of which items, and what is right."""

    def __init__(
        self, model: Recommender, train: Any, test: Any, items: Any, filter_seen: bool
    ) -> None:
        self.model = model
        self.train, wanted = as_interactions(train), as_interactions(test, "test")
        for what, other in (("model", model.train_), ("test", wanted)):
            _check_same(self.train, other, what)
        self.test = wanted.matrix
        self.candidates: IndexArray | None = None
        if items is not None:
            self.candidates = np.unique(self.train.item_index(items))
            inside = np.zeros(self.train.n_items, bool)
            inside[self.candidates] = True
            self.test = _only(self.test, inside)
        self.seen = self.train.matrix if filter_seen else None
        self.users = np.flatnonzero(np.diff(self.test.indptr))
        if not len(self.users):
            raise ValueError("test must hold an interaction with one of the items, got none")

    def blocks(self, size: int = _USERS_PER_BLOCK) -> Iterator[IndexArray]:
        """Users with a test item, block by block."""
        for begin in range(0, len(self.users), size):
            yield self.users[begin : begin + size]

    def full(self, ks: tuple[int, ...]) -> tuple[dict[str, FloatArray], dict[str, float]]:
        """Scores of each user, and of all lists together."""
        tops = []
        for users in self.blocks():
            seen = None if self.seen is None else self.seen[users]
            tops.append(
                self.model._top(users, max(ks), exclude=seen, candidates=self.candidates)[0]
            )
        top, test = np.concatenate(tops), self.test[self.users]
        counts = np.bincount(self.train.matrix.indices, minlength=self.train.n_items)
        scores = {
            **ranking_scores(top, test, ks),
            **slice_recalls(top, test, popularity_slices(counts), ks),
        }
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
            scores = self.model._all_scores(users)
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


def _check_same(train: Interactions, other: Interactions, what: str) -> None:
    for kind in ("user", "item"):
        mine, others = getattr(train, f"{kind}_ids"), getattr(other, f"{kind}_ids")
        if not np.array_equal(mine, others):
            raise ValueError(
                f"train and {what} must have the same {kind}s in the same order, got {len(mine)} "
                f"and {len(others)}: split one table, or align the two when they are read"
            )
