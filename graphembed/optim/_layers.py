"""Which modules have linear sites: graphembed's layers, `torch.nn.Linear`, and registered ones."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from graphembed.nn import Linear, _layer_sites
from graphembed.nn._sites import Hop, LayerSites, LinearSite

Outputs = Callable[[Any], tuple[nn.Module, ...]]
Sites = Callable[..., LayerSites]

_REGISTERED: dict[type, tuple[Sites, Outputs]] = {}


def register_layer(
    layer: type[nn.Module], linear_sites: Sites, site_outputs: Outputs = lambda module: (module,)
) -> None:
    """Tell second-order optimizers how a layer uses its weights.

    Parameters
    ----------
    layer : type
        Subclass of `torch.nn.Module`; its own subclasses are meant, too. Those of
        `torch.nn.Linear` are known only while they have its ``forward``.
    linear_sites : callable
        Called with the module and the arguments of its ``forward``; returns a `LayerSites`.
    site_outputs : callable, optional
        Called with the module; returns the modules whose outputs are the z of its sites. By default
        the layer itself.

    Raises
    ------
    TypeError
        If `layer` is not a class of modules.
    """
    if not (isinstance(layer, type) and issubclass(layer, nn.Module)):
        raise TypeError(f"layer must be a subclass of torch.nn.Module, got {layer!r}")
    _REGISTERED[layer] = (linear_sites, site_outputs)


def find_layer(module: nn.Module) -> tuple[Sites, tuple[nn.Module, ...]] | None:
    """How a module publishes its sites, and the modules whose outputs are wanted for them.

    Parameters
    ----------
    module : torch.nn.Module
        Any module of a model.

    Returns
    -------
    tuple of callable and modules, or None
        The callable is given the arguments of ``forward``; None if the module has no sites.
    """
    for cls in type(module).__mro__:
        if cls in _REGISTERED:
            linear_sites, outputs = _REGISTERED[cls]
            if linear_sites is _rows and not _is_plain(module, cls):
                return None
            return partial(linear_sites, module), outputs(module)
    if hasattr(module, "linear_sites"):
        return module.linear_sites, tuple(module.site_outputs())
    pyg = next((cls for cls in type(module).__mro__ if _is_pyg(cls)), None)
    if pyg is None or not _is_plain(module, pyg):
        return None
    name = pyg.__name__
    if name not in _OF_PYG or (name == "SAGEConv" and not _is_known_sage(module)):
        return None
    sites, outputs = _OF_PYG[name]
    return partial(sites, module), outputs(module)


def propagates(module: nn.Module) -> bool:
    """Whether a module of PyG that is not known mixes rows in a way of its own.

    Parameters
    ----------
    module : torch.nn.Module
        For which `find_layer` has found nothing.

    Returns
    -------
    bool
        True for its convolutions, and for what is derived from them.
    """
    return any(
        cls.__module__.startswith("torch_geometric.nn.conv.") for cls in type(module).__mro__
    )


def _itself(module: Any) -> tuple[nn.Module, ...]:
    return (module,)


# PyG's layers have the attributes of ours; PyG itself is not needed to know them.
_OF_PYG: dict[str | None, tuple[Sites, Outputs]] = {
    "Linear": (lambda module, x: _rows(module, x), _itself),
    "GCNConv": (_layer_sites.gcn, _itself),
    "ChebConv": (_layer_sites.cheb, _itself),
    "SAGEConv": (
        _layer_sites.sage,
        lambda module: (module.lin, module) if module.project else (module,),
    ),
    "GATConv": (_layer_sites.attention, _layer_sites.attention_outputs),
    "GATv2Conv": (_layer_sites.attention, _layer_sites.attention_outputs),
}


def _is_plain(module: nn.Module, cls: type) -> bool:
    """Whether a module computes what its base class does, from weights that are parameters."""
    return type(module).forward is cls.forward and not is_parametrized(module)  # type: ignore[attr-defined]


def _is_pyg(cls: type) -> bool:
    return cls.__module__.startswith("torch_geometric.nn.") and cls.__name__ in _OF_PYG


def _is_known_sage(module: Any) -> bool:
    """Whether aggregates commute with the weight and no norm hides its product."""
    return module.aggr in ("mean", "sum", "add") and not module.normalize


def _rows(module: Any, x: Any, **_: Any) -> LayerSites:
    """A plain linear layer: its rows are its input, of which the leading dimensions are one."""
    rows = x.flatten(0, -2) if getattr(x, "ndim", 2) != 2 else x
    hop = Hop(rows.shape[0])
    bias = module.bias if module.bias is None or module.bias.requires_grad else None
    return LayerSites((LinearSite(module, (module.weight,), bias, ((hop, rows),)),), (hop,))


register_layer(nn.Linear, _rows)
register_layer(Linear, _rows)
