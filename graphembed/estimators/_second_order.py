"""The second-order optimizers of a `NodeClassifier`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from graphembed.estimators._settings import Settings
from graphembed.nn.models import GraphModel
from graphembed.nn.training import Part, parameter_groups
from graphembed.optim import KFACSGD, NGD, THOR

_OPTIMIZERS: Final[Mapping[str, Any]] = {"kfac": KFACSGD, "ngd": NGD, "thor": THOR}
# Nothing of these is linear in rows; that their gradients stay as they are is no news to anybody.
_WITHOUT_SITES = (r"\.att(_src|_dst)?$", r"^norms\.")


def make_second_order(settings: Settings, model: GraphModel, seed: int) -> Any:
    """Make the optimiser of a name."""
    groups = parameter_groups(model, weight_decay=settings.weight_decay, decay=settings.decay)
    optimizer = _OPTIMIZERS[settings.optimizer]
    # Seeds go up to 64 bits, those of torch to 63.
    return optimizer(model, settings.lr, params=groups, seed=seed >> 1, skip=_WITHOUT_SITES)


class TellingRows:
    """Parts whose rows of the loss an optimiser is told of, one part after the other."""

    def __init__(self, batches: Iterable[Part], optimizer: Any) -> None:
        self._batches = batches
        self._preconditioner = optimizer.preconditioner

    def __iter__(self) -> Iterator[Part]:
        for part in self._batches:
            self._preconditioner.rows = part.rows
            yield part
