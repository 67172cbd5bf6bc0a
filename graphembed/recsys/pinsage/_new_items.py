"""Where a fitted `PinSage` puts new items."""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from graphembed.estimators._gnn import find_device, session
from graphembed.recsys.interactions import Interactions
from graphembed.recsys.pinsage import _features as ft
from graphembed.recsys.pinsage._batches import View
from graphembed.recsys.pinsage._inference import layerwise
from graphembed.recsys.pinsage._model import Inputs, PinSageModel, make_model
from graphembed.recsys.pinsage._neighbors import Neighbors, alike, visited
from graphembed.recsys.pinsage._settings import Settings
from graphembed.recsys.pinsage._state import State


def new_vectors(
    settings: Settings,
    state: State,
    train: sp.csr_matrix,
    x: sp.csr_matrix | None,
    added: sp.csr_matrix | None,
    n_new: int,
    n_threads: int,
) -> NDArray[np.float32]:
    """Vectors of new items by their features `x` and the interactions `added` with them."""
    top, n = settings.n_neighbors, train.shape[1]
    found = Neighbors(np.full((n_new, top), -1, np.int32), np.zeros((n_new, top), np.float32))
    if added is not None and added.nnz:
        found = visited(
            Interactions.from_csr(sp.hstack([train, added], format="csr")),
            np.arange(n, n + n_new),
            top=top,
            n_walks=settings.n_walks,
            beta=settings.beta,
            n_jobs=n_threads,
        )
    content = own = None
    if x is not None and state.features is not None and settings.fallback and settings.n_layers:
        known = np.flatnonzero(np.bincount(train.indices, minlength=n))
        content = alike(x, state.features, known, top=top, n_jobs=n_threads)
    if state.own is not None and state.folding is not None:
        own = np.zeros((n_new, state.own.shape[1]), np.float32)
        if added is not None:
            own = ft.folded(train, state.own, added, state.folding)
    device = find_device(settings.device)
    view = View(found, content, offset=n)
    with session(n_threads):
        model = empty_model(settings, state)
        model.load_state_dict({k: torch.from_numpy(v) for k, v in state.parameters.items()})
        return layerwise(model.to(device), x, own, view, known=state.inner, device=device).z


def empty_model(settings: Settings, state: State) -> PinSageModel:
    """A network for the parameters of a state, which it does not have yet."""
    plain = "basis.weight" not in state.parameters
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn
        return make_model(settings, Inputs.of(settings, state.features, plain=plain))
