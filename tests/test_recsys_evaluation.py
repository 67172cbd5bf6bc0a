"""Metrics against a slow version, protocols, and intervals of differences."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from graphembed.evaluation import (
    coverage,
    novelty,
    popularity_slices,
    ranking_scores,
    slice_recalls,
)
from graphembed.recsys import (
    ContentKNN,
    Interactions,
    ItemKNN,
    Popularity,
    PureSVD,
    cold_user_split,
    compare,
    evaluate,
    make_interactions,
)
from graphembed.recsys import _question as question
from graphembed.recsys import comparison as comparison_module

DATA = make_interactions(120, 80, random_state=1)
ALL = DATA.interactions.implicit()
CUT = np.random.default_rng(0).random(ALL.n_interactions) < 0.3
TRAIN, TEST = ALL.select(~CUT), ALL.select(CUT)
MODEL = ItemKNN(20).fit(TRAIN)


def slow_scores(ranked: list[int], wanted: set[int], k: int) -> dict[str, float]:
    """One user's scores, word by word from the definitions."""
    hits = [item in wanted for item in ranked[:k] if item >= 0]
    found = sum(hits)
    gain = sum(1 / math.log2(r + 2) for r, hit in enumerate(hits) if hit)
    ideal = sum(1 / math.log2(r + 2) for r in range(min(k, len(wanted))))
    precisions = [sum(hits[: r + 1]) / (r + 1) for r, hit in enumerate(hits) if hit]
    return {
        f"recall@{k}": found / len(wanted),
        f"precision@{k}": found / k,
        f"hit_rate@{k}": float(found > 0),
        f"ndcg@{k}": gain / ideal,
        f"mrr@{k}": next((1 / (r + 1) for r, hit in enumerate(hits) if hit), 0.0),
        f"map@{k}": sum(precisions) / min(k, len(wanted)),
    }


def random_case(seed: int):
    rng = np.random.default_rng(seed)
    test = sp.random_array((40, 25), density=0.15, rng=rng, format="csr")
    top = np.array([rng.permutation(25)[:12] for _ in range(40)])
    top[3, 5:] = -1
    top[4] = -1
    return top, sp.csr_matrix(test)


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_the_definitions(seed):
    top, test = random_case(seed)
    scores = ranking_scores(top, test, (1, 5, 12))
    for user in range(40):
        wanted = set(test[user].indices.tolist())
        for k in (1, 5, 12):
            for name in slow_scores([], {1}, k):
                value = scores[name][user]
                if wanted:
                    assert value == pytest.approx(slow_scores(top[user].tolist(), wanted, k)[name])
                else:
                    assert math.isnan(value)


def test_scores_by_hand():
    test = sp.csr_matrix([[0, 1, 0, 1, 1]])
    scores = ranking_scores(np.array([[1, 0, 4]]), test, 3)
    assert scores["recall@3"] == pytest.approx(2 / 3)
    assert scores["precision@3"] == pytest.approx(2 / 3)
    assert scores["mrr@3"] == 1
    assert scores["map@3"] == pytest.approx((1 + 2 / 3) / 3)
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert scores["ndcg@3"] == pytest.approx((1 + 1 / 2) / ideal)


def test_slices():
    counts = np.array([10, 1, 5, 5, 4, 0, 5])  # 30 in all: a third is 10
    assert popularity_slices(counts).tolist() == [0, 2, 1, 1, 2, 2, 2]
    assert popularity_slices(np.zeros(3, int)).tolist() == [0, 0, 0]
    top = np.array([[0, 1, 2], [4, -1, -1]])
    test = sp.csr_matrix([[1, 1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0, 1]])
    recalls = slice_recalls(top, test, popularity_slices(counts), (1, 3))
    np.testing.assert_array_equal(recalls["recall_head@3"], [1, np.nan])
    np.testing.assert_array_equal(recalls["recall_mid@3"], [1 / 2, np.nan])
    np.testing.assert_array_equal(recalls["recall_tail@3"], [1, 1 / 2])
    np.testing.assert_array_equal(recalls["recall_tail@1"], [0, 1 / 2])


def test_coverage_and_novelty():
    top = np.array([[0, 1], [0, -1]])
    assert coverage(top, 8) == 2 / 8
    counts = np.array([4, 1, 0])
    assert novelty(top, counts, 8) == pytest.approx((1 + 3 + 1) / 3)
    assert novelty(np.array([[2]]), counts, 8) == 3
    assert novelty(np.array([[-1]]), counts, 8) == 0


def test_wrong_shapes():
    top, test = random_case(0)
    with pytest.raises(ValueError, match="the 40 rows of test"):
        ranking_scores(top[:3], test, 5)
    with pytest.raises(ValueError, match="at most the 12 columns"):
        ranking_scores(top, test, 13)
    with pytest.raises(ValueError, match="at least one length"):
        ranking_scores(top, test, ())
    with pytest.raises(ValueError, match="ks must be an int"):
        ranking_scores(top, test, 2.5)


def test_lists_are_checked():
    test = sp.csr_matrix([[1, 0, 1]])
    for top, error, message in (
        ([[0, 2, 0]], ValueError, "an item once a row, got 0 twice in row 0"),
        ([[0, 3]], ValueError, r"in \[0, 3\), or -1, got 3 in row 0, column 1"),
        ([[-2]], ValueError, "got -2"),
        ([[0.5]], TypeError, "top must hold integers"),
        ([0], ValueError, "the shape"),
    ):
        with pytest.raises(error, match=message):
            ranking_scores(top, test, 1)
    with pytest.raises(TypeError, match="test must be a scipy sparse matrix, got ndarray"):
        ranking_scores([[0]], test.toarray(), 1)
    with pytest.raises(ValueError, match="slices must have one entry for each of the 3"):
        slice_recalls([[0]], test, np.zeros(2, int), 1)
    twice = sp.coo_matrix(([1, 1], ([0, 0], [0, 0])), shape=(1, 3))
    assert ranking_scores([[0, -1, -1]], twice, 3)["recall@3"].tolist() == [1]


def slow_evaluate(model, k: int, items=None) -> float:
    """Mean recall, with the ranking done by a sort of all scores."""
    recalls = []
    for user in range(TRAIN.n_users):
        wanted = set(TEST.matrix[user].indices.tolist())
        scores = model._all_scores(np.array([user]))[0].astype(np.float64)
        scores[TRAIN.matrix[user].indices] = -np.inf
        if items is not None:
            outside = np.setdiff1d(np.arange(80), items)
            scores[outside] = -np.inf
            wanted -= set(outside.tolist())
        if wanted:
            best = [j for j in np.argsort(-scores, kind="stable")[:k] if scores[j] > -np.inf]
            recalls.append(len(wanted & set(best)) / len(wanted))
    return float(np.mean(recalls))


@pytest.mark.parametrize("model", [MODEL, PureSVD(8).fit(TRAIN)], ids=["scores", "vectors"])
def test_evaluate_ranks_all_items(model, monkeypatch):
    expected = evaluate(model, TRAIN, TEST, (5, 20))
    for k in (5, 20):
        assert expected[f"recall@{k}"] == pytest.approx(slow_evaluate(model, k))
    some = np.arange(0, 80, 3)
    assert evaluate(model, TRAIN, TEST, 5, items=some)["recall@5"] == pytest.approx(
        slow_evaluate(model, 5, some)
    )
    assert expected["n_users"] == np.count_nonzero(np.diff(TEST.matrix.indptr))
    monkeypatch.setattr(question.Question.blocks, "__defaults__", (7,))
    assert evaluate(model, TRAIN, TEST, (5, 20)) == expected


def test_evaluate_by_popularity_and_novelty():
    result = evaluate(Popularity().fit(TRAIN), TRAIN, TEST, 5)
    assert result["recall_head@5"] > result["recall_tail@5"]
    assert result["coverage@5"] < evaluate(MODEL, TRAIN, TEST, 5)["coverage@5"]
    assert result["novelty@5"] < evaluate(MODEL, TRAIN, TEST, 5)["novelty@5"]


def test_seen_items_may_be_asked_for():
    again = evaluate(MODEL, TRAIN, TRAIN, 5, filter_seen=False)
    assert again["hit_rate@5"] > 0.5
    with pytest.raises(ValueError, match="interactions are in train and in test, such as"):
        evaluate(MODEL, TRAIN, TRAIN, 5)


def test_a_model_that_has_seen_the_test_is_refused():
    leaky = ItemKNN(20).fit(ALL)
    for filter_seen in (True, False):
        with pytest.raises(ValueError, match="are in the model's train_ and in test, such as"):
            evaluate(leaky, TRAIN, TEST, filter_seen=filter_seen)
    with pytest.raises(ValueError, match="are in the model's train_ and in test, such as"):
        compare([Popularity(), leaky], TRAIN, TEST)
    split = cold_user_split(ALL, val=0.1, test=0.3, history=0.5, random_state=0)
    model = ItemKNN(20).fit(split.train)
    with pytest.raises(ValueError, match="are in histories and in test"):
        evaluate(model, split.train, split.test, histories=split.test)


def test_the_sampled_protocol_gives_new_users_what_is_popular():
    split = cold_user_split(ALL, val=0.1, test=0.3, random_state=0)
    results = []
    for model in (ItemKNN(20), Popularity()):
        with pytest.warns(UserWarning, match="Krichene"):
            results.append(
                evaluate(
                    model.fit(split.train),
                    split.train,
                    split.test,
                    5,
                    protocol="sampled",
                    n_negatives=20,
                    random_state=0,
                )
            )
    assert results[0] == results[1]


def test_the_sampled_protocol_warns_and_ranks_among_few():
    with pytest.warns(UserWarning, match="Krichene and Rendle"):
        result = evaluate(
            MODEL, TRAIN, TEST, (1, 5), protocol="sampled", n_negatives=20, random_state=0
        )
    with pytest.warns(UserWarning, match="Krichene"):
        again = evaluate(
            MODEL, TRAIN, TEST, (1, 5), protocol="sampled", n_negatives=20, random_state=0
        )
    assert result == again
    full = evaluate(MODEL, TRAIN, TEST, (1, 5))
    assert result["hit_rate@5"] > full["recall@5"] + 0.1
    assert result["hit_rate@5"] == result["recall@5"]
    assert result["mrr@1"] == result["hit_rate@1"]
    too_many = pytest.raises(ValueError, match="n_negatives must be at most")
    with pytest.warns(UserWarning, match="Krichene"), too_many:
        evaluate(MODEL, TRAIN, TEST, protocol="sampled", n_negatives=99)


def test_a_model_that_knows_nothing_scores_at_chance_among_sampled():
    rng = np.random.default_rng(3)
    train = Interactions.from_csr(sp.random_array((400, 60), density=0.1, rng=rng, format="csr"))
    test = rng.random((400, 60)) < 0.05
    test[train.matrix.nonzero()] = False
    with pytest.warns(UserWarning, match="Krichene"):
        result = evaluate(
            PureSVD(4).fit(train), train, sp.csr_matrix(test), 5, protocol="sampled",
            n_negatives=19, random_state=0,
        )  # fmt: skip
    n = test.sum()
    assert abs(result["hit_rate@5"] - 5 / 20) < 4 * math.sqrt(0.25 * 0.75 / n)


def test_users_who_were_not_in_fit():
    split = cold_user_split(ALL, val=0.1, test=0.3, history=0.5, random_state=0)
    model = ItemKNN(20).fit(split.train)
    blind = evaluate(model, split.train, split.test, 10)
    seeing = evaluate(model, split.train, split.test, 10, histories=split.history)
    assert seeing["recall@10"] > blind["recall@10"] + 0.02
    popular = evaluate(Popularity().fit(split.train), split.train, split.test, 10)
    assert blind["recall@10"] == popular["recall@10"]
    ranked = compare([model], split.train, split.test, 10, histories=split.history)
    assert ranked.rows[0]["recall@10"] == seeing["recall@10"]
    with pytest.raises(NotImplementedError, match="does not take histories"):
        evaluate(model, split.train, split.test, protocol="sampled", histories=split.history)


def test_what_does_not_belong_together_is_refused():
    other = Interactions.from_csr(TEST.matrix, item_ids=np.arange(80) + 1)
    with pytest.raises(ValueError, match="train and test must have the same items"):
        evaluate(MODEL, TRAIN, other)
    with pytest.raises(ValueError, match="train and model must have the same users"):
        evaluate(MODEL, TRAIN.matrix[:50], TEST.matrix[:50])
    with pytest.raises(ValueError, match="test must hold an interaction"):
        evaluate(MODEL, TRAIN, sp.csr_matrix(TEST.matrix.shape))
    with pytest.raises(TypeError, match="test must be Interactions"):
        evaluate(MODEL, TRAIN, TEST.matrix.toarray())
    with pytest.raises(NotFittedError, match="Popularity instance is not fitted"):
        evaluate(Popularity(), TRAIN, TEST)
    with pytest.raises(ValueError, match="protocol must be one of"):
        evaluate(MODEL, TRAIN, TEST, protocol="half")


# -- Comparisons --------------------------------------------------------------------------------


def test_compare_fits_what_is_not_fitted_and_evaluates_alike():
    models = {"knn": MODEL, "popular": Popularity(), "content": ContentKNN()}
    result = compare(models, TRAIN, TEST, (5, 10), item_features=DATA.item_tags)
    assert [row["model"] for row in result.rows] == list(models)
    for row, model in zip(result.rows, models.values(), strict=True):
        for name, value in evaluate(model, TRAIN, TEST, (5, 10)).items():
            assert row[name] == value
    assert result.rows[0]["fit_seconds"] is None
    assert result.rows[1]["fit_cpu_seconds"] >= 0
    assert result.metric == "recall@5"
    assert result.reference == max(result.rows, key=lambda row: row["recall@5"])["model"]
    assert result.n_users == result.rows[0]["n_users"]
    alone = compare(MODEL, TRAIN, TEST, (5, 10))
    assert [row["ndcg@10"] for row in alone.rows] == [result.rows[0]["ndcg@10"]]


def test_the_table_is_aligned():
    result = compare([MODEL, Popularity(), Popularity()], TRAIN, TEST, 5, reference="ItemKNN")
    lines = str(result).split("\n")
    assert lines[1].split()[:4] == ["model", "recall@5", "ndcg@5", "hit_rate@5"]
    assert [line.split()[0] for line in lines[2:4]] == ["ItemKNN", "Popularity"]
    assert lines[4].startswith("Popularity 2")
    assert len({len(line) for line in lines[1:]}) == 1
    assert f"{result.rows[1]['recall@5']:.4f}" in lines[3]
    assert result.rows[0]["difference"] == result.rows[0]["low"] == result.rows[0]["high"] == 0
    assert "map@5" in str(compare([MODEL], TRAIN, TEST, 5, metric="map@5"))


def test_intervals_are_those_of_the_mean():
    rng = np.random.default_rng(0)
    base = rng.normal(size=4000)
    better = base + rng.normal(0.1, 1.0, 4000)
    intervals = comparison_module._intervals(np.array([base, better]), 0, 2000, 1)
    assert intervals[0].tolist() == [0, 0, 0]
    difference, low, high = intervals[1]
    assert difference == pytest.approx((better - base).mean())
    half = 1.96 * (better - base).std() / math.sqrt(4000)
    assert low == pytest.approx(difference - half, abs=0.1 * half)
    assert high == pytest.approx(difference + half, abs=0.1 * half)


def test_users_without_a_score_are_left_out_of_intervals():
    per_user = np.array([[1.0, np.nan, 3.0], [2.0, np.nan, 4.0]])
    assert comparison_module._intervals(per_user, 0, 10, 0)[1].tolist() == [1, 1, 1]


def test_compare_refuses():
    with pytest.raises(ValueError, match="at least one model"):
        compare([], TRAIN, TEST)
    with pytest.raises(TypeError, match=r"got the class Popularity: write Popularity\(\)"):
        compare([MODEL, Popularity], TRAIN, TEST)
    with pytest.raises(TypeError, match="recommenders, got str"):
        compare(["EASE"], TRAIN, TEST)
    with pytest.raises(ValueError, match="metric must be one of"):
        compare([MODEL], TRAIN, TEST, metric="auc")
    with pytest.raises(ValueError, match="reference must be one of"):
        compare([MODEL], TRAIN, TEST, reference="EASE")
    fits = []

    class Watched(Popularity):
        def fit(self, train):
            fits.append(train)
            return super().fit(train)

    other = Interactions.from_csr(TEST.matrix, item_ids=np.arange(80) + 1)
    for models, test, options, message in (
        ([Watched()], TEST, {"metric": "auc@20"}, "metric must be one of recall@20"),
        ([Watched()], TEST, {"random_state": "x"}, "random_state"),
        ([Watched()], other, {}, "train and test must have the same items"),
        ([Watched()], TEST, {"validation": other}, "train and validation must have the same items"),
        ([Watched(), ContentKNN()], TEST, {}, "ContentKNN needs item_features, got none"),
        ([Watched(), ContentKNN()], TEST, {"item_features": ["a"]}, "80 items of train, got 1"),
        ([Watched(), ItemKNN().fit(ALL)], TEST, {}, "the model's train_"),
    ):
        with pytest.raises(ValueError, match=message):
            compare(models, TRAIN, test, **options)
    with pytest.raises(KeyError, match="there is no item 99"):
        compare([Watched()], TRAIN, TEST, items=[99])
    with pytest.raises(ValueError, match="train and histories must have the same items"):
        compare([Watched()], TRAIN, TEST, histories=other)
    assert not fits
