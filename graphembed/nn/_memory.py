"""What was made of tensors, remembered as long as they live and are not written to."""

import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

# By what was asked for and the ids of its sources: weak references to them, their versions, the
# result.
_MADE: dict[Hashable, tuple[list[weakref.ref[Any]], list[int], Any]] = {}


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

    A tensor counts as another one after every write through torch, which raises its version.
    Writes that torch does not see (through numpy, or ``.data``) are not seen here either.

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
    if any(isinstance(s, Tensor) and s.is_inference() for s in sources):
        return outlive_inference(make)  # such tensors count no versions
    place = (key, *map(id, sources))
    versions = [s._version if isinstance(s, Tensor) else 0 for s in sources]
    found = _MADE.get(place)
    if (
        found is not None
        and found[1] == versions
        and all(ref() is source for ref, source in zip(found[0], sources, strict=True))
    ):
        result: T = found[2]
        return result

    def forget(dead: weakref.ref[Any]) -> None:
        entry = _MADE.get(place)
        if entry is not None and any(ref is dead for ref in entry[0]):
            _MADE.pop(place, None)

    result = outlive_inference(make)
    _MADE[place] = [weakref.ref(s, forget) for s in sources], versions, result
    return result
