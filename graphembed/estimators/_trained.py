"""What training gives to an estimator, and checks of it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Trained(NamedTuple):
    """What `_train` returns.

    Attributes
    ----------
    embedding : ndarray of shape (n_nodes, n_components), dtype=float32
        The vectors.
    stats : dict
        What the run took.
    memory : object
        What the model keeps for later, if anything.
    """

    embedding: NDArray[np.float32]
    stats: dict[str, Any]
    memory: Any = None


def as_door(**options: Any) -> dict[str, Any]:
    """Keyword arguments of `Graph.from_any`, which may be used again later."""
    nodes = options.get("nodes")
    return {**options, "nodes": list(nodes)} if isinstance(nodes, Iterator) else options


def check_converged(embedding: NDArray[np.float32], learning_rate: Any) -> None:
    """Raise ValueError if a vector is not finite."""
    if not np.isfinite(embedding.sum(dtype=np.float64)) and not np.isfinite(embedding).all():
        raise ValueError(
            "training diverged (the vectors are no longer finite): "
            f"lower learning_rate, got {learning_rate!r}"
        )
