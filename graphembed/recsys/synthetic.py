"""Interactions with planted tastes, for tests and examples."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from graphembed._ingest.edge_list import Array
from graphembed._validation import check_params, draw_seed, float_in, int_at_least
from graphembed.recsys.interactions import Interactions

_TAGS = 20  # of every block, and as many that belong to none
_PERIOD = 1_000_000  # times are below


@dataclass(frozen=True, eq=False)
class SyntheticInteractions:
    """Interactions of `make_interactions`, the items' content and the truth behind them.

    Attributes
    ----------
    interactions : Interactions
        With ratings from 1 to 5 and times; ids are 0, 1, 2, ...
    item_tags : scipy.sparse.csr_matrix of float32, shape (n_items, n_tags)
        1 where an item has a tag.
    item_text : list of str
        The same as text: names of tags between blanks.
    user_blocks, item_blocks : ndarray of shape (n_users,) and (n_items,)
        The taste of every user, and the one that every item appeals to.
    """

    interactions: Interactions
    item_tags: sp.csr_matrix
    item_text: list[str]
    user_blocks: npt.NDArray[np.int64]
    item_blocks: npt.NDArray[np.int64]


def make_interactions(
    n_users: int = 300,
    n_items: int = 200,
    *,
    n_blocks: int = 4,
    per_user: int = 20,
    loyalty: float = 0.8,
    popularity: float = 0.8,
    n_tags: int = 6,
    content: float = 0.8,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
) -> SyntheticInteractions:
    """Make users and items of a few tastes, popular and rare items, and content that tells.

    Parameters
    ----------
    n_users, n_items : int, default=300, 200
        Numbers of users and items.
    n_blocks : int, default=4
        Number of tastes; users and items are dealt to them evenly.
    per_user : int, default=20
        Draws of every user; an item drawn twice is one interaction.
    loyalty : float, default=0.8
        Chance that a draw is among the items of the user's own taste; the others are among all.
    popularity : float, default=0.8
        Exponent of the power law: the item of rank r is drawn with weight ``r ** -popularity``.
    n_tags : int, default=6
        Draws of tags for every item.
    content : float, default=0.8
        Chance that a tag is one of the item's own taste; 0: content tells nothing.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, default=None
        Decides everything.

    Returns
    -------
    SyntheticInteractions
        Interactions, tags, text and blocks. Ratings are 4 on average within the own taste, 2.5
        elsewhere; times are uniform.

    Notes
    -----
    O(n_users * per_user + n_items * n_tags) time and memory.

    Examples
    --------
    >>> from graphembed.recsys import make_interactions
    >>> data = make_interactions(n_users=5, n_items=8, n_blocks=2, per_user=3, random_state=0)
    >>> data.interactions.matrix.shape
    (5, 8)
    """
    check_params(
        {
            "n_users": n_users,
            "n_items": n_items,
            "n_blocks": n_blocks,
            "per_user": per_user,
            "loyalty": loyalty,
            "popularity": popularity,
            "n_tags": n_tags,
            "content": content,
        },
        {
            "n_users": int_at_least(1),
            "n_items": int_at_least(1),
            "n_blocks": int_at_least(1),
            "per_user": int_at_least(1),
            "loyalty": float_in(0, 1),
            "popularity": float_in(0, 10),
            "n_tags": int_at_least(1),
            "content": float_in(0, 1),
        },
    )
    if n_blocks > n_items:
        raise ValueError(f"n_blocks must be <= n_items = {n_items}, got {n_blocks}")
    rng = np.random.default_rng(draw_seed(random_state))
    user_blocks = rng.permutation(np.arange(n_users) % n_blocks)
    item_blocks = rng.permutation(np.arange(n_items) % n_blocks)
    weights = rng.permutation(np.arange(1.0, n_items + 1)) ** -popularity
    users = np.repeat(np.arange(n_users), per_user)
    items = _draw_items(users, user_blocks, item_blocks, weights, loyalty, rng)
    own = user_blocks[users] == item_blocks[items]
    ratings = np.clip(np.rint(rng.normal(np.where(own, 4.0, 2.5), 0.8)), 1, 5)
    times = rng.integers(_PERIOD, size=len(users))
    tags = _draw_tags(item_blocks, n_blocks, n_tags, content, rng)
    interactions = Interactions.from_arrays(
        users, items, ratings, times, user_ids=range(n_users), item_ids=range(n_items)
    )
    starts = tags.indptr.tolist()
    names = [f"tag{tag}" for tag in tags.indices.tolist()]
    text = [" ".join(names[a:b]) for a, b in pairwise(starts)]
    return SyntheticInteractions(interactions, tags, text, user_blocks, item_blocks)


def _draw_items(
    users: Array,
    user_blocks: Array,
    item_blocks: Array,
    weights: Array,
    loyalty: float,
    rng: np.random.Generator,
) -> Array:
    """Draw one item for every entry of `users`, by inverting the distribution functions."""
    order = np.argsort(item_blocks, kind="stable")  # the items of a block side by side
    total = np.concatenate([[0.0], np.cumsum(weights[order])])
    bounds = np.searchsorted(item_blocks[order], np.arange(int(item_blocks.max()) + 2))
    block = user_blocks[users]
    loyal = rng.random(len(users)) < loyalty
    low = np.where(loyal, total[bounds[block]], 0.0)
    high = np.where(loyal, total[bounds[block + 1]], total[-1])
    place = np.searchsorted(total, low + (high - low) * rng.random(len(users)), side="right") - 1
    last = np.where(loyal, bounds[block + 1], len(order)) - 1  # against rounding
    items: Array = order[np.minimum(place, last)]
    return items


def _draw_tags(
    item_blocks: Array, n_blocks: int, n_tags: int, content: float, rng: np.random.Generator
) -> sp.csr_matrix:
    items = np.repeat(np.arange(len(item_blocks)), n_tags)
    known = _TAGS * (n_blocks + 1)
    own = item_blocks[items] * _TAGS + rng.integers(_TAGS, size=len(items))
    tags = np.where(rng.random(len(items)) < content, own, rng.integers(known, size=len(items)))
    shape = (len(item_blocks), known)
    matrix = sp.csr_matrix((np.ones(len(items), np.float32), (items, tags)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
