"""Random divisions into parts to train on, to choose by and to test on."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from graphembed._validation import (
    boolean,
    check_params,
    draw_seed,
    float_in,
    int_at_least,
    optional,
)

Mask = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


class Split(NamedTuple):
    """Three masks; no node is in two of them.

    Parameters
    ----------
    train, val, test : ndarray of shape (n_nodes,), bool
        Nodes to train on, to choose by, and to test on.
    """

    train: Mask
    val: Mask
    test: Mask


def split_per_class(
    labels: Any,
    *,
    train: int = 20,
    val: int = 500,
    test: int | None = 1000,
    val_per_class: bool = False,
    random_state: Any = None,
) -> Split:
    """Draw as many nodes of every class to train on, and others to validate and test.

    Planetoid's protocol (20 a class, 500, 1000) drawn anew; with ``val=30, val_per_class=True,
    test=None`` that of Shchur et al. 2018.

    Parameters
    ----------
    labels : array-like of int, shape (n_nodes,)
        The class of every node; a node with -1 is in no part.
    train : int, default=20
        Nodes of every class.
    val : int, default=500
        Nodes of all classes together, or of every class.
    test : int or None, default=1000
        Nodes of all classes together; None takes all that are left.
    val_per_class : bool, default=False
        What `val` counts.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Decides who is drawn.

    Returns
    -------
    Split
        Masks ``(train, val, test)``.

    Raises
    ------
    ValueError
        If there are not enough nodes.
    """
    check_params(
        {"train": train, "val": val, "test": test, "val_per_class": val_per_class},
        {
            "train": int_at_least(1),
            "val": int_at_least(0),
            "test": optional(int_at_least(0)),
            "val_per_class": boolean(),
        },
    )
    classes = _classes(labels)
    rng = np.random.default_rng(draw_seed(random_state))
    order = rng.permutation(np.flatnonzero(classes >= 0))
    chosen, rest = _take_per_class(order, classes, train, "train")
    rest = rng.permutation(rest)  # the large classes came first in it
    if val_per_class:
        validation, rest = _take_per_class(rest, classes, val, "val")
    else:
        validation, rest = rest[:val], rest[val:]
    if len(validation) < (0 if val_per_class else val) or len(rest) < (test or 0):
        raise ValueError(
            f"val and test must leave enough nodes: {len(order) - len(chosen)} are left after "
            f"train={train} per class, got val={val} and test={test}"
        )
    n_test = len(rest) if test is None else test
    return _masks(len(classes), chosen, validation, rest[:n_test])


def split_fractions(
    labels: Any, *, train: float = 0.6, val: float = 0.2, random_state: Any = None
) -> Split:
    """Divide the nodes of every class by fractions; what is left is for the test.

    Parameters
    ----------
    labels : array-like of int, shape (n_nodes,)
        The class of every node; a node with -1 is in no part.
    train, val : float, default=0.6 and 0.2
        Fractions of every class, the numbers rounded to the nearest; together below 1.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Decides who goes where.

    Returns
    -------
    Split
        Masks ``(train, val, test)``.

    Raises
    ------
    ValueError
        If the fractions leave nothing for the test.
    """
    _check_fractions(train, val)
    classes = _classes(labels)
    rng = np.random.default_rng(draw_seed(random_state))
    order = rng.permutation(np.flatnonzero(classes >= 0))
    parts: list[list[IntArray]] = [[], [], []]
    for k in np.unique(classes[order]):
        members = order[classes[order] == k]
        for part, found in zip(parts, _cut(members, train, val), strict=True):
            part.append(found)
    empty = np.zeros(0, np.int64)
    return _masks(len(classes), *(np.concatenate([empty, *part]) for part in parts))


def split_indices(
    n: int, *, train: float = 0.8, val: float = 0.1, random_state: Any = None
) -> tuple[IntArray, IntArray, IntArray]:
    """Divide 0 to n - 1 at random, for the graphs of a `GraphDataset`.

    Parameters
    ----------
    n : int
        How many there are.
    train, val : float, default=0.8 and 0.1
        Fractions, the numbers rounded to the nearest; what is left is for the test.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Decides who goes where.

    Returns
    -------
    tuple of ndarray
        Indices ``(train, val, test)``, shuffled.
    """
    check_params({"n": n}, {"n": int_at_least(0)})
    _check_fractions(train, val)
    return _cut(np.random.default_rng(draw_seed(random_state)).permutation(n), train, val)


def _check_fractions(train: float, val: float) -> None:
    for name, value in (("train", train), ("val", val)):
        check_params({name: value}, {name: float_in(0, 1, "left")})
    if train + val >= 1:
        raise ValueError(
            f"train + val must be < 1, to leave something for the test, got {train} + {val}"
        )


def _classes(labels: Any) -> IntArray:
    classes = np.asarray(labels)
    if classes.ndim != 1 or classes.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be one row of integers, got shape {classes.shape} and dtype "
            f"{classes.dtype}"
        )
    return classes.astype(np.int64)


def _cut(order: IntArray, train: float, val: float) -> tuple[IntArray, IntArray, IntArray]:
    end = round(train * len(order))
    return order[:end], order[end : (stop := end + round(val * len(order)))], order[stop:]


def _take_per_class(
    order: IntArray, classes: IntArray, n: int, name: str
) -> tuple[IntArray, IntArray]:
    """Take the first `n` of every class; give them and the rest, both in the order given."""
    taken = np.zeros(len(order), dtype=bool)
    for k in np.unique(classes[classes >= 0]):
        members = np.flatnonzero(classes[order] == k)
        if len(members) < n:
            raise ValueError(
                f"{name} must be at most the nodes of every class: class {k} has {len(members)} "
                f"left, got {n}"
            )
        taken[members[:n]] = True
    return order[taken], order[~taken]


def _masks(n_nodes: int, *parts: IntArray) -> Split:
    masks: Sequence[Mask] = [np.zeros(n_nodes, dtype=bool) for _ in parts]
    for mask, nodes in zip(masks, parts, strict=True):
        mask[nodes] = True
    return Split(*masks)
