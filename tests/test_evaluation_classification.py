"""DeepWalk's node classification protocol against a slow reference and against its laws."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from graphembed.evaluation import classification, majority_scores, node_classification
from graphembed.evaluation.classification import top_k_labels


def planted(n_nodes=300, n_labels=5, noise=0.3, seed=0):
    """Return vectors around one centre per label, and the labels; a fifth has two labels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((n_nodes, n_labels), dtype=bool)
    labels[np.arange(n_nodes), rng.integers(n_labels, size=n_nodes)] = True
    second = rng.choice(n_nodes, n_nodes // 5, replace=False)
    labels[second, rng.integers(n_labels, size=len(second))] = True
    centres = rng.standard_normal((n_labels, 16))
    return labels @ centres + noise * rng.standard_normal((n_nodes, 16)), labels


def reference_f1(scores, truth):
    """DeepWalk's scoring.py, node by node and label by label."""
    n_labels = len(truth[0])
    tp, fp, fn = [0] * n_labels, [0] * n_labels, [0] * n_labels
    for row_scores, row_truth in zip(scores, truth, strict=True):
        true_set = {j for j in range(n_labels) if row_truth[j]}
        ranked = sorted(range(n_labels), key=lambda j: -row_scores[j])
        predicted = set(ranked[: len(true_set)])
        for j in range(n_labels):
            tp[j] += j in predicted and j in true_set
            fp[j] += j in predicted and j not in true_set
            fn[j] += j not in predicted and j in true_set
    f1 = [2 * t / (2 * t + p + n) if t + p + n else 0.0 for t, p, n in zip(tp, fp, fn, strict=True)]
    micro = 2 * sum(tp) / (2 * sum(tp) + sum(fp) + sum(fn))
    return micro, sum(f1) / n_labels


def test_scores_equal_the_slow_reference_on_the_same_splits(monkeypatch):
    embedding, labels = planted(n_nodes=120, noise=3.0)
    splits = []
    original = classification._split_order

    def recording(*args):
        splits.append(original(*args))
        return splits[-1]

    monkeypatch.setattr(classification, "_split_order", recording)
    result = node_classification(
        embedding, labels, train_ratios=(0.2, 0.6), n_splits=3, random_state=4
    )
    assert len(splits) == 6
    for i, (ratio, n_train) in enumerate([(0.2, 24), (0.6, 72)]):
        for repeat in range(3):
            order = splits[3 * i + repeat]
            train, test = order[:n_train], order[n_train:]
            assert sorted(order) == list(range(120))
            scores = np.column_stack(
                [
                    LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10)
                    .fit(embedding[train], labels[train, j])
                    .decision_function(embedding[test])
                    for j in range(labels.shape[1])
                ]
            )
            micro, macro = reference_f1(scores, labels[test])
            assert 0.2 < micro < 0.95, ratio
            assert result.micro_f1[i, repeat] == pytest.approx(micro)
            assert result.macro_f1[i, repeat] == pytest.approx(macro)


@given(
    scores=hnp.arrays(
        np.float64, st.tuples(st.integers(1, 12), st.integers(2, 6)), elements=st.integers(-3, 3)
    ),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_top_k_is_the_reference_also_with_ties(scores, data):
    truth = data.draw(hnp.arrays(bool, scores.shape))
    chosen = top_k_labels(scores, truth.sum(axis=1))
    assert (chosen.sum(axis=1) == truth.sum(axis=1)).all()
    if truth.any():
        micro, macro = reference_f1(scores, truth)
        assert f1_score(truth, chosen, average="micro", zero_division=0) == pytest.approx(micro)
        assert f1_score(truth, chosen, average="macro", zero_division=0) == pytest.approx(macro)


def test_top_k_puts_infinite_scores_first_and_last():
    scores = np.array([[-np.inf, 0.0, np.inf], [-np.inf, -5.0, -np.inf]])
    chosen = top_k_labels(scores, np.array([2, 2]))
    assert chosen.tolist() == [[False, True, True], [True, True, False]]


def test_planted_communities_score_high_and_noise_like_the_majority():
    embedding, labels = planted(n_nodes=600)
    noise = np.random.default_rng(9).standard_normal(embedding.shape)
    common = {"train_ratios": 0.5, "n_splits": 4, "random_state": 1}
    good = node_classification(embedding, labels, **common)
    random = node_classification(noise, labels, **common)
    majority = majority_scores(labels, **common)
    assert good.micro_mean[0] > 0.95
    assert good.macro_mean[0] > 0.95
    assert random.micro_mean[0] == pytest.approx(majority.micro_mean[0], abs=0.08)
    assert random.micro_mean[0] < 0.4
    # the majority predicts one or two labels of five
    assert majority.macro_mean[0] < 0.2


def test_better_embeddings_score_better():
    scores = [
        node_classification(
            *planted(noise=noise), train_ratios=0.5, n_splits=2, random_state=0
        ).micro_mean[0]
        for noise in (0.3, 3.0, 30.0)
    ]
    assert scores[0] > scores[1] + 0.05
    assert scores[1] > scores[2] + 0.05


def test_majority_predicts_the_commonest_training_labels():
    labels = np.array([0] * 70 + [1] * 20 + [2] * 10)
    result = majority_scores(labels, train_ratios=0.5, n_splits=20, random_state=0)
    # accuracy of "always 0": the share of 0 in the test part, about 0.7
    assert result.micro_mean[0] == pytest.approx(0.7, abs=0.03)
    f1_of_0 = 2 * result.micro_f1 / (1 + result.micro_f1)
    np.testing.assert_allclose(result.macro_f1, f1_of_0 / 3)


def test_label_forms_agree():
    embedding, _ = planted()
    single = np.random.default_rng(3).integers(4, size=len(embedding)) * 10
    dense = single[:, np.newaxis] == np.array([0, 10, 20, 30])
    common = {"train_ratios": (0.3,), "n_splits": 2, "random_state": 5}
    expected = node_classification(embedding, single, **common)
    for form in (
        dense,
        dense.astype(int),
        dense.astype(float),
        sp.csr_array(dense),
        sp.csc_matrix(dense.astype(np.float64)),
        sp.coo_array(dense.astype(np.uint8)),
        single.tolist(),
    ):
        result = node_classification(embedding, form, **common)
        assert (result.micro_f1 == expected.micro_f1).all()
        assert (result.macro_f1 == expected.macro_f1).all()


def test_single_label_micro_f1_is_accuracy_and_unlabelled_nodes_do_not_count():
    embedding, _ = planted()
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=300)
    hidden = rng.random(300) < 0.4
    masked = np.where(hidden, -1, labels)
    common = {"train_ratios": 0.5, "n_splits": 2, "random_state": 0}
    result = node_classification(embedding, masked, **common)
    assert result.n_nodes == np.count_nonzero(~hidden)
    spoiled = embedding.copy()
    spoiled[hidden] = 1e6
    again = node_classification(spoiled, masked, **common)
    only = node_classification(embedding[~hidden], labels[~hidden], **common)
    assert (result.micro_f1 == again.micro_f1).all()
    assert (result.micro_f1 == only.micro_f1).all()


def test_explicit_zeros_and_unlabelled_rows_of_sparse_labels_do_not_count():
    embedding, labels = planted()
    labels[::7] = False
    stored_zeros = sp.csr_array(np.ones_like(labels, dtype=np.float64))
    stored_zeros.data[:] = labels.ravel()
    assert stored_zeros.nnz == labels.size
    common = {"train_ratios": 0.5, "n_splits": 2, "random_state": 0}
    result = node_classification(embedding, stored_zeros, **common)
    assert result.n_nodes == np.count_nonzero(labels.any(axis=1))
    assert (result.macro_f1 == node_classification(embedding, labels, **common).macro_f1).all()
    assert stored_zeros.nnz == labels.size  # the caller's matrix is left alone


def test_labels_missing_from_the_training_part_or_held_by_all_do_not_crash():
    embedding, labels = planted(n_nodes=60)
    rare = np.zeros((60, 1), dtype=bool)
    rare[17] = True
    everybody = np.ones((60, 1), dtype=bool)
    nobody = np.zeros((60, 1), dtype=bool)
    wide = np.hstack([labels, rare, everybody, nobody])
    result = node_classification(
        embedding, wide, train_ratios=(0.1, 0.5), n_splits=10, random_state=0
    )
    assert np.isfinite(result.micro_f1).all()
    assert result.n_labels == 8
    # the label held by all is always found, the label nobody has counts 0 in the mean
    assert (result.macro_f1 < 7 / 8 + 1e-9).all()
    assert (result.macro_f1 >= 1 / 8).all()


def test_result_depends_on_the_seed_only():
    embedding, labels = planted(noise=3.0)
    common = {"train_ratios": (0.2, 0.5), "n_splits": 3}
    one = node_classification(embedding, labels, random_state=7, n_jobs=1, **common)
    two = node_classification(embedding, labels, random_state=7, n_jobs=2, **common)
    other = node_classification(embedding, labels, random_state=8, **common)
    assert (one.micro_f1 == two.micro_f1).all()
    assert (one.macro_f1 == two.macro_f1).all()
    assert not (one.micro_f1 == other.micro_f1).all()
    assert len(np.unique(one.micro_f1)) > 3  # the splits differ


def test_a_split_depends_on_its_ratio_and_number_only():
    embedding, labels = planted(noise=3.0)
    many = node_classification(
        embedding, labels, train_ratios=(0.2, 0.5, 0.7), n_splits=4, random_state=7
    )
    few = node_classification(embedding, labels, train_ratios=0.5, n_splits=2, random_state=7)
    assert (few.micro_f1[0] == many.micro_f1[1, :2]).all()


def test_splits_of_different_ratios_and_repeats_have_nothing_in_common():
    orders = {
        tuple(classification._split_order(50, seed, ratio, repeat))
        for seed in (0, 1)
        for ratio in (0.5, np.nextafter(0.5, 1))
        for repeat in (0, 1)
    }
    assert len(orders) == 8


def test_random_state_is_used_as_given_and_global_state_is_left_alone():
    embedding, labels = planted(noise=3.0)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    common = {"train_ratios": 0.3, "n_splits": 2}
    generator = np.random.default_rng(0)
    first = node_classification(embedding, labels, random_state=generator, **common)
    second = node_classification(embedding, labels, random_state=generator, **common)
    replay = node_classification(embedding, labels, random_state=np.random.default_rng(0), **common)
    assert not (first.micro_f1 == second.micro_f1).all()
    assert (first.micro_f1 == replay.micro_f1).all()
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_inputs_may_be_read_only_and_single_precision():
    embedding, labels = planted()
    single = embedding.astype(np.float32)
    single.flags.writeable = False
    labels.flags.writeable = False
    result = node_classification(single, labels, train_ratios=0.5, n_splits=1, random_state=0)
    same = node_classification(
        single.astype(np.float64), labels, train_ratios=0.5, n_splits=1, random_state=0
    )
    assert (result.micro_f1 == same.micro_f1).all()


def test_means_deviations_and_table():
    embedding, labels = planted(noise=3.0)
    result = node_classification(
        embedding, labels, train_ratios=(0.1, 0.55), n_splits=3, random_state=0
    )
    assert result.micro_f1.shape == result.macro_f1.shape == (2, 3)
    assert result.n_splits == 3
    np.testing.assert_allclose(result.micro_mean, result.micro_f1.mean(axis=1))
    np.testing.assert_allclose(result.macro_std, result.macro_f1.std(axis=1, ddof=1))
    table = str(result).splitlines()
    assert table[0].startswith("embedding: F1 in % over 3 random splits (300 labelled nodes, 5")
    assert table[2].split()[:2] == ["10", "%"]
    assert table[3].split()[:2] == ["55", "%"]
    assert f"{100 * result.micro_mean[1]:.2f} +- {100 * result.micro_std[1]:.2f}" in table[3]
    assert f"{100 * result.macro_mean[1]:.2f} +- {100 * result.macro_std[1]:.2f}" in table[3]
    single = majority_scores(labels, train_ratios=0.5, n_splits=1, random_state=0)
    assert np.isnan(single.micro_std).all()
    assert str(single).startswith("majority: ")
    assert "nan" not in str(single)


VECTORS = np.random.default_rng(0).standard_normal((20, 3))
LABELS = np.arange(20) % 2
WITH_NAN = VECTORS.copy()
WITH_NAN[[4, 9], 1] = np.nan
WITH_INF = VECTORS.astype(np.float32)
WITH_INF[3, 0] = -np.inf
INDICATOR = np.column_stack([LABELS, 1 - LABELS])
BAD_INDICATOR = INDICATOR.copy()
BAD_INDICATOR[6, 1] = 2
NAN_INDICATOR = sp.csr_array(INDICATOR.astype(np.float64))
NAN_INDICATOR.data[5] = np.nan


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"embedding": WITH_NAN}, ValueError, "embedding .* 2 of 20 rows .* the first is row 4"),
        ({"embedding": WITH_INF}, ValueError, "embedding .* 1 of 20 rows .* the first is row 3"),
        ({"embedding": VECTORS * 1e120}, ValueError, "embedding must be finite.* beyond 1e\\+100"),
        ({"embedding": VECTORS[:, 0]}, ValueError, r"embedding must have the shape .* \(20,\)"),
        ({"embedding": VECTORS[:, :0]}, ValueError, r"embedding must have the shape .* \(20, 0\)"),
        ({"embedding": VECTORS[:19]}, ValueError, "19 rows in embedding and 20 in labels"),
        ({"embedding": VECTORS * 1j}, TypeError, "embedding must hold real numbers, .* complex128"),
        ({"embedding": VECTORS.astype(object)}, TypeError, "embedding must hold real .* object"),
        ({"embedding": sp.csr_array(VECTORS)}, TypeError, "embedding must be a dense array"),
        ({"labels": LABELS.astype(float)}, TypeError, "1-D labels must be integers"),
        ({"labels": np.array(["a", "b"] * 10)}, TypeError, "1-D labels must be integers"),
        ({"labels": np.where(LABELS, 1, -2)}, ValueError, "labels must be >= 0.* -2 at row 0"),
        ({"labels": BAD_INDICATOR}, ValueError, "labels .* 0 and 1 only, got 2 at row 6, column 1"),
        ({"labels": NAN_INDICATOR}, ValueError, "labels .* got nan at row 5, column 0"),
        ({"labels": sp.csr_array(BAD_INDICATOR)}, ValueError, "got 2 at row 6, column 1"),
        ({"labels": INDICATOR.astype(str)}, TypeError, "labels must hold 0 and 1, got dtype <U"),
        ({"labels": INDICATOR[np.newaxis]}, ValueError, "labels must have the shape"),
        ({"labels": np.zeros(20, dtype=int)}, ValueError, "at least 2 different labels.* got 1"),
        ({"labels": np.full(20, -1)}, ValueError, "at least 2 different labels.* got 0"),
        ({"labels": INDICATOR[:, :1]}, ValueError, "at least 2 different labels.* got 1"),
        ({"labels": np.zeros((20, 2))}, ValueError, "too few labelled nodes .* 0 labelled"),
        ({"train_ratios": 0.04}, ValueError, "too few labelled nodes for train ratio 0.04: 20"),
        ({"train_ratios": 0.0}, ValueError, r"train_ratios must be .* in \(0, 1\), got 0.0"),
        ({"train_ratios": (0.5, 1.0)}, ValueError, r"train_ratios\[1\] must be .* got 1.0"),
        ({"train_ratios": (0.5, "x")}, ValueError, r"train_ratios\[1\] must be .* got 'x'"),
        ({"train_ratios": "0.5"}, ValueError, "train_ratios must be .* got '0.5'"),
        ({"train_ratios": ()}, ValueError, "train_ratios must name at least one"),
        ({"n_splits": 0}, ValueError, "n_splits must be an int >= 1 .* got 0"),
        ({"n_splits": 2.0}, ValueError, "n_splits must be an int >= 1 .* got 2.0"),
        ({"C": 0.0}, ValueError, "C must be a finite number > 0 .* got 0.0"),
        ({"random_state": "7"}, ValueError, "random_state must be .* got '7'"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be .* got 0"),
    ],
)
def test_bad_arguments_are_named(changes, error, message):
    arguments = {"embedding": VECTORS, "labels": LABELS} | changes
    with pytest.raises(error, match=message):
        node_classification(**arguments)


def test_majority_checks_its_arguments():
    with pytest.raises(ValueError, match="n_splits must be an int >= 1"):
        majority_scores(LABELS, n_splits=0)
    with pytest.raises(ValueError, match="labels must hold at least 2 different labels"):
        majority_scores(np.zeros(20, dtype=int))


@pytest.mark.data
def test_majority_of_blogcatalog(data_dir):
    from scipy.io import loadmat

    labels = loadmat(data_dir / "blogcatalog" / "blogcatalog.mat")["group"]
    result = majority_scores(labels, train_ratios=0.5, random_state=0)
    # 16.8 % is what the commonest labels give
    assert result.n_nodes == 10_312
    assert result.n_labels == 39
    assert result.micro_mean[0] == pytest.approx(0.168, abs=0.01)
