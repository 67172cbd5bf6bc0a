"""What the user of an engine is warned of, once, when the first factors are there."""

import warnings
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from graphembed.optim._block import Block
from graphembed.optim._options import Skipped


class Doubts:
    """Parameters without a site, unknown layers, and rows that the loss does not look at.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    skipped : Skipped
        Layers and parameters of which nobody wants to hear.
    unknown : dict of Module to str
        Layers that mix rows in a way that is not known, and their names.
    """

    def __init__(
        self, model: nn.Module, skipped: Skipped, unknown: Mapping[nn.Module, str]
    ) -> None:
        self._model = model
        self._unknown = [
            f"{name or 'the model'} ({type(module).__name__})"
            for module, name in unknown.items()
            if not skipped.layer(name, module)
        ]
        self._skipped = skipped
        self._is_told = False
        self._without_gradient = (0, 0)

    def watch(self, output: Tensor) -> None:
        """Count the rows without a gradient, when it comes."""
        if not self._is_told:
            output.register_hook(self._count)

    def _count(self, gradient: Tensor) -> None:
        self._without_gradient = int((gradient == 0).all(dim=1).sum()), len(gradient)

    def others(self, blocks: Iterable[Block]) -> list[str]:
        """Names of the trained parameters in no block."""
        known = {id(p) for block in blocks for p in block.parameters}
        return [
            name
            for name, parameter in self._model.named_parameters()
            if parameter.requires_grad and id(parameter) not in known
        ]

    def tell(self, blocks: Iterable[Block]) -> None:
        """Warn the caller of `KFAC.step`, if it has not been done."""
        if self._is_told:
            return
        self._is_told = True
        skipped = {
            id(parameter)
            for name, module in self._model.named_modules()
            if name and self._skipped.layer(name, module)
            for parameter in module.parameters()
        }
        parameters = dict(self._model.named_parameters())
        others = [
            name
            for name in self.others(blocks)
            if id(parameters[name]) not in skipped and not self._skipped.text(name)
        ]
        if others:
            warnings.warn(
                "KFAC leaves the gradients of these parameters as they are, since no linear site "
                f"has them: {', '.join(others)}",
                stacklevel=5,
            )
        if self._unknown:
            warnings.warn(
                "KFAC does not know how these layers mix rows, so that inside and before them all "
                f"rows count alike: {', '.join(self._unknown)}; see "
                "graphembed.optim.register_layer",
                stacklevel=5,
            )
        n_without, n_rows = self._without_gradient
        if 2 * n_without > n_rows:
            warnings.warn(
                f"KFAC: the loss has no gradient at {n_without} of {n_rows} rows of the output: if "
                "it is a mean over some rows, set rows to them",
                stacklevel=5,
            )
