"""What a `NodeClassifier` does with torch: model, device, training, outputs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from graphembed.estimators._node_data import Features, Split
from graphembed.estimators._second_order import TellingRows, make_second_order
from graphembed.estimators._settings import SECOND_ORDER, Settings
from graphembed.graph import Graph
from graphembed.nn._cpu import on_threads
from graphembed.nn.adjacency import Adjacency
from graphembed.nn.inference import layerwise_inference
from graphembed.nn.loader import NeighborLoader
from graphembed.nn.models import GAT, GCN, ChebNet, GraphModel, GraphSAGE
from graphembed.nn.sparse import SparseMatrix
from graphembed.nn.training import EarlyStopping, Part, evaluate, make_optimizer, scores, train

_MODELS: Mapping[str, Callable[..., GraphModel]] = {
    "gcn": GCN,
    "cheb": ChebNet,
    "gat": GAT,
    "sage": GraphSAGE,
}


def make_model(settings: Settings, n_features: int, n_classes: int) -> GraphModel:
    """Make the model; its parameters are drawn from torch's generator."""
    special: dict[str, Any] = {"heads": settings.heads, "K": settings.K}
    if settings.model == "gat":
        special["feature_dropout"] = settings.dropout
    return _MODELS[settings.model](
        n_features,
        settings.hidden,
        n_classes,
        num_layers=settings.n_layers,
        dropout=settings.dropout,
        act=settings.activation,
        residual=settings.residual,
        norm=settings.norm,
        **{name: value for name, value in special.items() if value is not None},
    )


@dataclass(frozen=True)
class Data:
    """A graph and its features on a device."""

    graph: Graph
    x: Any
    adjacency: Adjacency

    @classmethod
    def of(cls, graph: Graph, features: Features, device: torch.device) -> "Data":
        is_dense = isinstance(features, np.ndarray)
        x = torch.tensor(features) if is_dense else SparseMatrix.from_scipy(features)
        return cls(graph, x.to(device), graph.to_adjacency().to(device))

    def __getstate__(self) -> dict[str, Any]:
        x = self.x
        is_sparse = isinstance(x, SparseMatrix)
        parts = (x.indptr, x.indices, x.values, x.shape) if is_sparse else x
        return {"graph": self.graph, "x": parts, "device": self.adjacency.device}

    def __setstate__(self, state: dict[str, Any]) -> None:
        x, graph = state["x"], state["graph"]
        self.__dict__.update(
            graph=graph,
            x=SparseMatrix(*x) if isinstance(x, tuple) else x,
            adjacency=graph.to_adjacency().to(state["device"]),
        )


def find_device(name: Any) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "cuda:1" into a device that is there."""
    name = str(name)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda' or such, got {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda' or such, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={name!r}, but torch sees {torch.cuda.device_count()} CUDA devices: "
            "say device='auto' or 'cpu'"
        )
    return device


@contextmanager
def session(n_threads: int) -> Iterator[None]:
    """Torch as this module needs it, whatever the caller has set: float32, with gradients."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with (
            on_threads(n_threads),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
        ):
            yield
    finally:
        torch.set_default_dtype(dtype)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Give torch's generators a seed, and their own state back afterwards."""
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def fit(
    settings: Settings,
    data: Data,
    codes: NDArray[np.int64],
    split: Split,
    *,
    seed: int,
    n_threads: int,
    verbose: int,
    callbacks: Sequence[Callable[..., Any]],
) -> tuple[GraphModel, dict[str, list[float]], int]:
    """Train a model; return it, its history, and the epoch that it is of."""
    device = data.adjacency.device
    y = torch.from_numpy(codes).to(device)
    train_rows, val_rows = (torch.from_numpy(rows).to(device) for rows in split)
    with seeded(seed, device):
        model = make_model(settings, data.x.shape[1], int(codes.max()) + 1).to(device)
        parts = _batches(settings, model, data, y, train_rows, seed, n_threads)
        validate = _validation(settings, model, data, y, val_rows) if len(val_rows) else None
        stopping = (
            EarlyStopping(settings.early_stopping, settings.patience)
            if settings.early_stopping
            else None
        )
        with tqdm(total=settings.epochs, desc="training", unit="epoch", disable=not verbose) as bar:

            def show(_: Any, record: dict[str, float]) -> None:
                bar.update()
                bar.set_postfix(
                    {k: f"{v:.3f}" for k, v in record.items() if k not in ("epoch", "seconds")},
                    refresh=False,
                )

            with _optimizer(settings, model, parts, seed) as (optimizer, batches):
                history = train(
                    model,
                    optimizer,
                    batches,
                    epochs=settings.epochs,
                    validate=validate,
                    stopping=stopping,
                    callbacks=[show, *callbacks] if verbose else callbacks,
                )
    model.eval()
    if stopping is not None and stopping.best is not None:
        return model, history, int(stopping.best["epoch"])
    return model, history, len(history["epoch"])


@contextmanager
def _optimizer(
    settings: Settings, model: GraphModel, batches: Iterable[Part], seed: int
) -> Iterator[tuple[torch.optim.Optimizer, Iterable[Part]]]:
    """The optimiser, and the parts as it wants to have them; it leaves nothing on the model."""
    if settings.optimizer in SECOND_ORDER:
        optimizer = make_second_order(settings, model, seed)
        with optimizer.preconditioner:  # takes its hooks away
            yield optimizer, TellingRows(batches, optimizer)
        return
    yield (
        make_optimizer(
            model,
            settings.optimizer,
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            decay=settings.decay,
        ),
        batches,
    )


class _Batches:
    """What a loader gives, as parts on the device of the model; each pass is an epoch."""

    def __init__(self, loader: NeighborLoader, device: torch.device, *, subgraph: bool) -> None:
        self._loader = loader
        self._device = device
        self._subgraph = subgraph

    def __iter__(self) -> Iterator[Part]:
        for batch in self._loader:
            on_device = batch.to(self._device)
            rows = torch.arange(batch.n_seeds, device=self._device) if self._subgraph else None
            yield Part(on_device.x, on_device.edges, on_device.y, rows)


def _batches(
    settings: Settings,
    model: GraphModel,
    data: Data,
    y: Tensor,
    rows: Tensor,
    seed: int,
    n_threads: int,
) -> Iterable[Part]:
    """What an epoch goes through: one part, or the batches of a loader."""
    if settings.batch_size is None:
        if settings.norm == "batch":  # whose statistics are those of all nodes
            return [Part(data.x, data.adjacency, y[rows], rows)]
        return [Part.of(model, data.x, data.adjacency, y, rows)]
    subgraph = settings.model == "gcn"  # which needs the degrees of the sources
    loader = NeighborLoader(
        data.graph,
        data.x,
        settings.fanouts,
        settings.batch_size,
        seeds=rows,
        y=y,
        shuffle=True,
        random_state=seed,
        n_jobs=n_threads,
        subgraph=subgraph,
    )
    return _Batches(loader, data.adjacency.device, subgraph=subgraph)


def _validation(
    settings: Settings, model: GraphModel, data: Data, y: Tensor, rows: Tensor
) -> Callable[[Any], tuple[float, float]]:
    """Loss and accuracy of some rows, all neighbours read."""
    if settings.batch_size is None:
        part = Part.of(model, data.x, data.adjacency, y, rows)
        return lambda model: evaluate(model, part)
    return lambda model: scores(layerwise_inference(model, data.x, data.adjacency)[rows], y[rows])


class _WithoutLast(nn.Module):  # type: ignore[misc]
    """A model that ends before its last layer."""

    def __init__(self, model: GraphModel) -> None:
        super().__init__()
        self.num_layers = model.num_layers - 1
        self.layer = model.layer


def outputs(
    model: GraphModel, data: Data, *, hidden: bool, in_batches: bool
) -> NDArray[np.float32]:
    """Logits, or the last hidden representation, of all nodes."""
    model.eval()
    with torch.no_grad():
        if hidden and model.num_layers > 1 and in_batches:
            out = layerwise_inference(_WithoutLast(model), data.x, data.adjacency)
        elif in_batches and not hidden:
            out = layerwise_inference(model, data.x, data.adjacency)
        else:
            out = (model.hidden if hidden else model)(data.x, data.adjacency)
    rows: NDArray[np.float32] = out.cpu().numpy()
    return rows
