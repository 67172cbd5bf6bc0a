"""The state of an engine as a checkpoint has it: by names of layers and parameters."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphembed.optim._block import METHODS, Block
from graphembed.optim._state_checks import (
    Shape,
    expect,
    expect_keys,
    expect_tensor,
    factor_dtype,
    is_count,
    is_interval,
    is_number,
)


@dataclass(frozen=True)
class Saved:
    """What a checkpoint says, checked."""

    n_steps: int
    interval: tuple[float, int]
    damping: dict[str, Any] | None
    generator: Tensor | None
    left_out: list[Tensor]
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
        if any(id(parameter) not in names for parameter in block.parameters):
            raise RuntimeError(
                f"KFAC.state_dict: layer {key!r} has other parameters than when its block was "
                "made: make a new KFAC after exchanging a layer"
            )
        weights = [names[id(weight)] for weight in block.weights]
        bias = None if block.bias is None else names[id(block.bias)]
        saved[key] = {"weights": weights, "bias": bias, **block.state()}
    return saved


def read(
    state: Any,
    model: nn.Module,
    layers: Iterable[str],
    method: str,
    block_size: int,
    *,
    follows: bool,
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
    follows : bool
        Whether its damping is a `LevenbergMarquardt`.

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
    fields = ("n_steps", "interval", "damping", "generator", "left_out", "blocks")
    expect_keys(state, fields, "the state")
    n_steps, interval, saved = state["n_steps"], state["interval"], state["blocks"]
    expect(is_count(n_steps), "n_steps", "an int >= 0", n_steps)
    expect(is_interval(interval), "interval", "a number >= 1 and an int >= 0", interval)
    expect(isinstance(saved, Mapping), "blocks", "a dict", saved)
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
    expect(len(dtypes) <= 1, "blocks", "of one dtype", ", ".join(sorted(map(str, dtypes))))
    wanted = {factor_dtype(p.dtype) for p in model.parameters()}
    for dtype in dtypes - wanted:
        expect(False, "blocks", f"of {' or '.join(sorted(map(str, wanted)))}", dtype)
    _expect_damping(state["damping"], blocks, follows)
    return Saved(
        n_steps,
        (float(interval[0]), interval[1]),
        state["damping"],
        _draws(state["generator"], model),
        _left_out(state["left_out"], model),
        blocks,
    )


def _block(
    key: str, state: Any, model: nn.Module, method: str, block_size: int, seen: set[str]
) -> Block:
    """One block; `seen` are the parameters of those before it."""
    where = f"layer {key!r}"
    expect(isinstance(state, Mapping), where, "a dict", state)
    expect_keys(state, _FIELDS, where)
    weights = _parameters(where, state, model)
    for name in weights:
        expect(name not in seen, f"{where}: {name}", "in one block only", "another with it")
        seen.add(name)
    own = METHODS[1:] if method == "auto" else (method,)
    method, size = state["method"], state["block_size"]
    expect(method in own, f"{where}: method", " or ".join(map(repr, own)), method)
    expect(is_count(size, 1), f"{where}: block_size", "an int >= 1", size)
    is_same = method != "thor" or size == block_size
    expect(is_same, f"{where}: block_size", block_size, size)
    bias = state["bias"]
    matrices = [parameter for name, parameter in weights.items() if name != bias]
    block = Block(key, matrices, None if bias is None else weights[bias], method, size, 0)
    _expect_factors(where, state, block)
    block.load(dict(state))
    return block


def _parameters(where: str, state: Mapping[str, Any], model: nn.Module) -> dict[str, Tensor]:
    """The weights of a block, and its bias as the last one, by their names."""
    names, bias = state["weights"], state["bias"]
    is_list = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    expect(is_list, f"{where}: weights", "a list of str", names)
    expect(bias is None or isinstance(bias, str), f"{where}: bias", "a str or None", bias)
    names = [*names, *([] if bias is None else [bias])]
    expect(bool(names), f"{where}: weights", "one at least, or a bias", names)
    known = dict(model.named_parameters())
    found: dict[str, Tensor] = {}
    for name in names:
        if name not in known:
            raise ValueError(f"KFAC.load_state_dict: {where}: the model has no parameter {name!r}")
        expect(name not in found, f"{where}: {name}", "named once", "it twice")
        n_dims, n_rows = known[name].dim(), known[name].shape[0]
        wish = "a vector" if name == bias else "a matrix"
        expect(n_dims == 1 + (name != bias), f"{where}: {name}", wish, f"{n_dims} dimensions")
        first = next(iter(found.values()), known[name])
        expect(n_rows == len(first), f"{where}: {name}", f"of {len(first)} rows", n_rows)
        found[name] = known[name]
    return found


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
        expect(is_count(state[name]), f"{where}: {name}", "an int >= 0", state[name])
    expect(
        isinstance(state["is_frozen"], bool), f"{where}: is_frozen", "a bool", state["is_frozen"]
    )
    inverted = state["inverted"]
    is_pair = isinstance(inverted, (list, tuple)) and len(inverted) == 2
    is_pair = is_pair and is_count(inverted[0]) and is_number(inverted[1])
    wish = "None or an int and a number"
    expect(inverted is None or is_pair, f"{where}: inverted", wish, inverted)
    a: Any = block.a
    g_shape = (block.g.n_blocks, block.g.block_size, block.g.block_size)
    a_shape: Shape = (None, block.d_in)
    a_name = "rows"
    if block.method != "dual":
        a_name, a_shape = "value", (a.n_blocks, a.block_size, a.block_size)
    has_none = state["n_updates"] == 0
    expect_keys(state["a"], a.state(), f"{where}: a")
    expect_keys(state["g"], block.g.state(), f"{where}: g")
    for factor, name, shape in (("a", a_name, a_shape), ("g", "value", g_shape)):
        value, place = state[factor][name], f"{where}: {factor}: {name}"
        if has_none:
            expect(value is None, place, "None, as there were no updates", value)
        else:
            expect_tensor(place, value, shape)
    if block.method == "dual":
        most = state["a"]["max_rows"]
        expect(is_count(most, 1), f"{where}: a: max_rows", "an int >= 1", most)
    shapes: dict[str, Shape] = {"value": a_shape}
    if block.method == "dual":
        shapes = {"vectors": a_shape, "values": (None,), "damping": ()}
    if block.method == "eigh":
        d_out, d_in = block.d_out, block.d_in
        shapes = {"qa": (d_in, d_in), "qg": (d_out, d_out), "inverse": (d_out, d_in)}
    for field, wanted in (("a_inverse", shapes), ("g_inverse", {"value": g_shape})):
        found = state[field]
        if field == "g_inverse" and (block.method == "eigh" or state["a_inverse"] is None):
            expect(found is None, f"{where}: {field}", "None beside this a_inverse", found)
        elif found is not None or field == "g_inverse":
            expect_keys(found, wanted, f"{where}: {field}")
            for name, shape in wanted.items():
                expect_tensor(f"{where}: {field}: {name}", found[name], shape)


def _expect_damping(state: Any, blocks: Mapping[str, Block], follows: bool) -> None:
    """Check what a `LevenbergMarquardt` has saved."""
    wish = "of a LevenbergMarquardt, as the engine's is" if follows else "None: damping is no state"
    expect((state is not None) == follows, "damping", wish, state)
    if not follows:
        return
    expect_keys(state, ("value", "ratio", "before"), "damping")
    value, ratio, before = state["value"], state["ratio"], state["before"]
    expect(is_number(value) and value > 0, "damping: value", "a number > 0", value)
    is_ratio = ratio is None or isinstance(ratio, (int, float))
    expect(is_ratio, "damping: ratio", "None or a number", ratio)
    if before is None:
        return
    is_pair = isinstance(before, (list, tuple)) and len(before) == 2
    is_pair = is_pair and isinstance(before[0], (int, float)) and isinstance(before[1], Mapping)
    expect(is_pair, "damping: before", "a number and a dict", before)
    for key, pair in before[1].items():
        expect(key in blocks, "damping: before", "of the layers in blocks", key)
        is_pair = isinstance(pair, (list, tuple)) and len(pair) == 2
        expect(is_pair, f"damping: before: {key}", "two Tensors", pair)
        for tensor in pair:
            shape = (blocks[key].d_out, blocks[key].d_in)
            expect_tensor(f"damping: before: {key}", tensor, shape, of_factor=False)


def _left_out(names: Any, model: nn.Module) -> list[Tensor]:
    """The parameters of these names."""
    is_list = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    expect(is_list, "left_out", "a list of str", names)
    known = dict(model.named_parameters())
    for name in names:
        expect(name in known, "left_out", "names of the model's parameters", name)
    return [known[name] for name in names]


def _draws(state: Any, model: nn.Module) -> Tensor | None:
    """The state of the draws; None on another kind of device, where they cannot go on."""
    if state is None:
        return None
    is_state = isinstance(state, Tensor) and state.dtype == torch.uint8 and state.dim() == 1
    expect(is_state, "generator", "a Tensor of uint8", state)
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
