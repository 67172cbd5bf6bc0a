"""The all-labels-at-once logistic regression against scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from graphembed.evaluation import _logistic
from graphembed.evaluation._logistic import fit_one_vs_rest


def problem(n_nodes=200, n_features=6, n_labels=4, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n_nodes, n_features))
    logits = features @ rng.standard_normal((n_features, n_labels)) + rng.standard_normal(n_labels)
    return features, rng.random(logits.shape) < expit(logits)


def penalized_loss(features, target, C, w, b):
    z = features @ w + b
    return C * np.sum(np.logaddexp(0.0, z) - target * z) + w @ w / 2


@given(
    seed=st.integers(0, 2**32 - 1),
    n_nodes=st.integers(3, 80),
    n_features=st.integers(1, 12),
    C=st.sampled_from([0.01, 1.0, 100.0]),
)
@settings(max_examples=30, deadline=None)
def test_coefficients_are_those_of_scikit_learn(seed, n_nodes, n_features, C):
    features, targets = problem(n_nodes, n_features, seed=seed)
    coefficients, intercepts = fit_one_vs_rest(features, targets, C)
    for j in range(targets.shape[1]):
        if targets[:, j].all() or not targets[:, j].any():
            continue
        model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10, max_iter=1000)
        model.fit(features, targets[:, j])
        best = penalized_loss(features, targets[:, j], C, model.coef_[0], model.intercept_[0])
        ours = penalized_loss(features, targets[:, j], C, coefficients[:, j], intercepts[j])
        assert ours <= best + 1e-4 * C
        probability = expit(features @ coefficients[:, j] + intercepts[j])
        np.testing.assert_allclose(probability, model.predict_proba(features)[:, 1], atol=3e-3)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_the_gradient_vanishes_at_any_scale_and_offset(scale, offset):
    rng = np.random.default_rng(1)
    features, targets = problem(300, 5, seed=1)
    spoiled = (features * np.logspace(-2, 2, 5) + offset) * scale
    labels = np.hstack([targets, rng.random((300, 1)) < 0.02])
    coefficients, intercepts = fit_one_vs_rest(spoiled, labels, 1.0)
    residual = expit(spoiled @ coefficients + intercepts) - labels
    gradient = spoiled.T @ residual + coefficients
    # in units of what one badly predicted node would contribute
    assert np.abs(gradient).max() < 1e-2 * np.abs(spoiled).max()
    assert coefficients.any(axis=0).all()
    assert np.abs(residual.sum(axis=0)).max() < 0.1


def test_shifting_the_features_changes_the_intercept_only():
    features, targets = problem()
    shift = np.linspace(-5, 5, features.shape[1])
    w0, b0 = fit_one_vs_rest(features, targets, 1.0)
    w1, b1 = fit_one_vs_rest(features + shift, targets, 1.0)
    np.testing.assert_allclose(w1, w0, atol=1e-9)
    np.testing.assert_allclose(b1, b0 - shift @ w0, atol=1e-8)


def test_separable_and_rank_deficient_data_converge():
    rng = np.random.default_rng(0)
    side = rng.random(100) < 0.5
    features = np.column_stack([np.where(side, 1e3, -1e3)] * 3 + [np.zeros(100)])
    coefficients, intercepts = fit_one_vs_rest(features, side[:, np.newaxis], 1.0)
    assert ((features @ coefficients + intercepts)[:, 0] > 0).tolist() == side.tolist()
    np.testing.assert_allclose(coefficients[:3, 0], coefficients[0, 0])
    assert coefficients[3, 0] == 0.0


def test_constant_columns_get_an_infinite_intercept():
    features, targets = problem()
    targets[:, 1] = True
    targets[:, 2] = False
    coefficients, intercepts = fit_one_vs_rest(features, targets, 1.0)
    assert intercepts[1] == np.inf
    assert intercepts[2] == -np.inf
    assert not coefficients[:, 1:3].any()
    alone, _ = fit_one_vs_rest(features, targets[:, [0, 3]], 1.0)
    np.testing.assert_allclose(coefficients[:, [0, 3]], alone, atol=1e-10)
    only_constant = fit_one_vs_rest(features, targets[:, 1:3], 1.0)
    assert only_constant[1].tolist() == [np.inf, -np.inf]


def test_running_out_of_steps_warns(monkeypatch):
    features, targets = problem()
    monkeypatch.setattr(_logistic, "_MAX_NEWTON_STEPS", 1)
    with pytest.warns(UserWarning, match="did not converge in 1 Newton steps"):
        fit_one_vs_rest(features, targets, 1.0)
