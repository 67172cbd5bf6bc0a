"""How good recommendations are: all items ranked for every user."""

import warnings
from typing import Any

import numpy as np

from graphembed._validation import boolean, check_params, draw_seed, int_at_least, one_of
from graphembed.evaluation.ranking import check_ks
from graphembed.recsys._question import Question, nan_mean
from graphembed.recsys.base import Recommender


def evaluate(
    model: Recommender,
    train: Any,
    test: Any,
    ks: Any = (20,),
    *,
    items: Any = None,
    histories: Any = None,
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
    histories : Interactions or scipy sparse matrix, optional
        Rank for users who were not in `fit`, by what they have here, which then takes the part of
        `train`: ``split.history`` of `cold_user_split`. For models that need no user vectors.
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
        the model was fitted to test interactions, or an argument is out of range. With
        ``filter_seen=False`` interactions of `train` may come again in `test`.

    Notes
    -----
    Users are ranked in blocks of 4096; of each, the list of max(ks) items and its scores are kept,
    4 bytes an item and 8 a score. The result is the same for any number of threads.

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
    question = Question(model, train, test, items, filter_seen, histories)
    if protocol == "sampled":
        if histories is not None:
            raise NotImplementedError("evaluate: protocol='sampled' does not take histories")
        warnings.warn(
            "sampled metrics may put models into another order than the full ranking does "
            "(Krichene and Rendle 2020): compare them only with figures of the same protocol",
            stacklevel=2,
        )
        rng = np.random.default_rng(draw_seed(random_state))
        scores = question.sampled(check_ks(ks), n_negatives, rng)
        return {name: float(values.mean()) for name, values in scores.items()}
    scores, totals = question.full(check_ks(ks))
    return {**{name: nan_mean(values) for name, values in scores.items()}, **totals}
