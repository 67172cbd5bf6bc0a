"""The parameters of a `NodeClassifier`: what they may be, and what they are where None is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

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
from graphembed.samplers.neighbors import fanouts_like

MONITORS: Final = ("loss", "accuracy", "both")
# Step sizes of optimizers on preconditioned gradients, which are of another size: for every model.
SECOND_ORDER: Final[Mapping[str, float]] = {"kfac": 0.05, "ngd": 0.1, "thor": 0.05}
_EPOCHS_WITHOUT_STOPPING = 200
_FIRST_FANOUT, _OTHER_FANOUT = 15, 10


@dataclass(frozen=True)
class Recipe:
    """What a model does where the user says nothing; None: the model has no such option."""

    hidden: int
    dropout: float
    activation: str
    lr: float
    weight_decay: float
    decay: str
    epochs: int = _EPOCHS_WITHOUT_STOPPING
    early_stopping: str | None = None
    heads: int | None = None
    K: int | None = None


# Kipf & Welling 2017, section 5.2: 16 hidden units, dropout 0.5, rate 0.01, 200 epochs, L2 of 5e-4,
# which the authors' program adds for the first layer only. K = 3, orders 0 to 2, is "K = 2" there.
# Velickovic et al. 2018, section 3.3: 8 heads of 8, ELU, dropout 0.6 on inputs and attention, rate
# 0.005, L2 of 5e-4 on all, patience of 100 epochs on loss and accuracy.
# Hamilton et al. 2017 have mean aggregation and ReLU, but no citation graphs: 64 hidden units and
# L2 on all parameters are ours, the rest is GCN's. Neither was chosen by test scores.
RECIPES: Final[Mapping[str, Recipe]] = {
    "gcn": Recipe(16, 0.5, "relu", 0.01, 5e-4, "first"),
    "cheb": Recipe(16, 0.5, "relu", 0.01, 5e-4, "first", K=3),
    "gat": Recipe(64, 0.6, "elu", 0.005, 5e-4, "all", epochs=1000, early_stopping="both", heads=8),
    "sage": Recipe(64, 0.5, "relu", 0.01, 5e-4, "all"),
}


CONSTRAINTS: Final[Mapping[str, Constraint]] = {
    "model": one_of(*RECIPES),
    "hidden": optional(int_at_least(1)),
    "n_layers": int_at_least(1),
    "dropout": optional(float_in(0, 1, "left")),
    "activation": optional(one_of("relu", "elu", "leaky_relu", "tanh")),
    "residual": boolean(),
    "norm": optional(one_of("batch", "layer")),
    "heads": optional(int_at_least(1)),
    "K": optional(int_at_least(1)),
    "optimizer": one_of("adam", "adamw", "sgd", *SECOND_ORDER),
    "lr": optional(positive_float()),
    "weight_decay": optional(float_in(0, 1e6)),
    "decay": optional(one_of("first", "all")),
    "epochs": optional(int_at_least(1)),
    "early_stopping": Constraint(
        lambda v: v is None or v is False or (isinstance(v, str) and v in MONITORS),
        f"None, False or one of {', '.join(map(repr, MONITORS))}",
    ),
    "patience": int_at_least(1),
    "batch_size": optional(int_at_least(1)),
    "fanouts": optional(fanouts_like()),
    "device": Constraint(
        lambda v: isinstance(v, str) or type(v).__module__ == "torch",
        "a str, such as 'auto', 'cpu' or 'cuda:0', or a torch.device",
    ),
    "random_state": random_state_like(),
    "n_jobs": n_jobs_like(),
    "verbose": verbosity(),
    "callbacks": optional(
        Constraint(
            lambda v: isinstance(v, (list, tuple)) and all(map(callable, v)), "a list of callables"
        )
    ),
}


ARCHITECTURE: Final = (
    "model",
    "hidden",
    "n_layers",
    "activation",
    "residual",
    "norm",
    "heads",
    "K",
)  # which a trained model cannot change


@dataclass(frozen=True)
class Settings:
    """The parameters that training obeys, None only where there is no such thing."""

    model: str
    hidden: int
    n_layers: int
    dropout: float
    activation: str
    residual: bool
    norm: str | None
    heads: int | None
    K: int | None
    optimizer: str
    lr: float
    weight_decay: float
    decay: str
    epochs: int
    early_stopping: str | None
    patience: int
    batch_size: int | None
    fanouts: tuple[int, ...]


def check(params: Mapping[str, Any], owner: str) -> None:
    """Check the parameters one by one, then those that depend on each other."""
    check_params(params, CONSTRAINTS, owner=owner)
    model, recipe = params["model"], RECIPES[params["model"]]
    for option, home in (("heads", "gat"), ("K", "cheb")):
        if params[option] is not None and model != home:
            raise ValueError(
                f"{owner}: {option}={params[option]!r} is for model={home!r} alone, got "
                f"model={model!r}: leave {option} out"
            )
    for option in ("hidden", "heads", "activation", "norm"):
        if params["n_layers"] == 1 and params[option] is not None:
            raise ValueError(
                f"{owner}: {option}={params[option]!r} has no effect with n_layers=1: leave it out"
            )
    hidden, heads = params["hidden"] or recipe.hidden, params["heads"] or recipe.heads
    if heads is not None and params["n_layers"] > 1 and hidden % heads:
        raise ValueError(f"{owner}: heads={heads} must divide hidden={hidden}: change one of them")
    if params["batch_size"] is not None and model == "cheb":
        raise ValueError(
            f"{owner}: batch_size={params['batch_size']}, but model='cheb' cannot be trained in "
            "batches: leave batch_size out"
        )
    fanouts = params["fanouts"]
    if fanouts is not None and params["batch_size"] is None:
        raise ValueError(
            f"{owner}: fanouts={fanouts!r} has no effect without batch_size: give both"
        )
    if fanouts is not None and len(fanouts) != params["n_layers"]:
        raise ValueError(
            f"{owner}: fanouts must have one number for each of n_layers={params['n_layers']} "
            f"layers, got {fanouts!r}"
        )


def resolve(params: Mapping[str, Any], *, has_validation: bool) -> Settings:
    """Put the recipe's values in the place of None; the parameters have been checked."""
    recipe = RECIPES[params["model"]]
    given = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in params.items()
        if value is not None
    }
    chosen: dict[str, Any] = {
        name: given.get(name, vars(recipe).get(name)) for name in Settings.__annotations__
    }
    if params["lr"] is None:
        chosen["lr"] = SECOND_ORDER.get(params["optimizer"], recipe.lr)
    if not has_validation or chosen["early_stopping"] is False:
        chosen["early_stopping"] = None
    if params["epochs"] is None and chosen["early_stopping"] is None:
        chosen["epochs"] = _EPOCHS_WITHOUT_STOPPING
    if params["fanouts"] is None:
        chosen["fanouts"] = (_FIRST_FANOUT, *(_OTHER_FANOUT,) * (chosen["n_layers"] - 1))
    return Settings(**chosen)
