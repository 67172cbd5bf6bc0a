"""Six ways to cut interactions into train, validation and test."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graphembed._ingest.edge_list import Array
from graphembed._validation import boolean, check_params, draw_seed, float_in, int_at_least
from graphembed.recsys._entries import plain, rows_of, same
from graphembed.recsys.interactions import Interactions

_TRAIN, _HISTORY, _VAL, _TEST = range(4)  # what is earlier in time has the lower number
_FRACTION = float_in(0, 1, "left")


@dataclass(frozen=True, eq=False)
class Split:
    """Parts of one table, with the same users and items in the same order.

    A split can also be put together by hand, of parts that come in files of their own; what makes
    no honest test is refused.

    Attributes
    ----------
    train : Interactions
        What a model learns from.
    val : Interactions
        What its settings are chosen by, and when it stops.
    test : Interactions
        What it is judged by, once.
    items : ndarray or None
        Ids of the items that are candidates in the test, where not all are.
    val_items : ndarray or None
        The same for the validation part.
    history : Interactions or None
        What is told of users without a row in `train` when recommendations are asked for.

    Raises
    ------
    ValueError
        If the parts have other users or items than each other, or share an interaction.

    Examples
    --------
    >>> from graphembed.recsys import make_interactions, random_split
    >>> split = random_split(make_interactions(random_state=0).interactions, random_state=0)
    >>> [part.n_interactions for part in (split.train, split.val, split.test)]
    [3056, 437, 873]
    """

    train: Interactions
    val: Interactions
    test: Interactions
    items: npt.NDArray[Any] | None = None
    val_items: npt.NDArray[Any] | None = None
    history: Interactions | None = None

    def __post_init__(self) -> None:
        parts = {"train": self.train, "val": self.val, "test": self.test}
        if self.history is not None:
            parts["history"] = self.history
        taken: dict[str, Any] = {}
        for name, part in parts.items():
            for ids in ("user_ids", "item_ids"):
                if not same(getattr(part, ids), getattr(self.train, ids)):
                    raise ValueError(
                        f"train and {name} have different {ids}: join them with train.align({name})"
                    )
            for earlier, matrix in taken.items():
                both = matrix.multiply(part.matrix).tocoo()
                if both.nnz:
                    user, item = part.user_ids[both.row[0]], part.item_ids[both.col[0]]
                    raise ValueError(
                        f"{both.nnz} interactions are in {earlier} and in {name}, such as "
                        f"({plain(user)!r}, {plain(item)!r}): a model would be tested on what it "
                        "has seen"
                    )
            taken[name] = part.matrix


def random_split(
    interactions: Interactions,
    *,
    val: float = 0.1,
    test: float = 0.2,
    by_user: bool = False,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
) -> Split:
    """Draw validation and test at random.

    Parameters
    ----------
    interactions : Interactions
        The whole table.
    val, test : float, default=0.1, 0.2
        Fractions of the interactions; 0 leaves the part empty.
    by_user : bool, default=False
        Take these fractions of every user's interactions, rounded; at least one stays in train.
        If not, of all together.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, default=None
        Decides which ones.

    Returns
    -------
    Split
        The parts.

    See Also
    --------
    global_time_split : What a model in use is up against: to tell the future from the past.

    Notes
    -----
    O(n log n) time. Of two interactions on one day, one may train and the other test: scores are
    higher than those of the splits by time, and are no evidence for use.
    """
    check_params({"by_user": by_user}, {"by_user": boolean()})
    _check_fractions(val, test)
    rng = np.random.default_rng(draw_seed(random_state))
    keys = rng.random(interactions.n_interactions)
    if by_user:
        parts = _last_of_users(interactions, (keys,), *_counts(interactions, val, test))
    else:
        count = interactions.n_interactions
        n_val, n_test = round(val * count), round(test * count)
        parts = np.full(count, _TRAIN)
        order = np.argsort(keys)
        parts[order[:n_test]] = _TEST
        parts[order[n_test : n_test + n_val]] = _VAL
    return _split(interactions, parts, val, test)


def leave_one_out(
    interactions: Interactions,
    *,
    val: int = 1,
    test: int = 1,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
) -> Split:
    """Take the last interaction of every user for the test, and the one before for validation.

    Parameters
    ----------
    interactions : Interactions
        The whole table. Without times, interactions are drawn at random.
    val, test : int, default=1
        How many interactions of every user; 0 leaves the part empty.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, default=None
        Decides between interactions of the same time, and among all without times.

    Returns
    -------
    Split
        The parts. All interactions of a user who has no more than `val` + `test` stay in train.

    Notes
    -----
    O(n log n) time. This is the only split that parts interactions of the same time; the choice is
    drawn, because the order of item ids often goes with popularity.
    """
    check_params({"val": val, "test": test}, {"val": int_at_least(0), "test": int_at_least(0)})
    if not val + test:
        raise ValueError("val and test are both 0: there is nothing to take")
    rng = np.random.default_rng(draw_seed(random_state))
    keys = [rng.random(interactions.n_interactions)]
    if interactions.times is not None:
        keys.append(interactions.times)
    enough = np.diff(interactions.matrix.indptr) > val + test
    parts = _last_of_users(interactions, tuple(keys), enough * int(val), enough * int(test))
    return _split(interactions, parts, val, test)


def user_time_split(interactions: Interactions, *, val: float = 0.1, test: float = 0.2) -> Split:
    """Take the latest interactions of every user for the test, and those before for validation.

    Parameters
    ----------
    interactions : Interactions
        The whole table, with times.
    val, test : float, default=0.1, 0.2
        Fractions of the interactions of every user, rounded; at least one stays in train.

    Returns
    -------
    Split
        The parts. Interactions of a user at the same time stay together, in the earlier part.

    Raises
    ------
    ValueError
        If the table has no times.

    Notes
    -----
    O(n log n) time. What others do later is in train: for a test without that, see
    `global_time_split`.
    """
    _check_fractions(val, test)
    times = _times(interactions)
    parts = _last_of_users(interactions, (times,), *_counts(interactions, val, test))
    return _split(interactions, _joined_ties(interactions, parts), val, test)


def global_time_split(interactions: Interactions, *, val: float = 0.1, test: float = 0.2) -> Split:
    """Take everything after a moment for the test, and what came shortly before for validation.

    Parameters
    ----------
    interactions : Interactions
        The whole table, with times.
    val, test : float, default=0.1, 0.2
        Fractions of all interactions, less those at the moment of the cut.

    Returns
    -------
    Split
        The parts: every time in `train` is before every one in `val`, and these before every one
        in `test`. Users and items of the test may have no interactions in train.

    Raises
    ------
    ValueError
        If the table has no times, or too many interactions have the same one.

    Notes
    -----
    O(n log n) time.
    """
    _check_fractions(val, test)
    times = _times(interactions)
    count = len(times)
    ordered = np.sort(times)
    n_test = round(test * count)
    n_early = max(1, count - n_test - round(val * count))
    parts = np.full(count, _TRAIN)
    parts[times > ordered[n_early - 1]] = _VAL
    if n_test:
        parts[times > ordered[count - n_test - 1]] = _TEST
    return _split(interactions, parts, val, test)


def cold_item_split(
    interactions: Interactions,
    *,
    val: float = 0.1,
    test: float = 0.2,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
) -> Split:
    """Take all interactions of some items away: what a model makes of items that are new.

    Parameters
    ----------
    interactions : Interactions
        The whole table.
    val, test : float, default=0.1, 0.2
        Fractions of the items that have interactions.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, default=None
        Decides which items.

    Returns
    -------
    Split
        The parts. `items` and `val_items` are the ids of the new items, the only candidates.

    Notes
    -----
    O(n) time.
    """
    columns = interactions.matrix.indices
    chosen = _draw(columns, interactions.n_items, val, test, random_state)
    ids = interactions.item_ids
    candidates = {"items": ids[chosen == _TEST], "val_items": ids[chosen == _VAL]}
    return _split(interactions, chosen[columns], val, test, **candidates)


def cold_user_split(
    interactions: Interactions,
    *,
    val: float = 0.1,
    test: float = 0.2,
    history: float = 0.0,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
) -> Split:
    """Take all interactions of some users away: what a model makes of users that are new.

    Parameters
    ----------
    interactions : Interactions
        The whole table.
    val, test : float, default=0.1, 0.2
        Fractions of the users that have interactions.
    history : float, default=0.0
        Fraction of the interactions of every new user, rounded, that the model is told when it is
        asked: the earliest ones and all of the same time as the last of them, or without times
        random ones. At least one is not told, unless it is of that time.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, default=None
        Decides which users.

    Returns
    -------
    Split
        The parts, and with `history` > 0 the interactions that are told.

    Notes
    -----
    O(n log n) time.
    """
    check_params({"history": history}, {"history": _FRACTION})
    rng = np.random.default_rng(draw_seed(random_state))
    rows = rows_of(interactions.matrix)
    chosen = _draw(rows, interactions.n_users, val, test, rng)
    parts = chosen[rows]
    if not history:
        return _split(interactions, parts, val, test)
    lengths = np.diff(interactions.matrix.indptr)
    hidden = np.maximum(lengths - _rounded(history, lengths), 1)
    keys = [rng.random(len(parts))]
    if interactions.times is not None:
        keys.append(interactions.times)
    is_late = _last_of_users(interactions, tuple(keys), 0 * hidden, hidden) == _TEST
    parts[(parts != _TRAIN) & ~is_late] = _HISTORY
    if interactions.times is not None:
        parts = _joined_ties(interactions, parts)
    return _split(interactions, parts, val, test)


def _check_fractions(val: float, test: float) -> None:
    check_params({"val": val, "test": test}, {"val": _FRACTION, "test": _FRACTION})
    if not 0 < val + test < 1:
        raise ValueError(f"val + test must be in (0, 1), got {val} + {test}")


def _times(interactions: Interactions) -> Array:
    if interactions.times is None:
        raise ValueError(
            "the interactions have no times: name the column with time=, or use random_split"
        )
    return interactions.times


def _rounded(fraction: float, lengths: Array) -> Array:
    return np.floor(fraction * lengths + 0.5).astype(np.int64)


def _counts(interactions: Interactions, val: float, test: float) -> tuple[Array, Array]:
    """How many interactions of every user go into validation and test; one is left."""
    lengths = np.diff(interactions.matrix.indptr)
    n_test = np.minimum(_rounded(test, lengths), np.maximum(lengths - 1, 0))
    n_val = np.minimum(_rounded(val, lengths), np.maximum(lengths - 1 - n_test, 0))
    return n_val, n_test


def _last_of_users(
    interactions: Interactions, keys: tuple[Array, ...], n_val: Array, n_test: Array
) -> Array:
    """Give the last interactions of every user to the test, and those before to validation.

    The last of `keys` counts first, as in `numpy.lexsort`.
    """
    rows = rows_of(interactions.matrix)
    order = np.lexsort((*keys, rows))
    left = interactions.matrix.indptr[1:][rows] - np.arange(len(rows))  # n, n - 1, ..., 1
    parts = np.full(len(rows), _TRAIN)
    parts[order[left <= (n_val + n_test)[rows]]] = _VAL
    parts[order[left <= n_test[rows]]] = _TEST
    return parts


def _joined_ties(interactions: Interactions, parts: Array) -> Array:
    """Put interactions of the same user and time together, into the earliest of their parts."""
    rows, times = rows_of(interactions.matrix), _times(interactions)
    order = np.lexsort((parts, times, rows))
    new = (rows[order][1:] != rows[order][:-1]) | (times[order][1:] != times[order][:-1])
    first = np.append(0, np.flatnonzero(new) + 1)
    joined = np.empty_like(parts)
    joined[order] = parts[order[first]][np.append(0, np.cumsum(new))]
    return joined


def _draw(codes: Array, count: int, val: float, test: float, random_state: Any) -> Array:
    """Deal users or items that have interactions to the parts."""
    _check_fractions(val, test)
    rng = np.random.default_rng(draw_seed(random_state))
    present = rng.permutation(np.flatnonzero(np.bincount(codes, minlength=count)))
    n_val, n_test = round(val * len(present)), round(test * len(present))
    chosen = np.full(count, _TRAIN)
    chosen[present[:n_test]] = _TEST
    chosen[present[n_test : n_test + n_val]] = _VAL
    return chosen


def _split(
    interactions: Interactions, parts: Array, val: float, test: float, **candidates: Array
) -> Split:
    sizes = np.bincount(parts, minlength=4)
    for name, part, wanted in (("train", _TRAIN, 1), ("val", _VAL, val), ("test", _TEST, test)):
        if wanted and not sizes[part]:
            raise ValueError(
                f"{name} would be empty: val={val} and test={test} of "
                f"{interactions.n_interactions} interactions; choose other sizes"
            )
    train, told, held, final = (interactions.select(parts == part) for part in range(4))
    return Split(train, held, final, history=told if sizes[_HISTORY] else None, **candidates)
