"""One-vs-rest logistic regression by scikit-learn, with an answer for constant labels."""

import math

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

FloatArray = npt.NDArray[np.float64]

_MAX_STEPS = 1000  # of L-BFGS; scikit-learn warns beyond


def fit_one_vs_rest(
    features: FloatArray, targets: npt.NDArray[np.bool_], C: float
) -> tuple[FloatArray, FloatArray]:
    """Fit one L2-penalized logistic regression per column of `targets`.

    Parameters
    ----------
    features : ndarray of shape (n_nodes, n_features)
        One row per node.
    targets : bool ndarray of shape (n_nodes, n_labels)
        Which nodes have which label.
    C : float
        Inverse strength of the penalty.

    Returns
    -------
    coefficients : ndarray of shape (n_features, n_labels)
        The weights; 0 where a column of `targets` is constant.
    intercepts : ndarray of shape (n_labels,)
        The intercepts; infinite (negative where no node has the label) where a column is constant.
    """
    n_nodes, n_features = features.shape
    n_true = targets.sum(axis=0)
    coefficients = np.zeros((n_features, targets.shape[1]))
    intercepts = np.where(n_true == 0, -math.inf, math.inf)
    for j in np.flatnonzero((n_true > 0) & (n_true < n_nodes)):
        model = LogisticRegression(C=C, max_iter=_MAX_STEPS).fit(features, targets[:, j])
        coefficients[:, j], intercepts[j] = model.coef_[0], model.intercept_[0]
    return coefficients, intercepts
