"""From the passes of a model to the factors of its blocks, and to their inverses."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from graphembed.optim._block import Block, Observation
from graphembed.optim._distributed import Processes
from graphembed.optim._loss_rows import LossRows
from graphembed.optim._observe import observe
from graphembed.optim._options import Options
from graphembed.optim._passes import Pass, Passes
from graphembed.optim._paths import PathCache, SiteCall, trace
from graphembed.optim._recorder import Call

_LONGEST_INTERVAL = 100.0


class Curvature:
    """The blocks of a model; what its passes say about them, and when they are looked at.

    Parameters
    ----------
    options : Options
        Read anew in every pass.
    parameters : iterable of Tensor
        Those of the layers that are recorded.
    """

    def __init__(self, options: Options, parameters: Iterable[Tensor]) -> None:
        self.blocks: dict[str, Block] = {}
        self.passes = Passes()
        self.interval = float(options.cov_update_freq)
        self.next_update = 0
        self._options = options
        self._parameters = tuple(parameters)
        self._fixed: list[Tensor] = []  # in no block, but perhaps later
        self._processes = Processes(options.process_group)
        self._cache = PathCache()
        self._loss_rows = LossRows(options.unlabeled_weight)
        self._generator: torch.Generator | None = None
        self._generator_state: Tensor | None = None

    def is_due(self, n_steps: int) -> bool:
        """Whether the pass that begins now shall be recorded."""
        if any(block.is_partly_fixed for block in self.blocks.values()):
            return True
        if any(parameter.requires_grad for parameter in self._fixed):
            return True
        if self.blocks and all(block.is_frozen for block in self.blocks.values()):
            return False
        return n_steps >= self.next_update

    # -- In a pass -----------------------------------------------------------------------------

    def observe(self, output: Tensor, calls: list[Call]) -> None:
        """At the end of a recorded pass: what it says about the factors, until the next `update`.

        Parameters
        ----------
        output : Tensor of shape (n_outputs, k)
            Of the model, with its graph.
        calls : list of Call
            What the layers have done.
        """
        options = self._options
        self._cache.turn()
        loss_rows, weights = self._loss_rows.matrix(options.rows, output)
        with torch.no_grad():
            sites = trace(calls, loss_rows, self._cache)
        if not sites:
            return
        parameters = [(site.site.weights or (site.site.bias,))[0] for site in sites]
        if options.fisher == "empirical":  # kept by its graph until the gradients come
            made = Pass(parameters, (sites, weights, options._scale_now()))
        else:
            made = Pass(parameters, self._take(sites, weights, loss_rows, output))
        kept_by = weakref.ref(self.passes)

        def note(_: Tensor) -> None:
            passes = kept_by()
            if passes is not None:
                passes.note_backward(made)

        output.register_hook(note)

    def _take(
        self,
        sites: list[SiteCall],
        weights: Tensor,
        loss_rows: Any,
        output: Any,
        loss_scale: float = 1.0,
    ) -> Any:
        options = self._options
        with torch.autocast(weights.device.type, enabled=False):
            return observe(
                sites,
                output,
                loss_rows,
                weights,
                approx=options.approx,
                fisher=options.fisher,
                loss=options.loss,
                cache=self._cache,
                generator=self._draws(weights.device),
                loss_scale=loss_scale,
            )

    def _draws(self, device: torch.device) -> torch.Generator:
        if self._generator is None:
            self._generator = torch.Generator(device=device).manual_seed(
                self._options.seed + self._processes.rank
            )
            if self._generator_state is not None:
                self._generator.set_state(self._generator_state)
        return self._generator

    # -- In a step -----------------------------------------------------------------------------

    def update(self, n_steps: int) -> None:
        """Take what the passes have seen into the factors, and invert what has changed.

        Parameters
        ----------
        n_steps : int
            Steps done before this one.
        """
        options = self._options
        damping, ema = (float(options._at(name, n_steps)) for name in ("damping", "ema"))
        has_seen = False
        for name, site, observations in self._pending().values():
            block = self._block(name, site, observations)
            has_seen |= block.is_frozen or self._take_in(block, observations, ema, damping)
        if has_seen:
            longest = max(options.cov_update_freq, _LONGEST_INTERVAL)
            self.interval = min(self.interval * options.interval_growth, longest)
            self.next_update = n_steps + round(self.interval)
            self._fixed = [p for p in self._without_block() if not p.requires_grad]
        for block in self.blocks.values():
            if block.n_updates and (
                block.a_inverse is None or n_steps % options.inv_update_freq == 0
            ):
                block.invert(damping)

    def _take_in(
        self, block: Block, observations: list[Observation], ema: float, damping: float
    ) -> bool:
        """Whether they, or those of them that are finite, were taken into the running averages."""

        def update(several: list[Observation]) -> bool:
            seen = Observation.total(several)
            return block.update(seen, ema, self._processes, self._options.trace_rule, damping)

        if update(observations):
            return True
        if len(observations) == 1 or self._processes.count > 1:
            return False
        finite = [seen for seen in observations if seen.is_finite()]
        return bool(finite) and update(finite)

    def _pending(self) -> dict[Tensor, tuple[str, Any, list[Observation]]]:
        """What the passes since the last step have seen, by the first parameter of a site."""
        pending: dict[Tensor, tuple[str, Any, list[Observation]]] = {}
        for made in self.passes:
            seen = made.seen
            if self._options.fisher == "empirical":
                sites, weights, scale = seen
                seen = self._take(sites, weights, None, None, scale)
            for (name, site), observation in seen:
                key = (site.weights or (site.bias,))[0]
                pending.setdefault(key, (name, site, []))[2].append(observation)
        self.passes.clear()
        return pending

    def _block(self, name: str, site: Any, observations: list[Observation]) -> Block:
        """The block of a site, made when it is first seen with these parameters."""
        parameters = {*site.weights} if site.bias is None else {*site.weights, site.bias}
        for key, block in list(self.blocks.items()):
            if parameters == {*block.parameters}:
                return block
            if parameters & {*block.parameters}:  # some are fixed now, or are no longer
                del self.blocks[key]
        rows = [rows for seen in observations for rows in seen.rows]
        count = torch.tensor(sum(map(len, rows)), device=rows[0].device)  # NCCL has no other
        n_rows = int(self._processes.sum(count))
        options = self._options
        block = Block(name, site.weights, site.bias, options.method, options.block_size, n_rows)
        self.blocks[name] = block
        return block

    def _without_block(self) -> list[Tensor]:
        known = {p for block in self.blocks.values() for p in block.parameters}
        return [p for p in self._parameters if p not in known]

    # -- For checkpoints -----------------------------------------------------------------------

    def left_out(self) -> list[Tensor]:
        """Parameters of the layers that passes have given no block, although they are trained."""
        fixed = set(self._fixed)
        return [p for p in self._without_block() if p not in fixed]

    def draws_state(self) -> Tensor | None:
        """State of the generator of targets; None before the first draw."""
        return self._generator_state if self._generator is None else self._generator.get_state()

    def restore(
        self,
        blocks: dict[str, Block],
        interval: tuple[float, int],
        draws_state: Tensor | None,
        left_out: Iterable[Tensor],
    ) -> None:
        """Go on from other factors; passes that were not used are forgotten."""
        self.blocks = blocks
        others = set(left_out)
        self._fixed = [p for p in self._without_block() if p not in others]
        self.interval, self.next_update = interval
        self._generator, self._generator_state = None, draws_state
        self.passes.clear()
