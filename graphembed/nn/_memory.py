"""What was made of tensors, remembered as long as they live and are not written to."""

import weakref
from collections.abc import Callable, Hashable
from operator import is_
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

# By what was asked for and the ids of its sources: weak references to them, their states, the
# result, and the storages, so that no other one gets their addresses.
_MADE: dict[Hashable, tuple[list[weakref.ref[Any]], list[Hashable], Any, list[Any]]] = {}


def outlive_inference(make: Callable[[], T]) -> T:
    """What `make` makes, of tensors that can be trained with, also if made in inference mode.

    Parameters
    ----------
    make : callable
        Makes an object that is kept.

    Returns
    -------
    object
        What was made.
    """
    if not torch.is_inference_mode_enabled():
        return make()
    with torch.inference_mode(False):
        return make()


def remember(make: Callable[[], T], *sources: object, key: Hashable = None) -> T:
    """What `make` makes of `sources`, made once for the same objects.

    A tensor counts as another one after every write through torch, which raises its version, and
    after ``t.data = other``. Writes that torch does not count (through numpy, to ``t.data``, or to
    the ``values()`` of a sparse tensor, whose ``.data`` is not looked at either) are not seen.

    Parameters
    ----------
    make : callable
        Makes an object that does not hold on to any of `sources`, which would never die then.
    *sources : object
        Tensors, or immutable objects that can be referred to weakly.
    key : hashable, optional
        What else the result depends on.

    Returns
    -------
    object
        What was made.
    """
    states: list[Hashable] = []
    for source in sources:
        if isinstance(source, Tensor):
            if source.is_inference():
                return outlive_inference(make)  # such tensors count no versions
            states.append(_state(source))
    place = (key, *map(id, sources))
    found = _MADE.get(place)
    if found is not None and found[1] == states and _are(found[0], sources):
        result: T = found[2]
        return result

    def forget(dead: weakref.ref[Any]) -> None:
        entry = _MADE.get(place)
        if entry is not None and any(ref is dead for ref in entry[0]):
            _MADE.pop(place, None)

    result = outlive_inference(make)
    tensors = [s for s in sources if isinstance(s, Tensor) and s.layout is torch.strided]
    storages = [tensor.untyped_storage() for tensor in tensors]
    _MADE[place] = [weakref.ref(s, forget) for s in sources], states, result, storages
    return result


def _state(tensor: Tensor) -> Hashable:
    """What changes when a tensor is written to or its ``.data`` set."""
    address = tensor.data_ptr() if tensor.layout is torch.strided else 0
    return tensor._version, address, tensor.dtype, tensor.device, tensor.shape


def _are(references: list[weakref.ref[Any]], sources: tuple[object, ...]) -> bool:
    return all(map(is_, [reference() for reference in references], sources))
