"""The parameters of a `PinSage`, and what they may be."""

from collections.abc import Sequence
from typing import Any, ClassVar

from graphembed._validation import (
    Constraint,
    boolean,
    check_params,
    float_in,
    int_at_least,
    n_jobs_like,
    one_of,
    optional,
    positive_float,
    random_state_like,
    verbosity,
)
from graphembed.estimators._gnn import find_device


class Settings:
    """The parameters of `PinSage`, which describes them, as attributes."""

    _constraints: ClassVar[dict[str, Constraint]] = {
        "n_components": int_at_least(2),
        "n_layers": int_at_least(0),
        "hidden": int_at_least(1),
        "pooling": one_of("importance", "mean", "max"),
        "residual": boolean(),
        "id_vectors": optional(boolean()),
        "fallback": boolean(),
        "n_neighbors": int_at_least(1),
        "n_walks": optional(int_at_least(1)),
        "beta": float_in(0, 4),
        "idf_power": float_in(0, 10),
        "pairs": one_of("users", "items"),
        "loss": one_of("softmax", "max_margin", "bpr"),
        "margin": float_in(0, 1e6),
        "temperature": positive_float(),
        "holdout": float_in(0, 1, "neither"),
        "neighbor_dropout": float_in(0, 1),
        "n_negatives": int_at_least(1),
        "hard_negatives": int_at_least(0),
        "popularity_power": float_in(0, 4),
        "max_history": int_at_least(1),
        "learning_rate": positive_float(),
        "weight_decay": float_in(0, 1e6),
        "batch_size": int_at_least(1),
        "n_epochs": int_at_least(1),
        "patience": int_at_least(1),
        "query": one_of("mean", "last", "medoids"),
        "n_medoids": int_at_least(1),
        "random_state": random_state_like(),
        "n_jobs": n_jobs_like(),
        "verbose": verbosity(),
    }

    def __init__(
        self,
        n_components: int = 256,
        *,
        n_layers: int = 2,
        hidden: int = 128,
        pooling: str = "importance",
        residual: bool = True,
        id_vectors: bool | None = None,
        fallback: bool = True,
        n_neighbors: int = 20,
        n_walks: int | None = None,
        beta: float = 0.0,
        idf_power: float = 1.0,
        pairs: str = "users",
        loss: str = "softmax",
        margin: float = 0.1,
        temperature: float = 0.08,
        holdout: float = 0.2,
        neighbor_dropout: float = 0.5,
        n_negatives: int = 2000,
        hard_negatives: int = 0,
        hard_window: tuple[int, int] = (100, 400),
        popularity_power: float = 0.0,
        max_history: int = 50,
        learning_rate: float = 0.001,
        weight_decay: float = 0.0,
        batch_size: int = 2048,
        n_epochs: int = 3,
        patience: int = 3,
        query: str = "mean",
        n_medoids: int = 3,
        device: str = "auto",
        random_state: Any = None,
        n_jobs: int | None = -1,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_layers = n_layers
        self.hidden = hidden
        self.pooling = pooling
        self.residual = residual
        self.id_vectors = id_vectors
        self.fallback = fallback
        self.n_neighbors = n_neighbors
        self.n_walks = n_walks
        self.beta = beta
        self.idf_power = idf_power
        self.pairs = pairs
        self.loss = loss
        self.margin = margin
        self.temperature = temperature
        self.holdout = holdout
        self.neighbor_dropout = neighbor_dropout
        self.n_negatives = n_negatives
        self.hard_negatives = hard_negatives
        self.hard_window = hard_window
        self.popularity_power = popularity_power
        self.max_history = max_history
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.patience = patience
        self.query = query
        self.n_medoids = n_medoids
        self.device = device
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _check_together(self) -> None:
        """Check what the constraints of single parameters cannot say."""
        find_device(self.device)
        window = self.hard_window
        if not isinstance(window, Sequence) or len(window) != 2:
            raise ValueError(f"PinSage: hard_window must be a pair of ranks, got {window!r}")
        for k, least in enumerate((0, window[0])):
            name = f"hard_window[{k}]"
            check_params({name: window[k]}, {name: int_at_least(least + k)}, owner="PinSage")
