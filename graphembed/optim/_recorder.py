"""What a forward pass of a model did at the layers that have linear sites."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from graphembed.nn import Dropout
from graphembed.optim._layers import Sites, find_layer, propagates


@dataclass
class Output:
    """One output z of a module, and its gradient once it has come."""

    n_rows: int
    device: torch.device
    edge: Any = None
    gradient: Tensor | None = None


@dataclass
class Call:
    """One call of a layer; without sites, of one that mixes rows in an unknown way."""

    name: str
    sites: Sites | None
    n_returned: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: dict[nn.Module, list[Output]] = field(default_factory=dict)


class Hook:
    """A method of a recorder, which copies of the model have no longer, nor files.

    Parameters
    ----------
    recorder : Recorder, optional
        Not kept alive; without it nothing is done.
    method : str
        Its method.
    """

    def __init__(self, recorder: "Recorder | None", method: str) -> None:
        self._recorder = (lambda: None) if recorder is None else weakref.ref(recorder)
        self._method = method

    def __call__(self, *args: Any) -> None:
        recorder = self._recorder()
        if recorder is not None:
            getattr(recorder, self._method)(*args)

    def __reduce__(self) -> Any:
        return Hook, (None, self._method)


class Recorder:
    """Hooks on a model that keep the calls of its layers in one training pass.

    Outside of training, without gradients, and in passes that `wanted` refuses, the layers have
    none: a module with hooks is called by a slower way.

    Parameters
    ----------
    model : torch.nn.Module
        Called to compute the outputs that the loss is taken of.
    skip : callable
        Whether the module of a name is left out.
    wanted : callable
        Called when a pass begins: whether it shall be recorded.
    done : callable
        Called with the model's output and the calls when it ends.
    keep_gradients : bool
        Whether the gradients of the user's own backward pass are kept with the outputs.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        skip: Callable[[str, nn.Module], bool],
        wanted: Callable[[], bool],
        done: Callable[[Any, list[Call]], None],
        keep_gradients: bool,
    ) -> None:
        self.layers, self.unknown = _layers_of(model, skip)
        if not self.layers:
            raise ValueError(
                "KFAC: the model has no layer with linear sites (torch.nn.Linear, graphembed's "
                "layers, PyG's GCNConv, SAGEConv, ChebConv, GATConv) that skip leaves: see "
                "graphembed.optim.register_layer"
            )
        self._wanted = wanted
        self._done = done
        self._keep_gradients = keep_gradients
        self._calls: list[Call] = []
        self._results: dict[nn.Module, list[Output]] = {}
        self._before_dropout: dict[int, tuple[Any, Any]] = {}
        self._handles: list[Any] = []  # of the pass that is recorded
        self._handle = model.register_forward_pre_hook(Hook(self, "_begin"))

    def _watch_all(self, model: nn.Module) -> None:
        watched = {output for _, (_, outputs) in self.layers.values() for output in outputs}
        for module in model.modules():
            if isinstance(module, (Dropout, nn.Dropout)):
                self._watch(module, "_keep_input")
            if module in watched:
                self._watch(module, "_keep_output")
        for module in self.layers:
            self._watch(module, "_keep_call", with_kwargs=True)
        for module in self.unknown:
            self._watch(module, "_keep_break")
        self._watch(model, "_end")

    def _watch(self, module: nn.Module, method: str, **options: bool) -> None:
        self._handles.append(module.register_forward_hook(Hook(self, method), **options))

    def close(self) -> None:
        """Remove all hooks."""
        self._handle.remove()
        self._forget()

    def _forget(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._calls, self._results, self._before_dropout = [], {}, {}

    def _begin(self, model: nn.Module, _: Any) -> None:
        self._forget()  # of a pass that has not come to its end
        if model.training and torch.is_grad_enabled() and self._wanted():
            self._watch_all(model)

    def _keep_input(self, _: nn.Module, args: Any, out: Any) -> None:
        if out is not args[0]:
            self._before_dropout[id(out)] = (out, args[0])

    def _keep_output(self, module: nn.Module, _: Any, out: Any) -> None:
        z = out[0] if isinstance(out, tuple) else out
        if not (isinstance(z, Tensor) and z.requires_grad):
            return
        output = Output(z.shape[:-1].numel(), z.device)
        if not self._keep_gradients:
            # The edge, unlike z, stays that of this very value when z is written to afterwards.
            output.edge = get_gradient_edge(z)
        else:  # without the edge: its node has the hook, and both would live for ever

            def keep(gradient: Tensor) -> None:
                kept = gradient.detach()
                output.gradient = kept if output.gradient is None else output.gradient + kept

            z.register_hook(keep)
        self._results.setdefault(module, []).append(output)

    def _keep_call(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        z = out[0] if isinstance(out, tuple) else out
        name, (sites, outputs) = self.layers[module]
        args = tuple(self._undropped(arg) for arg in args)
        kwargs = {key: self._undropped(value) for key, value in kwargs.items()}
        call = Call(name, sites, z.shape[:-1].numel(), args, kwargs)
        for output in outputs:  # what they returned since the last call is of this one
            call.results[output] = self._results.pop(output, [])
        self._calls.append(call)

    def _keep_break(self, module: nn.Module, *_: Any) -> None:
        self._calls.append(Call(self.unknown[module], None, 0, (), {}))

    def _undropped(self, x: Any) -> Any:
        """What a dropout layer was given, if it has made x."""
        if isinstance(x, tuple):
            return tuple(self._undropped(part) for part in x)
        while id(x) in self._before_dropout:
            x = self._before_dropout[id(x)][1]
        return x

    def _end(self, _: nn.Module, __: Any, out: Any) -> None:
        calls = self._calls
        self._forget()
        self._done(out, calls)


def _layers_of(
    model: nn.Module, skip: Callable[[str, nn.Module], bool]
) -> tuple[dict[nn.Module, Any], dict[nn.Module, str]]:
    """The layers with sites, whose parts belong to them, and those that mix rows unknown to us."""
    layers: dict[nn.Module, Any] = {}
    unknown: dict[nn.Module, str] = {}
    inside: set[nn.Module] = set()
    for name, module in model.named_modules():
        found = None if module in inside else find_layer(module)
        if found is None:
            if module not in inside and propagates(module):
                unknown[module] = name
                if skip(name, module):
                    inside.update(module.modules())
            continue
        inside.update(module.modules())
        if not skip(name, module):
            if getattr(module, "flow", "source_to_target") != "source_to_target":
                raise ValueError(
                    f"KFAC: {name or 'the model'} has flow={module.flow!r}, which is not known: "
                    "turn its edges round, edge_index.flip(0), or name it in skip"
                )
            layers[module] = (name, found)
    return layers, unknown
