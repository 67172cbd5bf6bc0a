"""The state of an engine as a checkpoint has it: by names of layers and parameters."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphembed.optim._block import METHODS, Block

Shape = tuple[int | None, ...]
_DTYPES = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Saved:
    """What a checkpoint says, checked."""

    n_steps: int
    interval: tuple[float, int]
    damping: dict[str, Any] | None
    generator: Tensor | None
    blocks: dict[str, Block]


def save_blocks(blocks: Mapping[str, Block], model: nn.Module) -> dict[str, Any]:
    """Numbers, strings and tensors, which are not copied, by the names of the layers.

    Parameters
    ----------
    blocks : mapping of str to Block
        By the names of their layers.
    model : torch.nn.Module
        With their parameters.

    Returns
    -------
    dict
        Part of what `read` reads.
    """
    names = {id(p): name for name, p in model.named_parameters()}
    saved = {}
    for key, block in blocks.items():
        weights = [names[id(weight)] for weight in block.weights]
        bias = None if block.bias is None else names[id(block.bias)]
        saved[key] = {"weights": weights, "bias": bias, **block.state()}
    return saved


def read(
    state: Any, model: nn.Module, layers: Iterable[str], method: str, block_size: int
) -> Saved:
    """Check a checkpoint against a model, and make the blocks of it; nothing else is changed.

    Parameters
    ----------
    state : dict
        From ``KFAC.state_dict``.
    model : torch.nn.Module
        Whose parameters the blocks are of.
    layers : iterable of str
        Names of its layers that have blocks.
    method, block_size
        Options of the engine that is to go on.

    Returns
    -------
    Saved
        With blocks on the devices of their parameters.
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            "KFAC.load_state_dict: state must be a dict from KFAC.state_dict(), got "
            f"{type(state).__name__}"
        )
    _keys(state, ("n_steps", "interval", "damping", "generator", "blocks"), "the state")
    n_steps, interval, saved = state["n_steps"], state["interval"], state["blocks"]
    _expect(_is_count(n_steps), "n_steps", "an int >= 0", n_steps)
    _expect(_is_interval(interval), "interval", "a number >= 1 and an int >= 0", interval)
    _expect(isinstance(saved, Mapping), "blocks", "a dict", saved)
    known, seen = set(layers), set[str]()
    blocks = {}
    for key, block_state in saved.items():
        layer = re.sub(r"\[\d+\]$", "", str(key))
        if layer not in known:
            raise ValueError(
                f"KFAC.load_state_dict: the model has no layer {layer!r} with linear sites, only "
                f"{', '.join(map(repr, sorted(known)))}"
            )
        blocks[key] = _block(str(key), block_state, model, method, block_size, seen)
    dtypes = {
        t.dtype
        for b in blocks.values()
        for t in (b.g.value, *_tensors(b.a.state()))
        if t is not None
    }
    _expect(len(dtypes) <= 1, "blocks", "of one dtype", ", ".join(sorted(map(str, dtypes))))
    _expect_damping(state["damping"], blocks)
    return Saved(
        n_steps,
        (float(interval[0]), interval[1]),
        state["damping"],
        _draws(state["generator"], model),
        blocks,
    )


def _block(
    key: str, state: Any, model: nn.Module, method: str, block_size: int, seen: set[str]
) -> Block:
    """One block; `seen` are the parameters of those before it."""
    where = f"layer {key!r}"
    _expect(isinstance(state, Mapping), where, "a dict", state)
    _keys(state, _FIELDS, where)
    weights, bias = state["weights"], state["bias"]
    is_list = isinstance(weights, (list, tuple)) and all(isinstance(name, str) for name in weights)
    _expect(is_list, f"{where}: weights", "a list of str", weights)
    names = [*weights, *([] if bias is None else [bias])]
    parameters = dict(model.named_parameters())
    for name in names:
        if name not in parameters:
            raise ValueError(f"KFAC.load_state_dict: {where}: the model has no parameter {name!r}")
        _expect(name not in seen, f"{where}: {name}", "in one block only", "another with it")
        seen.add(name)
    _expect(bool(names), f"{where}: weights", "at least one, or a bias", "none")
    own = METHODS[1:] if method == "auto" else (method,)
    _expect(
        state["method"] in own, f"{where}: method", " or ".join(map(repr, own)), state["method"]
    )
    _expect(
        _is_count(state["block_size"], 1),
        f"{where}: block_size",
        "an int >= 1",
        state["block_size"],
    )
    if state["method"] == "thor":
        _expect(
            state["block_size"] == block_size,
            f"{where}: block_size",
            block_size,
            state["block_size"],
        )
    block = Block(
        key,
        [parameters[name] for name in weights],
        None if bias is None else parameters[bias],
        state["method"],
        state["block_size"],
        0,
    )
    _expect_factors(where, state, block)
    block.load(dict(state))
    return block


_FIELDS = (
    "weights",
    "bias",
    "method",
    "block_size",
    "a",
    "g",
    "n_updates",
    "n_inversions",
    "is_frozen",
    "inverted",
    "a_inverse",
    "g_inverse",
)


def _expect_factors(where: str, state: Mapping[str, Any], block: Block) -> None:
    """Check the numbers of a block against the shapes that its parameters give."""
    for name in ("n_updates", "n_inversions"):
        _expect(_is_count(state[name]), f"{where}: {name}", "an int >= 0", state[name])
    _expect(
        isinstance(state["is_frozen"], bool), f"{where}: is_frozen", "a bool", state["is_frozen"]
    )
    inverted = state["inverted"]
    is_pair = isinstance(inverted, (list, tuple)) and len(inverted) == 2
    _expect(inverted is None or is_pair, f"{where}: inverted", "None or a pair", inverted)
    a: Any = block.a
    g_shape = (block.g.n_blocks, block.g.block_size, block.g.block_size)
    a_shape: Shape = (None, block.d_in)
    a_name = "rows"
    if block.method != "dual":
        a_name, a_shape = "value", (a.n_blocks, a.block_size, a.block_size)
    has_none = state["n_updates"] == 0
    _keys(state["a"], a.state(), f"{where}: a")
    _keys(state["g"], ("value",), f"{where}: g")
    _expect_tensor(f"{where}: a: {a_name}", state["a"][a_name], a_shape, may_be_none=has_none)
    _expect_tensor(f"{where}: g: value", state["g"]["value"], g_shape, may_be_none=has_none)
    if block.method == "dual":
        most = state["a"]["max_rows"]
        _expect(_is_count(most, 1), f"{where}: a: max_rows", "an int >= 1", most)
    shapes: dict[str, Shape] = {"value": a_shape}
    if block.method == "dual":
        shapes = {"vectors": a_shape, "values": (None,), "damping": ()}
    if block.method == "eigh":
        d_out, d_in = block.d_out, block.d_in
        shapes = {"qa": (d_in, d_in), "qg": (d_out, d_out), "inverse": (d_out, d_in)}
    for field, wanted in (("a_inverse", shapes), ("g_inverse", {"value": g_shape})):
        if state[field] is not None:
            _keys(state[field], wanted, f"{where}: {field}")
            for name, shape in wanted.items():
                _expect_tensor(f"{where}: {field}: {name}", state[field][name], shape)


def _expect_damping(state: Any, blocks: Mapping[str, Block]) -> None:
    """Check what a `LevenbergMarquardt` has saved."""
    if state is None:
        return
    _keys(state, ("value", "ratio", "before"), "damping")
    value, before = state["value"], state["before"]
    is_number = isinstance(value, (int, float)) and value > 0
    _expect(is_number, "damping: value", "a number > 0", value)
    if before is None:
        return
    is_pair = isinstance(before, (list, tuple)) and len(before) == 2
    _expect(is_pair and isinstance(before[1], Mapping), "damping: before", "a pair", before)
    for key, pair in before[1].items():
        _expect(key in blocks, "damping: before", "of the layers in blocks", key)
        _expect(len(pair) == 2, f"damping: before: {key}", "two Tensors", pair)
        for tensor in pair:
            shape = (blocks[key].d_out, blocks[key].d_in)
            _expect_tensor(f"damping: before: {key}", tensor, shape, dtypes=None)


def _draws(state: Any, model: nn.Module) -> Tensor | None:
    """The state of the draws; None on another kind of device, where they cannot go on."""
    if state is None:
        return None
    is_state = isinstance(state, Tensor) and state.dtype == torch.uint8 and state.dim() == 1
    _expect(is_state, "generator", "a Tensor of uint8", state)
    generator = torch.Generator(device=next(model.parameters()).device)
    found: Tensor = state.cpu()
    if len(found) != len(generator.get_state()):
        return None
    try:
        generator.set_state(found)
    except RuntimeError as error:
        raise ValueError(
            f"KFAC.load_state_dict: generator is not the state of a torch.Generator: {error}"
        ) from error
    return found


def _tensors(state: Mapping[str, Any]) -> list[Tensor]:
    return [value for value in state.values() if isinstance(value, Tensor)]


def _is_count(value: Any, low: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _is_interval(value: Any) -> bool:
    if not (isinstance(value, (list, tuple)) and len(value) == 2):
        return False
    return isinstance(value[0], (int, float)) and value[0] >= 1 and _is_count(value[1])


def _keys(state: Any, wanted: Iterable[str], where: str) -> None:
    """Check that a part of the state is a dict of these fields."""
    _expect(isinstance(state, Mapping), where, "a dict", state)
    for name in wanted:
        if name not in state:
            raise ValueError(f"KFAC.load_state_dict: {where} has no field {name!r}")
    for name in state:
        if name not in wanted:
            raise ValueError(f"KFAC.load_state_dict: {where} has an unknown field {name!r}")


def _expect_tensor(
    where: str,
    value: Any,
    shape: Shape,
    *,
    may_be_none: bool = False,
    dtypes: tuple[torch.dtype, ...] | None = _DTYPES,
) -> None:
    if value is None and may_be_none:
        return
    wish = f"a Tensor of shape {tuple('m' if n is None else n for n in shape)}"
    _expect(isinstance(value, Tensor), where, wish, value)
    fits = value.dim() == len(shape) and all(
        n is None or n == m for n, m in zip(shape, value.shape, strict=True)
    )
    _expect(fits, where, wish, tuple(value.shape))
    if dtypes is not None:
        _expect(value.dtype in dtypes, where, "of float32 or float64", value.dtype)


def _expect(is_right: bool, where: str, wish: Any, value: Any) -> None:
    if not is_right:
        found = type(value).__name__ if isinstance(value, (Tensor, Mapping, nn.Module)) else value
        raise ValueError(f"KFAC.load_state_dict: {where} must be {wish}, got {found!r}")
