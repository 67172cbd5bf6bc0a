"""What every recommender offers: fit, recommend, similar items, vectors, files."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from graphembed._storage import StrPath
from graphembed._validation import (
    Constraint,
    boolean,
    check_params,
    draw_seed,
    effective_n_threads,
    int_at_least,
)
from graphembed.exceptions import FileFormatError
from graphembed.recsys._blas import one_blas_thread
from graphembed.recsys._ids import (
    IndexArray,
    as_interactions,
    ids_at,
    is_sequence,
    positions_of_items,
    positions_of_users,
    rows_of,
)
from graphembed.recsys._model_files import (
    Layout,
    RecommenderFile,
    read_fitted,
    read_recommender,
    write_recommender,
)
from graphembed.recsys.interactions import Interactions
from graphembed.recsys.top_k import top_k

Ranking = tuple[NDArray[np.int32], NDArray[np.float32]]  # items, -1 where there are none; scores


class Recommender(ABC, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not annotated
    """Base of the recommenders; a subclass is a `VectorRecommender` or a `ScoreRecommender`.

    It stores its parameters in ``__init__``, lists them in `_constraints`, implements `_fit`, and
    names the arrays that `_fit` sets, and which `save` keeps, in `_layout`.
    """

    _constraints: ClassVar[dict[str, Constraint]] = {}
    _layout: ClassVar[Layout] = {}

    n_jobs: int | None

    train_: Interactions

    @abstractmethod
    def _fit(self, train: Interactions, *, seed: int, n_threads: int) -> None:
        """Set the fitted attributes; BLAS has one thread meanwhile."""

    @abstractmethod
    def _rank(
        self,
        users: IndexArray | None,
        histories: sp.csr_matrix,
        k: int,
        exclude: sp.csr_matrix | None,
        candidates: IndexArray | None,
    ) -> Ranking:
        """Rank items for users with these histories; `users` is None if they were not in `fit`."""

    @abstractmethod
    def _all_scores(self, users: IndexArray) -> NDArray[np.float32]:
        """Scores of all items, of shape (n_users, n_items)."""

    def _check(self) -> None:
        """Check the parameters; a subclass adds what concerns several of them."""
        check_params(self, self._constraints, owner=type(self).__name__)

    def fit(self, train: Any) -> Self:
        """Learn from the interactions of users with items.

        Parameters
        ----------
        train : Interactions or scipy sparse matrix of shape (n_users, n_items)
            What users have had to do with which items; a matrix has the ids 0, 1, 2, ... Values
            count as weights: ``train.implicit()`` has none.

        Returns
        -------
        self
            The fitted model. If `fit` fails or is interrupted, an earlier fit stays.

        Raises
        ------
        ValueError
            If a parameter is out of range, or `train` has no interactions.
        """
        return self._fit_to(train)

    def _fit_to(self, train: Any, **inputs: Any) -> Self:
        """Check, then `_fit`, which also gets `inputs`, such as features."""
        self._check()
        interactions = as_interactions(train)
        if not interactions.n_interactions:
            raise ValueError(
                f"{type(self).__name__}: train must hold at least one interaction, got none among "
                f"{interactions.n_users} users and {interactions.n_items} items"
            )
        seed = draw_seed(getattr(self, "random_state", 0))
        n_threads = effective_n_threads(self.n_jobs)
        before = dict(self.__dict__)
        try:
            with one_blas_thread():
                self._fit(interactions, seed=seed, n_threads=n_threads, **inputs)
        except BaseException:
            self.__dict__ = before
            raise
        self._set_train(interactions)
        return self

    def _set_train(self, train: Interactions) -> None:
        self.train_ = train
        counts = np.bincount(train.matrix.indices, minlength=train.n_items)
        self._popularity = (counts / max(1, train.n_users)).astype(np.float32)

    # -- Recommendations ---------------------------------------------------------------------

    def recommend(
        self,
        users: Any = None,
        k: int = 10,
        *,
        filter_seen: bool = True,
        items: Any = None,
        histories: Any = None,
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Return the items that users are most likely to want, the best first.

        Parameters
        ----------
        users : id, or list or 1-D array of ids, optional
            Whom to recommend to; a tuple is one id. None: all users of `fit`.
        k : int, default=10
            How many items.
        filter_seen : bool, default=True
            Leave out the items that a user has in `train`, or in `histories`.
        items : list or array of ids, optional
            Recommend these items only. None: all items of `fit`.
        histories : Interactions or scipy sparse matrix, optional
            Instead of `users`: what users that were not in `fit` have had to do with which of its
            items, a row for each; the columns are the items of `fit`.

        Returns
        -------
        ids : ndarray of shape (k,) or (n_users, k)
            Ids of items; one dimension for one user that was given as an id. Where there are fewer
            items than `k`, the rest is -1 for integer ids, else None.
        scores : ndarray of the same shape, dtype=float32
            Their scores, falling; -inf where there is no item. Of equal scores the item that comes
            first in `train` is first: also where all are 0, which is how a model without vectors
            says that it has nothing to go by.

        Raises
        ------
        KeyError
            If a user or an item was not there in `fit`; the message names it.
        ValueError
            If an argument is out of range, or `users` and `histories` are both given.
        NotImplementedError
            If the model knows users by their vectors alone and `histories` is given.

        Notes
        -----
        A user without any interaction gets the items with the most users; the score is then their
        share among all users. The result is the same, bit by bit, for any `n_jobs`.
        """
        check_is_fitted(self, "train_")
        check_params(
            {"k": k, "filter_seen": filter_seen},
            {"k": int_at_least(1), "filter_seen": boolean()},
            owner="recommend",
        )
        candidates = None if items is None else np.unique(positions_of_items(self.train_, items))
        single = False
        if histories is not None:
            if users is not None:
                raise ValueError("recommend: give users or histories, not both")
            rows = rows_of(histories, self.train_.item_ids)
            index, scores = self._top(
                None,
                k,
                exclude=rows if filter_seen else None,
                candidates=candidates,
                histories=rows,
            )
        else:
            single = users is not None and not is_sequence(users)
            try:
                found = positions_of_users(self.train_, [users] if single else users)
            except KeyError as error:
                if not isinstance(users, tuple):
                    raise
                raise KeyError(
                    f"{error.args[0]}: a tuple is one id; give several users as a list"
                ) from None
            exclude = self.train_.matrix[found] if filter_seen else None
            index, scores = self._top(found, k, exclude=exclude, candidates=candidates)
        ids = ids_at(self.train_.item_ids, index)
        return (ids[0], scores[0]) if single else (ids, scores)

    def _top(
        self,
        users: IndexArray | None,
        k: int,
        *,
        exclude: sp.csr_matrix | None = None,
        candidates: IndexArray | None = None,
        histories: sp.csr_matrix | None = None,
    ) -> Ranking:
        """Rank by index: what `recommend` and `evaluate` call. `candidates` must be ascending."""
        rows = histories if users is None else self.train_.matrix[users]
        if rows is None:
            raise ValueError("either users or histories must be given")
        index, scores = self._rank(users, rows, k, exclude, candidates)
        empty = np.flatnonzero(np.diff(rows.indptr) == 0)
        if len(empty):
            few = None if exclude is None else exclude[empty]
            index[empty], scores[empty] = self._rank_by_popularity(len(empty), k, few, candidates)
        return index, scores

    def _rank_by_popularity(
        self, n: int, k: int, exclude: sp.csr_matrix | None, candidates: IndexArray | None
    ) -> Ranking:
        queries = np.ones((n, 1), np.float32)
        return top_k(
            queries, self._popularity[:, np.newaxis], k,
            exclude=exclude, candidates=candidates, n_jobs=self.n_jobs,
        )  # fmt: skip

    def similar_items(self, items: Any, k: int = 10) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Return the items most like others.

        Parameters
        ----------
        items : id, or list or 1-D array of ids
            The items; a tuple is one id.
        k : int, default=10
            How many similar items.

        Returns
        -------
        ids : ndarray of shape (k,) or (n_items, k)
            Ids of items, the most similar first, the item itself left out; one dimension for one
            item that was given as an id. Padded as in `recommend`.
        scores : ndarray of the same shape, dtype=float32
            Cosines of item vectors; of a model without vectors, the scores that it gives a user
            whose only item it is, as far as they are above 0.

        Raises
        ------
        KeyError
            If an item was not there in `fit`; the message names it.
        """
        check_is_fitted(self, "train_")
        check_params({"k": k}, {"k": int_at_least(1)}, owner="similar_items")
        single = not is_sequence(items)
        found = positions_of_items(self.train_, [items] if single else items)
        shape = (len(found), self.train_.n_items)
        own = sp.csr_matrix(
            (np.ones(len(found), np.float32), found, np.arange(len(found) + 1)), shape=shape
        )
        index, scores = self._similar(found, own, k)
        ids = ids_at(self.train_.item_ids, index)
        return (ids[0], scores[0]) if single else (ids, scores)

    @abstractmethod
    def _similar(self, items: IndexArray, own: sp.csr_matrix, k: int) -> Ranking:
        """Rank the other items by similarity; row i of `own` holds the item i alone."""

    @property
    def item_vectors(self) -> NDArray[np.float32]:
        """Vectors of the items, of shape (n_items, n_components)."""
        raise self._no_vectors()

    @property
    def user_vectors(self) -> NDArray[np.float32]:
        """Vectors of the users, of shape (n_users, n_components)."""
        raise self._no_vectors()

    def _no_vectors(self) -> AttributeError:
        return AttributeError(
            f"{type(self).__name__} scores items without vectors; use recommend, or a model that "
            "has vectors, such as PureSVD, IALS or LightGCN"
        )

    # -- Files -------------------------------------------------------------------------------

    def save(self, path: StrPath) -> None:
        """Save the model with the ids and interactions of `fit` into one file, without pickle.

        Parameters
        ----------
        path : str or path-like
            Where to; written to a temporary file and then renamed, so an old file is never lost.

        Notes
        -----
        Times of interactions are not kept. A generator given as `random_state` has no place in a
        file: None is saved in its stead.
        """
        check_is_fitted(self, "train_")
        params = self.get_params(deep=False)
        if not isinstance(params.get("random_state", 0), int | np.integer):
            params["random_state"] = None
        write_recommender(
            path,
            estimator=type(self).__name__,
            params=params,
            train=self.train_,
            fitted=self._fitted(),
        )

    def _fitted(self) -> dict[str, Any]:
        """Arrays and csr matrices for a file."""
        return {name: getattr(self, name) for name in self._layout}

    def _set_fitted(self, file: RecommenderFile) -> None:
        """Take over what `_fitted` has given; raise FileFormatError if it is not that."""
        self.__dict__.update(read_fitted(file, self._layout))

    @classmethod
    def load(cls, path: StrPath) -> Self:
        """Read a model that `save` has written; nothing in the file is executed.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        Recommender
            A fitted model of this class; ``Recommender.load`` gives one of the class it has.

        Raises
        ------
        FileFormatError
            If the file is damaged, of another kind, or holds another class of model.
        """
        file = read_recommender(path)
        kind = cls if cls.__name__ == file.estimator else _subclass(cls, file.estimator)
        try:
            if kind is None:
                raise FileFormatError(
                    f"it holds the model {file.estimator:.80}, not {cls.__name__}"
                )
            unknown = set(file.params) - set(kind._get_param_names())
            if unknown:
                raise FileFormatError(f"{kind.__name__} has no parameter {min(unknown)!r:.80}")
            model = kind(**file.params)
            model._check()
            model._set_fitted(file)
        except ValueError as error:
            raise FileFormatError(f"{str(path)!r} cannot be loaded: {error}") from error
        model._set_train(file.train)
        return model


def _subclass(cls: type[Any], name: str) -> Any:
    """A recommender of graphembed by name, if it is a `cls`."""
    from graphembed import recsys  # the package imports this module

    kind = getattr(recsys, name, None) if name in recsys.__all__ else None
    return kind if isinstance(kind, type) and issubclass(kind, cls) else None
