"""One-vs-rest logistic regression, all labels at once.

scikit-learn fits one label at a time with many small matrix-vector products, which neither fill a
core nor run side by side in threads, and its L-BFGS stalls on features of uneven scale. Here the
labels share every product (matrix times matrix), and the features are rotated and scaled first so
that the steps do not depend on their scale. The minimum is the same.
"""

import math
import warnings

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

FloatArray = npt.NDArray[np.float64]

_GRADIENT_NORM = 1e-3  # see fit_one_vs_rest
_ROUNDING = 1e-10  # a gradient below this is noise
_MAX_NEWTON_STEPS = 100
_MAX_CG_STEPS = 200


def fit_one_vs_rest(
    features: FloatArray, targets: npt.NDArray[np.bool_], C: float
) -> tuple[FloatArray, FloatArray]:
    """Fit one L2-penalized logistic regression per column of `targets`.

    Minimizes ``C * sum_i log(1 + exp(-s_i z_i)) + |w|^2 / 2`` with ``z = features @ w + b`` and
    ``s_i`` = 1 for True, -1 for False (scikit-learn's LogisticRegression; `b` is not penalized).

    Newton's method, the steps by conjugate gradients, step lengths halved until the loss falls.
    The variables are those in which the quadratic upper bound of the loss (Boehning & Lindsay
    1988, curvature 1/4) is the identity. A gradient of norm 1e-3 in them leaves the loss about
    1e-6 nats above its minimum, summed over all nodes; where the first gradient is below 1, as for
    tiny features, it must fall to a thousandth of that.

    Parameters
    ----------
    features : ndarray of shape (n_nodes, n_features)
        One row per node.
    targets : bool ndarray of shape (n_nodes, n_labels)
        Which nodes have which label; each column holds both values or one.
    C : float
        Inverse strength of the penalty.

    Returns
    -------
    coefficients : ndarray of shape (n_features, n_labels)
        The weights `w`; 0 where a column of `targets` is constant.
    intercepts : ndarray of shape (n_labels,)
        The `b`; infinite (negative where no node has the label) where a column is constant.

    Notes
    -----
    Time O(steps * n_nodes * n_features * n_labels + n_features^3); memory
    O(n_nodes * (n_features + n_labels)) float64.
    """
    n_nodes, n_features = features.shape
    n_true = targets.sum(axis=0)
    coefficients = np.zeros((n_features, targets.shape[1]))
    intercepts = np.where(n_true == 0, -math.inf, math.inf)
    varying = np.flatnonzero((n_true > 0) & (n_true < n_nodes))
    if varying.size == 0:
        return coefficients, intercepts

    mean = features.mean(axis=0)
    rotation, penalty = _whiten(features - mean, C)
    design = np.empty((n_nodes, n_features + 1))
    np.matmul(features - mean, rotation, out=design[:, :-1])
    design[:, -1] = 2.0 / math.sqrt(n_nodes)  # intercept: curvature bound n / 4, no penalty
    solution = np.zeros((n_features + 1, len(varying)))
    base_rate = n_true[varying] / n_nodes
    solution[-1] = np.log(base_rate / (1.0 - base_rate)) / design[0, -1]
    _minimize(design, targets[:, varying].astype(np.float64), penalty, solution)

    coefficients[:, varying] = rotation @ solution[:-1]
    intercepts[varying] = solution[-1] * design[0, -1] - mean @ coefficients[:, varying]
    return coefficients, intercepts


def _whiten(centred: FloatArray, C: float) -> tuple[FloatArray, FloatArray]:
    """Return the change of variables and the penalty of each new variable.

    With the Gram matrix ``Q diag(e) Q^T`` the bound ``e / 4 + 1 / C`` is diagonal in the basis
    `Q`, and so is the penalty. The last entry of the penalty belongs to the intercept.
    """
    eigenvalues, basis = eigh(centred.T @ centred)
    bound = np.maximum(eigenvalues, 0.0) / 4.0 + 1.0 / C
    return basis / np.sqrt(bound), np.append(1.0 / (C * bound), 0.0)[:, np.newaxis]


def _minimize(
    design: FloatArray, targets: FloatArray, penalty: FloatArray, solution: FloatArray
) -> None:
    """Improve `solution` (n_variables, n_labels) in place until every gradient is small."""
    active = np.arange(solution.shape[1])
    logits = design @ solution
    goal: FloatArray | None = None
    for _ in range(_MAX_NEWTON_STEPS):
        probability = expit(logits)
        y, current = targets[:, active], solution[:, active]
        gradient = design.T @ (probability - y) + penalty * current
        norms = np.linalg.norm(gradient, axis=0)
        if goal is None:
            goal = np.maximum(_GRADIENT_NORM * np.minimum(1.0, norms), _ROUNDING)
        unfinished = norms > goal
        if not unfinished.any():
            return
        active, current, y = active[unfinished], current[:, unfinished], y[:, unfinished]
        logits, probability = logits[:, unfinished], probability[:, unfinished]
        gradient, norms, goal = gradient[:, unfinished], norms[unfinished], goal[unfinished]

        step = _newton_step(design, probability * (1.0 - probability), penalty, gradient, norms)
        along = design @ step
        length = _step_lengths(logits, along, y, current, step, penalty, gradient)
        solution[:, active] = current + length * step
        logits = logits + length * along
    warnings.warn(
        f"{len(active)} of {solution.shape[1]} logistic regressions did not converge in "
        f"{_MAX_NEWTON_STEPS} Newton steps; a smaller C makes the problem easier",
        ConvergenceWarning,
        stacklevel=2,
    )


def _newton_step(
    design: FloatArray,
    curvature: FloatArray,
    penalty: FloatArray,
    gradient: FloatArray,
    norms: FloatArray,
) -> FloatArray:
    """Solve ``Hessian @ step = -gradient`` by conjugate gradients, loosely at first."""
    # residual * min(0.1, |g|) / |g|: quadratic convergence near the minimum
    wanted = (np.minimum(0.1, norms) * norms) ** 2
    step = np.zeros_like(gradient)
    residual = -gradient
    direction = residual.copy()
    squared = norms**2
    for _ in range(_MAX_CG_STEPS):
        running = squared > wanted
        if not running.any():
            break
        image = design.T @ (curvature * (design @ direction)) + penalty * direction
        size = np.einsum("ij,ij->j", direction, image)
        running &= size > 0.0  # 0 only where rounding has used up the curvature
        length = np.divide(squared, size, out=np.zeros_like(size), where=running)
        step += length * direction
        residual -= length * image
        previous, squared = squared, np.einsum("ij,ij->j", residual, residual)
        ratio = np.divide(squared, previous, out=np.zeros_like(squared), where=previous > 0.0)
        direction = residual + ratio * direction
    return step


def _step_lengths(
    logits: FloatArray,
    along: FloatArray,
    targets: FloatArray,
    current: FloatArray,
    step: FloatArray,
    penalty: FloatArray,
    gradient: FloatArray,
) -> FloatArray:
    """Halve the step of each label until its loss falls enough (Armijo's rule)."""

    def loss(length: FloatArray) -> FloatArray:
        z, w = logits + length * along, current + length * step
        # log(1 + exp(z)) - y z
        value = np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z))) - targets * z
        total: FloatArray = value.sum(axis=0) + (penalty * w**2).sum(axis=0) / 2.0
        return total

    start = loss(np.zeros(logits.shape[1]))
    slope = np.einsum("ij,ij->j", gradient, step)
    rounding = 1e-12 * np.abs(start)  # falls smaller than this cannot be seen
    length = np.ones(logits.shape[1])
    for _ in range(40):
        too_long = loss(length) > start + 1e-4 * length * slope + rounding
        if not too_long.any():
            break
        length[too_long] /= 2.0
    return length
