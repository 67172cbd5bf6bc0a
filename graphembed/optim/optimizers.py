"""Optimizers that precondition by themselves: `KFACSGD`, `NGD`, `THOR`, `KFACAdam`."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from graphembed.optim._damping import LevenbergMarquardt
from graphembed.optim._trace_rule import TraceRule
from graphembed.optim.kfac import KFAC

__all__ = ["KFACSGD", "NGD", "THOR", "KFACAdam"]


class _Preconditioned(torch.optim.Optimizer):  # type: ignore[misc]
    """What the optimizers below share; the other base class moves the parameters."""

    preconditioner: KFAC

    @classmethod
    def _params_of(cls, model: Any, params: Iterable[Any] | None) -> Iterable[Any]:
        """Groups for the base class."""
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"{cls.__name__}: model must be a torch.nn.Module, not its parameters, got "
                f"{type(model).__name__}"
            )
        return model.parameters() if params is None else params

    def _precondition_by(self, model: nn.Module, options: dict[str, Any]) -> None:
        self.preconditioner = KFAC(model, **options)
        self.preconditioner._optimizer = self
        self.preconditioner._penalties = self._penalties

    def _penalties(self) -> Iterator[tuple[torch.Tensor, float]]:
        """The parameters with a penalty, which the groups have."""
        for group in self.param_groups:
            if group["weight_decay"]:
                for parameter in group["params"]:
                    yield parameter, group["weight_decay"]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Precondition the gradients, and change the parameters.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and the gradients.

        Returns
        -------
        object
            What `closure` returns.
        """
        if closure is None and isinstance(self.preconditioner.damping, LevenbergMarquardt):
            raise ValueError(
                f"{type(self).__name__}: damping=LevenbergMarquardt() needs step(closure), got None"
            )
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.preconditioner.step(loss)
        # The penalty belongs to the gradient before it is preconditioned.
        penalties = [group["weight_decay"] for group in self.param_groups]
        for group in self.param_groups:
            group["weight_decay"] = 0.0
        try:
            self._move()
        finally:
            for group, penalty in zip(self.param_groups, penalties, strict=True):
                group["weight_decay"] = penalty
        return loss

    def _move(self) -> None:
        """The base's step, without the hooks of the step that torch may have wrapped it in."""
        step: Any = super().step.__func__
        if getattr(step, "hooked", False):
            step = step.__wrapped__
        step(self)

    def state_dict(self) -> dict[str, Any]:
        """State of the parameters, and "preconditioner", that of `KFAC`.

        Returns
        -------
        dict
            For `load_state_dict`.
        """
        own = {"optimizer": type(self).__name__, "preconditioner": self.preconditioner.state_dict()}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where `state_dict` was called.

        Parameters
        ----------
        state_dict : dict
            What it has returned.
        """
        own, name = dict(state_dict), type(self).__name__
        for field in ("optimizer", "preconditioner"):
            if field not in own:
                raise ValueError(
                    f"{name}.load_state_dict: the state has no field {field!r}: is it of another "
                    "optimizer?"
                )
        other = own.pop("optimizer")
        if other != name:
            raise ValueError(f"{name}.load_state_dict: the state must be of {name}, got {other!r}")
        saved = self.preconditioner._read(own.pop("preconditioner"))
        super().load_state_dict(own)
        self.preconditioner._restore(saved)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(f"a {type(self).__name__} cannot be pickled or copied: use state_dict()")


class KFACSGD(_Preconditioned, torch.optim.SGD):  # type: ignore[misc]
    """Gradient descent with momentum on preconditioned gradients.

    Parameters
    ----------
    model : torch.nn.Module
        As in `KFAC`.
    lr : float, default=0.05
        Step size.
    momentum : float, default=0.9
        Of the preconditioned gradients.
    nesterov : bool, default=False
        Nesterov's momentum.
    weight_decay : float, default=0
        L2 penalty, part of what is preconditioned.
    params : iterable, optional
        Parameters or groups of them, which may have their own lr and weight_decay; by default
        all of the model.
    **options : Any
        Of `KFAC`: rows, damping, ...
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float = 0.05,
        *,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        params: Iterable[Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            self._params_of(model, params),
            lr=lr,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
        )
        self._precondition_by(model, options)


class NGD(KFACSGD):
    """Natural gradient descent: no momentum, and the factors of every step alone.

    Parameters
    ----------
    model : torch.nn.Module
        As in `KFAC`.
    lr : float, default=0.1
        Step size.
    **options : Any
        Of `KFACSGD` and `KFAC`; by default ``momentum=0, ema=0, interval_growth=1``.
    """

    def __init__(self, model: nn.Module, lr: float = 0.1, **options: Any) -> None:
        every_step: dict[str, Any] = {
            "momentum": 0.0,
            "ema": 0.0,
            "cov_update_freq": 1,
            "inv_update_freq": 1,
            "interval_growth": 1.0,
        }
        super().__init__(model, lr, **every_step | options)


class THOR(KFACSGD):
    """K-FAC in blocks, updated by the change of traces and ever more rarely (Chen et al. 2021).

    Parameters
    ----------
    model : torch.nn.Module
        As in `KFAC`.
    lr : float, default=0.05
        Step size.
    **options : Any
        Of `KFACSGD` and `KFAC`; by default ``method="thor", trace_rule=TraceRule()``.
    """

    def __init__(self, model: nn.Module, lr: float = 0.05, **options: Any) -> None:
        rarely: dict[str, Any] = {"method": "thor", "trace_rule": TraceRule()}
        super().__init__(model, lr, **rarely | options)


class KFACAdam(_Preconditioned, torch.optim.Adam):  # type: ignore[misc]
    """Adam on preconditioned gradients, as Izadi et al. 2020 have it.

    Adam divides every entry by its size and so undoes most of the preconditioning: `KFACSGD` needs
    fewer epochs. It is here to be compared with.

    Parameters
    ----------
    model : torch.nn.Module
        As in `KFAC`.
    lr : float, default=0.01
        Step size.
    betas : (float, float), default=(0.9, 0.999)
        Decays of Adam's averages.
    weight_decay : float, default=0
        L2 penalty, part of what is preconditioned.
    params : iterable, optional
        Parameters or groups of them; by default all of the model.
    **options : Any
        Of `KFAC`.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float = 0.01,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        params: Iterable[Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            self._params_of(model, params),
            lr=lr,
            betas=betas,
            weight_decay=weight_decay,
        )
        self._precondition_by(model, options)
