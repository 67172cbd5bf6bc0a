"""One-vs-rest logistic regression: scikit-learn's for each label, and constant labels."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from graphembed.evaluation._logistic import fit_one_vs_rest


def problem(n_nodes=200, n_features=6, n_labels=4, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n_nodes, n_features))
    logits = features @ rng.standard_normal((n_features, n_labels)) + rng.standard_normal(n_labels)
    return features, rng.random(logits.shape) < 1 / (1 + np.exp(-logits))


def test_scores_are_those_of_one_vs_rest():
    features, targets = problem()
    coefficients, intercepts = fit_one_vs_rest(features, targets, 0.5)
    peer = OneVsRestClassifier(LogisticRegression(C=0.5)).fit(features, targets.astype(int))
    np.testing.assert_allclose(
        features @ coefficients + intercepts, peer.decision_function(features), atol=1e-9
    )
    other, _ = fit_one_vs_rest(features, targets, 5.0)
    assert not np.allclose(coefficients, other)


def test_constant_columns_get_an_infinite_intercept():
    features, targets = problem()
    targets[:, 1] = True
    targets[:, 2] = False
    coefficients, intercepts = fit_one_vs_rest(features, targets, 1.0)
    assert intercepts[1] == np.inf
    assert intercepts[2] == -np.inf
    assert not coefficients[:, 1:3].any()
    alone, _ = fit_one_vs_rest(features, targets[:, [0, 3]], 1.0)
    np.testing.assert_array_equal(coefficients[:, [0, 3]], alone)
