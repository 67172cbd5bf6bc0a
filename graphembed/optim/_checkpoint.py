"""The blocks of a model as a checkpoint has them: by the names of parameters."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from graphembed.optim._block import Block


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
        For `load_blocks`.
    """
    names = {id(p): name for name, p in model.named_parameters()}
    saved = {}
    for key, block in blocks.items():
        weights = [names[id(weight)] for weight in block.weights]
        bias = None if block.bias is None else names[id(block.bias)]
        saved[key] = {"weights": weights, "bias": bias, **block.state()}
    return saved


def load_blocks(saved: Mapping[str, Any], model: nn.Module) -> dict[str, Block]:
    """Make blocks of what `save_blocks` has returned.

    Parameters
    ----------
    saved : mapping of str to dict
        By the names of the layers.
    model : torch.nn.Module
        With parameters of the same names.

    Returns
    -------
    dict of str to Block
        On the devices of the parameters.
    """
    parameters = dict(model.named_parameters())
    blocks = {}
    for key, state in saved.items():
        names = [*state["weights"], *([] if state["bias"] is None else [state["bias"]])]
        missing = [name for name in names if name not in parameters]
        if missing:
            raise ValueError(f"KFAC.load_state_dict: the model has no parameter {missing[0]!r}")
        weights = [parameters[name] for name in state["weights"]]
        bias = None if state["bias"] is None else parameters[state["bias"]]
        blocks[key] = Block(key, weights, bias, state["method"], state["block_size"], 0)
        blocks[key].load(state)
    return blocks
