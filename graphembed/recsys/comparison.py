"""Recommenders side by side on the same users, with intervals for their differences."""

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from graphembed._validation import check_params, draw_seed, int_at_least
from graphembed.evaluation.ranking import FloatArray, check_ks
from graphembed.recsys._blas import one_blas_thread
from graphembed.recsys._question import Question, check_parts, check_same, nan_mean, score_names
from graphembed.recsys.base import Recommender, as_interactions
from graphembed.recsys.baselines import ContentKNN
from graphembed.recsys.baselines._features import check_rows

_SHOWN = ("recall", "ndcg", "hit_rate")
_RESAMPLES = 64  # at a time
_LEVEL = 95  # per cent of an interval


@dataclass(frozen=True)
class Comparison:
    """Scores of several models; ``str(comparison)`` is a table.

    Attributes
    ----------
    rows : list of dict
        One for each model, in the order given: "model"; the scores of `evaluate`; "difference" to
        the reference in the metric, with the interval from "low" to "high"; "fit_seconds",
        "fit_cpu_seconds" (None for a model that was fitted already), "rank_seconds" and
        "rank_cpu_seconds". CPU seconds are those of all threads.
    metric : str
        The score whose differences are shown.
    reference : str
        The model that the others are compared with.
    n_users : int
        Users that were ranked for.
    """

    rows: list[dict[str, Any]]
    metric: str
    reference: str
    n_users: int

    def __str__(self) -> str:
        """Return a table with one row per model."""
        ks = [key.partition("@")[2] for key in self.rows[0] if key.startswith("coverage@")]
        names = [f"{name}@{k}" for k in ks for name in _SHOWN]
        names += [self.metric] * (self.metric not in names) + [f"coverage@{k}" for k in ks]
        header = ["model", *names, f"{self.metric} - {self.reference}", "fit CPU s", "rank CPU s"]
        table = [header, *(self._cells(row, names) for row in self.rows)]
        widths = [max(len(cells[j]) for cells in table) for j in range(len(header))]
        lines = [
            f"{self.n_users} users; differences with {_LEVEL} % intervals of the paired bootstrap"
        ]
        for cells in table:
            right = (c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))
            lines.append("  ".join([cells[0].ljust(widths[0]), *right]).rstrip())
        return "\n".join(lines)

    def _cells(self, row: dict[str, Any], names: list[str]) -> list[str]:
        difference = "{difference:+.4f} [{low:+.4f}, {high:+.4f}]".format(**row)
        fit = row["fit_cpu_seconds"]
        return [
            row["model"],
            *(f"{row[name]:.4f}" for name in names),
            "" if row["model"] == self.reference else difference,
            "" if fit is None else f"{fit:.1f}",
            f"{row['rank_cpu_seconds']:.1f}",
        ]


def compare(
    models: Recommender | Sequence[Recommender] | Mapping[str, Recommender],
    train: Any,
    test: Any,
    ks: Any = (20,),
    *,
    items: Any = None,
    histories: Any = None,
    filter_seen: bool = True,
    item_features: Any = None,
    validation: Any = None,
    metric: str | None = None,
    reference: str | None = None,
    n_resamples: int = 1000,
    random_state: Any = 0,
) -> Comparison:
    """Evaluate several models on the same users; fit those that are not fitted.

    Parameters
    ----------
    models : Recommender, sequence of them, or mapping of names to them
        The models; without names they are called by their classes. Each that is not fitted is
        fitted to `train`, and stays so.
    train, test, ks, items, histories, filter_seen
        As in `evaluate`.
    item_features : array, sparse matrix or list of str, optional
        Given to the models whose `fit` takes it.
    validation : Interactions, optional
        Given to the models whose `fit` takes it.
    metric : str, optional
        The score whose differences are shown; by default recall at the first of `ks`.
    reference : str, optional
        Name of the model that the others are compared with; by default the best by `metric`.
    n_resamples : int, default=1000
        Resamples of the users for the intervals.
    random_state : None, int, numpy.random.Generator or RandomState, default=0
        Decides the resamples.

    Returns
    -------
    Comparison
        Print it for a table.

    Raises
    ------
    ValueError
        If there are no models, or `metric` or `reference` is none of those there are, or as
        `evaluate` does.

    Notes
    -----
    An interval holds the middle 95 % of the mean differences over resampled users (percentile
    bootstrap). It says how far the difference depends on the choice of users, not on the seeds.
    """
    lengths = check_ks(ks)
    metric = f"recall@{lengths[0]}" if metric is None else metric
    check_params({"n_resamples": n_resamples}, {"n_resamples": int_at_least(1)}, owner="compare")
    names = score_names(lengths)
    if metric not in names:
        raise ValueError(f"metric must be one of {', '.join(names)}, got {metric!r}")
    named = _named(models)
    if reference is not None and reference not in named:
        raise ValueError(f"reference must be one of {', '.join(named)}, got {reference!r}")
    seed = draw_seed(random_state)
    known, _ = check_parts(train, test, filter_seen)
    if validation is not None:
        check_same(known, as_interactions(validation, "validation"), "validation")
    if histories is not None:
        check_same(known, as_interactions(histories, "histories"), "histories")
    if items is not None:
        known.item_index(items)
    inputs = {"item_features": item_features, "validation": validation}
    _check_features(named, item_features, known.n_items)
    for model in named.values():
        if hasattr(model, "train_"):
            Question(model, train, test, items, filter_seen, histories)
    rows, per_user = [], []
    for name, model in named.items():
        is_fitted = hasattr(model, "train_")
        fit = (None, None) if is_fitted else _timed(partial(_fit, model, train, inputs))[1]
        question = Question(model, train, test, items, filter_seen, histories)
        (scores, totals), rank = _timed(partial(question.full, lengths))
        means = {key: nan_mean(values) for key, values in scores.items()}
        per_user.append(scores[metric])
        rows.append(
            {
                "model": name, **means, **totals,
                "fit_seconds": fit[0], "fit_cpu_seconds": fit[1],
                "rank_seconds": rank[0], "rank_cpu_seconds": rank[1],
            }
        )  # fmt: skip
    best = list(named).index(reference) if reference else int(np.argmax([r[metric] for r in rows]))
    intervals = _intervals(np.array(per_user), best, n_resamples, seed)
    for row, (difference, low, high) in zip(rows, intervals.tolist(), strict=True):
        row |= {"difference": difference, "low": low, "high": high}
    return Comparison(rows, metric, list(named)[best], len(per_user[0]))


def _named(models: Any) -> dict[str, Recommender]:
    """The models by name; classes that occur more than once are numbered."""
    if isinstance(models, Mapping):
        named = dict(models)
    else:
        named = {}
        for model in [models] if isinstance(models, Recommender) else models:
            name, number = type(model).__name__, 2
            while name in named:
                name, number = f"{type(model).__name__} {number}", number + 1
            named[name] = model
    for name, model in named.items():
        if isinstance(model, type) and issubclass(model, Recommender):
            kind = model.__name__
            raise TypeError(f"models must be recommenders, got the class {kind}: write {kind}()")
        if not isinstance(model, Recommender):
            raise TypeError(f"models must be recommenders, got {type(model).__name__} for {name!r}")
    if not named:
        raise ValueError("models must hold at least one model, got none")
    return named


def _check_features(named: Mapping[str, Recommender], features: Any, n_items: int) -> None:
    """Raise if a model that is to be fitted would find no features, or too few."""
    takers = [
        name
        for name, model in named.items()
        if not hasattr(model, "train_")
        and "item_features" in inspect.signature(model.fit).parameters
    ]
    if not takers:
        return
    if features is None:
        needy = [name for name in takers if isinstance(named[name], ContentKNN)]
        if needy:
            raise ValueError(f"compare: {needy[0]} needs item_features, got none")
    else:
        check_rows(features, n_items)


def _fit(model: Recommender, train: Any, inputs: Mapping[str, Any]) -> None:
    taken = inspect.signature(model.fit).parameters
    model.fit(train, **{name: v for name, v in inputs.items() if name in taken and v is not None})


def _timed(work: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """What `work` returns, and its seconds, those of the clock and of the processors."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - wall, time.process_time() - cpu)


def _intervals(per_user: FloatArray, best: int, n_resamples: int, seed: int) -> FloatArray:
    """Mean difference of each model to the best, and the ends of its interval."""
    differences = per_user - per_user[best]
    differences = differences[:, ~np.isnan(differences).any(axis=0)]
    n = differences.shape[1]
    rng = np.random.default_rng(seed)
    means = np.empty((n_resamples, len(differences)))
    with one_blas_thread():
        for begin in range(0, n_resamples, _RESAMPLES):
            size = min(_RESAMPLES, n_resamples - begin)
            drawn = rng.multinomial(n, np.full(n, 1 / n), size=size)
            means[begin : begin + size] = drawn @ differences.T / n
    tail = (100 - _LEVEL) / 2
    ends = np.percentile(means, [tail, 100 - tail], axis=0)
    return np.vstack([differences.mean(axis=1), ends]).T
