"""What a fitted `PinSage` keeps, also in a file."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed.exceptions import FileFormatError
from graphembed.recsys._model_files import Layout, RecommenderFile, read_fitted
from graphembed.recsys.pinsage._features import FeatureSpace

_INNER, _PARAMETER = "inner.", "model."  # what names of arrays begin with
_LAYOUT: Layout = {
    "vectors": ("items", "d"),
    "features": ("items", "f"),
    "weights": ("one", "raw"),
    "own": ("items", "o"),
    "folding": ("o", "o"),
    "last": ("users", "items"),
}


@dataclass(frozen=True)
class State:
    """All that recommending and placing new items needs, beside the interactions.

    Attributes
    ----------
    vectors : ndarray of shape (n_items, n_components)
        z of the items.
    features : csr_matrix, or None
        Their features, weighted.
    weights : csr_matrix of shape (1, n_columns), or None
        Of the columns of features as they were given.
    own, folding : ndarray, or None
        Own vectors, and the map for those of new items.
    last : csr_matrix, or None
        The last item of each user.
    inner : list of ndarray
        h^0 to h^(K-1) of the items.
    parameters : dict of str to ndarray
        Of the network.
    """

    vectors: NDArray[np.float32]
    features: sp.csr_matrix | None
    weights: sp.csr_matrix | None
    own: NDArray[np.float32] | None
    folding: NDArray[np.float32] | None
    last: sp.csr_matrix | None
    inner: list[NDArray[np.float32]]
    parameters: dict[str, NDArray[np.float32]]

    @property
    def space(self) -> FeatureSpace:
        """Of the features."""
        n_columns = 0 if self.features is None else self.features.shape[1]
        n_known = 0 if self.weights is None else self.weights.nnz
        return FeatureSpace(self.weights, n_columns - n_known)

    def arrays(self) -> dict[str, Any]:
        """Arrays and matrices by name."""
        held: dict[str, Any] = {name: getattr(self, name) for name in _LAYOUT}
        held |= {f"{_INNER}{k}": h for k, h in enumerate(self.inner)}
        held |= {_PARAMETER + name: value for name, value in self.parameters.items()}
        return {name: value for name, value in held.items() if value is not None}

    @classmethod
    def read(cls, file: RecommenderFile, n_layers: int) -> Self:
        """Take from a file what `arrays` gave; FileFormatError if it is not that."""
        inner = [f"{_INNER}{k}" for k in range(n_layers)]
        layout = {
            name: sizes
            for name, sizes in _LAYOUT.items()
            if name == "vectors" or {name, f"{name}.shape"} & set(file.arrays)
        }
        found = read_fitted(file, {**layout, **{name: ("items", name) for name in inner}})
        start = len(_PARAMETER)
        state = cls(
            vectors=found["vectors"],
            features=found.get("features"),
            weights=found.get("weights"),
            own=found.get("own"),
            folding=found.get("folding"),
            last=found.get("last"),
            inner=[found[name] for name in inner],
            parameters={k[start:]: v for k, v in file.arrays.items() if k.startswith(_PARAMETER)},
        )
        if state.space.n_linked not in (0, file.train.n_items):
            raise FileFormatError("its features do not fit their weights")
        return state
