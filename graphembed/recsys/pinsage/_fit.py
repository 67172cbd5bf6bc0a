"""How a `PinSage` is fitted: features, neighbourhoods, epochs, vectors of all items."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from graphembed.estimators._gnn import find_device, seeded, session
from graphembed.recsys._fitting import (
    Fitting,
    as_candidates,
    as_validation,
    run_epochs,
    validation_score,
)
from graphembed.recsys.interactions import Interactions
from graphembed.recsys.pinsage import _features as ft
from graphembed.recsys.pinsage._batches import Batches, BatchSettings, View
from graphembed.recsys.pinsage._inference import layerwise
from graphembed.recsys.pinsage._model import Inputs, make_model
from graphembed.recsys.pinsage._neighbors import Neighbors, alike, visited
from graphembed.recsys.pinsage._queries import last_items, means_of
from graphembed.recsys.pinsage._settings import Settings
from graphembed.recsys.pinsage._state import State
from graphembed.recsys.pinsage._training import Training, make_loss


class Fitted(NamedTuple):
    """What a `PinSage` has after `fit`."""

    state: State
    neighbors: Neighbors
    fitting: Fitting


@dataclass(frozen=True)
class Items:
    """What is known of the items.

    Attributes
    ----------
    train : Interactions
        Who has had to do with them.
    space : FeatureSpace
        Of the features.
    features : csr_matrix, or None
        Weighted.
    visited, content : Neighbors
        By interactions; by features, if these are to stand in.
    window : Neighbors, or None
        Those that hard negatives are drawn from.
    """

    train: Interactions
    space: ft.FeatureSpace
    features: sp.csr_matrix | None
    visited: Neighbors
    content: Neighbors | None
    window: Neighbors | None


def fit(
    settings: Settings,
    train: Interactions,
    *,
    item_features: Any,
    item_edges: Any,
    validation: Any,
    validation_items: Any,
    seed: int,
    n_threads: int,
) -> Fitted:
    """Train, and compute the vectors of all items; data are those of ``PinSage.fit``."""
    raw, is_sparse = ft.read_features(item_features, train.n_items)
    links = ft.read_links(item_edges, train.item_ids)
    space = ft.FeatureSpace.of(raw, links, float(settings.idf_power) if is_sparse else 0.0)
    rows = space.rows(raw, links, train.n_items)
    inputs = Inputs.of(settings, rows, plain=not is_sparse and links is None)
    held_out: Any = None if validation is None else as_validation(validation, train)
    candidates = as_candidates(validation_items, train, held_out)
    items = _find_neighbors(settings, train, space, rows, n_threads)
    device = find_device(settings.device)
    with session(n_threads), seeded(seed, device):
        training = _prepare(settings, items, inputs, seed, device)

        def validate() -> float:
            vectors = _outputs(settings, training, items, device).vectors
            queries = means_of(train.matrix, vectors, unit=settings.residual)
            return validation_score(
                queries, vectors, train.matrix, held_out, n_jobs=n_threads, candidates=candidates
            )

        fitting = run_epochs(
            training.parameters,
            training.epoch,
            n_epochs=settings.n_epochs,
            learning_rate=settings.learning_rate,
            validate=None if held_out is None else validate,
            patience=settings.patience,
            verbose=int(settings.verbose),
        )
        return Fitted(_outputs(settings, training, items, device), items.visited, fitting)


def _find_neighbors(
    settings: Settings,
    train: Interactions,
    space: ft.FeatureSpace,
    rows: sp.csr_matrix | None,
    n_threads: int,
) -> Items:
    """Both kinds of neighbourhoods, made once."""
    every, top = np.arange(train.n_items), settings.n_neighbors
    hard = settings.hard_window if settings.hard_negatives else None
    found = visited(
        train,
        every,
        top=top if hard is None else max(top, hard[1]),
        n_walks=settings.n_walks,
        beta=settings.beta,
        n_jobs=n_threads,
    )
    content = None
    if settings.fallback and rows is not None and settings.n_layers:
        known = np.flatnonzero(np.bincount(train.matrix.indices, minlength=train.n_items))
        content = alike(rows, rows, known, top=top, n_jobs=n_threads, own=every)
    window = None if hard is None else found.ranks(*hard)
    return Items(train, space, rows, found.ranks(0, top), content, window)


def _prepare(
    settings: Settings, items: Items, inputs: Inputs, seed: int, device: torch.device
) -> Training:
    """Network and own vectors as they begin, and the batches."""
    matrix, (width, own_width) = items.train.matrix, inputs.widths
    model, own = make_model(settings, inputs), None
    if items.features is not None and model.basis is not None:
        basis = ft.content_basis(items.features, width, seed)
        model.basis.weight.data.copy_(torch.from_numpy(basis))
    if own_width:
        own = torch.from_numpy(ft.id_table(matrix, own_width, seed))
    names = BatchSettings.__dataclass_fields__
    batch_settings = BatchSettings(**{name: getattr(settings, name) for name in names})
    batches = Batches(
        batch_settings, matrix, items.features, items.visited, items.content, items.window, seed
    )
    return Training(
        model,
        own,
        batches,
        make_loss(settings.loss, margin=settings.margin, temperature=settings.temperature),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        device=device,
    )


def _outputs(settings: Settings, training: Training, items: Items, device: torch.device) -> State:
    """Compute all vectors, and gather what recommending and `transform` need."""
    train, own, map_ = items.train, None, None
    if training.own is not None:
        known = np.bincount(train.matrix.indices, minlength=train.n_items) > 0
        own = ft.unit_rows(training.own.detach().cpu().numpy()) * known[:, np.newaxis]
        map_ = ft.folding(train.matrix, own)
    view = View(items.visited, items.content)
    outputs = layerwise(training.model, items.features, own, view, device=device)
    return State(
        vectors=outputs.z,
        features=items.features,
        weights=items.space.weights,
        own=own,
        folding=map_,
        last=last_items(train) if settings.query == "last" else None,
        inner=outputs.inner,
        parameters={
            name: value.detach().cpu().numpy().copy()
            for name, value in training.model.named_parameters()
        },
    )
