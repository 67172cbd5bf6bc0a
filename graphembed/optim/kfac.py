"""`KFAC`: preconditions the gradients of a model, around any optimizer of torch."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from graphembed.optim._attached import check_optimizer, check_step, trust_region
from graphembed.optim._block import Block
from graphembed.optim._checkpoint import Saved, read, save_blocks
from graphembed.optim._curvature import Curvature
from graphembed.optim._damping import LevenbergMarquardt
from graphembed.optim._doubts import Doubts
from graphembed.optim._options import Options, Skipped
from graphembed.optim._recorder import Call, Recorder
from graphembed.optim._report import figures, table


class KFAC(Options):
    """Kronecker-factored curvature (Martens & Grosse 2015) for graph layers.

    Every block of parameters W that acts as ``z_r = W a_r`` on rows r has its gradient V replaced
    by ``(G + g I)^-1 V (A + a I)^-1``, where ``A (x) G`` approximates the Fisher information of
    the mean loss over the labelled rows, and ``a``, ``g`` split the damping. Call it between the
    backward pass and the step of any optimizer::

        pre = KFAC(model, lr=0.1, rows=train_mask)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        loss.backward(); pre.step(); optimizer.step()

    Parameters
    ----------
    model : torch.nn.Module
        Called once or more in training mode before every step; its output are the rows of the
        loss: logits, or predictions. Not a wrapper such as DistributedDataParallel but what it
        wraps.
    lr : float or callable, optional
        Step size of the optimizer, read by `kl_clip`; by default that of the attached one.
    rows : Tensor of bool, shape (n_outputs,), or of integers, optional
        Rows of the output that the loss is the mean of; by default all, as on restricted blocks and
        mini-batches. A number that is there twice counts twice, as in ``output[rows]``. May be set
        anew before any pass: ``pre.rows = mask``.
    damping : float or callable, default=5e-4
        lambda: what is added to the eigenvalues of ``A (x) G``; as a callable, of the step.
    ema : float or callable, default=0.95
        Decay of the running averages of A and G at every update; as a callable, of the step. The
        first update counts whole.
    cov_update_freq : int, default=1
        Steps between updates of the factors, before `interval_growth`: with 10, and growth 1.5,
        they come at the steps 0, 15 and 37.
    inv_update_freq : int, default=1
        Steps between updates of the inverses, which are made only where factors or damping have
        changed; the first is made at once.
    approx : {"reduce", "expand"}, default="reduce"
        A of the rows ``u_i = sum_r P_ir [a_r, 1]``, one for each row i of the loss, with P the
        propagation from the layer to the loss; or of the single rows ``a_r``, weighed by
        ``sum_i P_ir^2`` (Eschenhagen et al. 2023, for weights that are shared on a graph).
    fisher : {"mc", "exact", "empirical"}, default="mc"
        G by targets drawn from the model, in one backward pass to the z only; by the Hessian of the
        loss, in a pass for every labelled row and class; or by the gradients of the user's own
        backward pass, which costs nothing; set `loss_scale` where that is not of the mean loss.
    loss_scale : float or callable, default=1
        What the mean loss of a pass is multiplied by before its backward pass, which "empirical"
        must know: ``1 / k`` where k passes are accumulated, ``scaler.get_scale`` with a
        `torch.amp.GradScaler`. A callable has no arguments and is asked in every pass.
    loss : {"cross_entropy", "mse", "binary_cross_entropy"}, default="cross_entropy"
        What the output means; "empirical" does not look at it.
    method : {"auto", "dual", "cholesky", "eigh", "thor"}, default="auto"
        How A is inverted: by the Gram matrix of its rows where these are fewer than its columns
        (all labelled nodes of Cora are 140, its features 1433); by a Cholesky factorisation; by the
        eigenvectors of A and G, with damping that is not split; or in diagonal blocks (Chen et al.
        2021). "auto" takes Cholesky up to 512 columns; then "dual" up to 2048, if rows are fewer
        than half of them; else "thor".
    block_size : int, default=32
        Width of the blocks of "thor".
    kl_clip : float, callable or None, default=1e-3
        Largest ``lr^2 <v, V>`` of a step v; longer ones are scaled down. None: no limit. As a
        callable, of the step.
    weight_decay : float or callable, default=0
        L2 penalty, added to the gradient before it is preconditioned since it is part of what is
        minimised; as a callable, of the parameter's name. The optimizer's own must be 0.
    skip : iterable of str
        Regular expressions: layers whose name or class matches one are left out, with their
        gradients as they are.
    unlabeled_weight : float, default=0
        Weight of the rows not in `rows` in the curvature, which needs no labels; not for
        "empirical", whose gradients do.
    trace_rule : TraceRule, optional
        Which blocks are updated at all, and which never again.
    interval_growth : float, default=1.5
        Factor of `cov_update_freq` after every update, from the first on, up to a hundred steps:
        curvature changes most in the first steps, 11 updates fall to the first 200. 1: always the
        same.
    seed : int, default=0
        Of the drawn targets. Torch's own generators are left alone.
    process_group : optional
        Of torch.distributed: factors are summed over its processes, by default over all if there
        are several.

    Notes
    -----
    The attributes `rows`, `lr`, `damping`, `ema`, `inv_update_freq`, `kl_clip`, `weight_decay`,
    `loss_scale` and `interval_growth` are read anew in every pass or step and may be set between.

    A: O(m d_in^2) time and O(d_in^2) memory for m rows ("dual": O(m^2 d_in) and O(m d_in); "thor":
    O(m d_in block_size) and O(d_in block_size)); G: O(n d_out^2).

    Steps in which factors are updated wait for the device; others do not.

    On a graph the backward pass adds up the losses of several labelled nodes in one row. Drawn
    targets are independent, so that their mixed terms vanish in the mean; those of "empirical" do
    not, and it is biased by them where labelled nodes are neighbours.

    "reduce" is the exact Gauss-Newton block of linear networks in which every layer above has one
    propagation (`GCNConv`, `SAGEConv` without root weight), under squared loss. Where a layer has
    several (`SAGEConv`, `ChebConv`), each way from a row to the loss gives a row u.

    Layers are taken for a chain in the order of their calls, with maps of single rows in between.
    A model that is none (``conv1(x) + conv2(x)``, rows permuted, or propagated by hand, between
    layers; a layer named in `skip` above others) still trains, but its factors are not those of
    the Fisher information, and only different numbers of rows are noticed. Inside and before
    convolutions of PyG that are not known all rows count alike, and a warning names them.

    A pass counts if its gradients are there at the step: those of a step left out by a gradient
    scaler do not, nor does a pass that is not finite, whatever becomes of its gradients. Of several
    accumulated passes the finite ones count, but among several processes none of this step.

    P is kept sparse. Where a product of propagations needs more than four million multiplications
    and as many as the graph has edges, it is not made: from there on rows count by the sum of
    squares over the ways to the loss, as in "expand", and a warning says so. So the memory beside
    the factors is that of a few graphs.

    Inputs that `Dropout` has made are taken from before it, so that a first layer's A is computed
    once on a fixed graph. In-place operations on outputs, gradient accumulation and modules that
    are called several times are allowed. Gradients may be clipped between `step` and the
    optimizer's; unscale them before.

    Wrap gradient descent: Adam divides by the size of every entry and undoes most of it.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._claim_damping()
        skipped = Skipped(self.skip)
        self.n_steps = 0
        self._recorder = Recorder(
            self.model,
            skip=skipped.layer,
            wanted=self._is_due,
            done=self._observe,
            keep_gradients=self.fisher == "empirical",
        )
        self._doubts = Doubts(self.model, skipped, self._recorder.unknown)
        parameters = [p for layer in self._recorder.layers for p in layer.parameters()]
        self._curvature = Curvature(self, parameters)
        self._optimizer: torch.optim.Optimizer | None = None
        self._attached: Any = None
        self._penalties: Callable[[], Iterator[tuple[Tensor, float]]] = self._named_penalties
        self._last: dict[str, Any] = {}
        self._is_closed = False

    def _claim_damping(self) -> LevenbergMarquardt | None:
        """The damping that follows this training; None if it is a number or a schedule."""
        if not isinstance(self.damping, LevenbergMarquardt):
            return None
        self.damping.claim(self)
        return self.damping

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("a KFAC cannot be pickled or copied: use state_dict()")

    def _is_due(self) -> bool:
        return self._curvature.is_due(self.n_steps)

    def _observe(self, output: Any, calls: list[Call]) -> None:
        """At the end of a recorded pass."""
        if not isinstance(output, Tensor) or output.dim() != 2:
            what = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise TypeError(f"KFAC: the model must return a Tensor of shape (n, k), got {what}")
        if not output.requires_grad:
            return
        if self.rows is None:
            self._doubts.watch(output)
        self._curvature.observe(output, calls)

    # -- Around a step -------------------------------------------------------------------------

    def step(self, loss: Tensor | float | None = None) -> None:
        """Precondition the gradients that the backward pass has left.

        Parameters
        ----------
        loss : Tensor or float, optional
            Its loss; only `LevenbergMarquardt` looks at it.

        Raises
        ------
        RuntimeError
            If the model has not been called in training mode before the first step, after `close`,
            or while it is attached to an optimizer, whose step calls it.
        """
        if self._attached is not None:
            raise RuntimeError(
                "KFAC.step: it is attached to an optimizer, whose step() calls it: leave it out"
            )
        self._step(loss)

    def _step(self, loss: Tensor | float | None = None) -> None:
        if self._is_closed:
            raise RuntimeError("KFAC.step: it has been closed: make a new KFAC")
        device = next(self.model.parameters()).device
        with torch.autocast(device.type, enabled=False):
            self._precondition(loss)

    def _precondition(self, loss: Tensor | float | None) -> None:
        follows = self._claim_damping()
        if follows is not None and loss is None:
            raise ValueError("KFAC: damping=LevenbergMarquardt() needs step(loss), got None")
        limit = self._at("kl_clip", self.n_steps)
        lr = None if limit is None else self._at("lr", self.n_steps)
        if limit is not None and lr is None and self._optimizer is None:
            raise ValueError("KFAC: kl_clip needs lr, got None: give lr, attach(), or kl_clip=None")
        penalties = list(self._penalties())
        if follows is not None and loss is not None:
            follows.look(loss, self._curvature.blocks)
        self._curvature.update(self.n_steps)
        if not self.blocks:
            raise RuntimeError(
                "KFAC.step needs a pass of the model in training mode, called as model(...), not "
                "by its parts, and the backward pass from its output before it"
            )
        self._doubts.tell(self.blocks)
        if follows is not None and loss is not None:
            follows.note(self.n_steps, loss, self._curvature.blocks)
        for parameter, factor in penalties:
            if factor and parameter.grad is not None:
                parameter.grad.add_(parameter.detach(), alpha=factor)
        pairs = []
        for block in self.blocks:
            gradient = block.gradient()
            if gradient is not None and block.a_inverse is not None:
                pairs.append((block, gradient, block.precondition(gradient)))
        scale = None if limit is None else trust_region(pairs, limit, lr, self._optimizer)
        for block, _, value in pairs:
            block.write(value, scale)
        self._last = {"pairs": pairs, "scale": scale}
        self.n_steps += 1

    def attach(self, optimizer: torch.optim.Optimizer) -> "KFAC":
        """Let ``optimizer.step()`` call `step` first, for training loops that one does not own.

        A step that a gradient scaler leaves out, because of a gradient that is not finite, is left
        out here, too.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer
            Of the model's parameters, without a penalty of its own; its ``step`` must be called
            without a closure.

        Returns
        -------
        KFAC
            Itself.

        Raises
        ------
        ValueError
            If the optimizer has none of the model's parameters, or a penalty.
        """
        if isinstance(self.damping, LevenbergMarquardt):
            raise ValueError(
                "KFAC.attach: damping=LevenbergMarquardt() needs the loss: call step(loss) yourself"
            )
        if self._attached is not None:
            raise RuntimeError("KFAC.attach: it is attached already: close() it and make a new one")
        if self._is_closed:
            raise RuntimeError("KFAC.attach: it has been closed: make a new KFAC")
        check_optimizer(optimizer, self.model)
        self._optimizer = optimizer
        self._attached = optimizer.register_step_pre_hook(self._before_step)
        return self

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        check_step(optimizer, args, kwargs)
        self._step()

    def close(self) -> None:
        """Remove all hooks from the model and the optimizer; no step follows."""
        self._is_closed = True
        self._recorder.close()
        if self._attached is not None:
            self._attached.remove()
            self._attached = None

    def __enter__(self) -> "KFAC":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _named_penalties(self) -> Iterator[tuple[Tensor, float]]:
        """Every parameter and its part of the L2 penalty."""
        if self.weight_decay:
            for name, parameter in self.model.named_parameters():
                yield parameter, self._penalty_of(name)

    # -- To look at ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that a checkpoint needs: factors, inverses, counters, the state of the draws.

        Returns
        -------
        dict
            Numbers, strings and tensors (which are not copied), by the names of the layers.
        """
        follows = self.damping if isinstance(self.damping, LevenbergMarquardt) else None
        left_out = set(self._curvature.left_out())
        return {
            "n_steps": self.n_steps,
            "interval": (self._curvature.interval, self._curvature.next_update),
            "damping": follows and follows.state_dict(),
            "generator": self._curvature.draws_state(),
            "left_out": [name for name, p in self.model.named_parameters() if p in left_out],
            "blocks": save_blocks(self._curvature.blocks, self.model),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called: with the same bits, on the same data.

        Parameters
        ----------
        state : dict
            From `state_dict`, of a model with the same parameters and an engine with the same
            `method`. From another kind of device it has all but the drawn targets, which begin
            anew.

        Raises
        ------
        ValueError
            If a field is missing, or of another kind, shape or dtype than this model needs; the
            message names the layer and the field, and nothing has changed.
        """
        self._restore(self._read(state))

    def _read(self, state: Any) -> Saved:
        """What a state says, checked."""
        layers = [name for name, _ in self._recorder.layers.values()]
        follows = isinstance(self.damping, LevenbergMarquardt)
        return read(state, self.model, layers, self.method, self.block_size, follows=follows)

    def _restore(self, saved: Saved) -> None:
        self._curvature.restore(saved.blocks, saved.interval, saved.generator, saved.left_out)
        self.n_steps = saved.n_steps
        if isinstance(self.damping, LevenbergMarquardt) and saved.damping is not None:
            self.damping.load_state_dict(saved.damping)

    def summary(self) -> str:
        """A table of the blocks, and the parameters that are in none.

        Returns
        -------
        str
            One line per block; before the first step there are none.
        """
        return table(self.blocks, self._doubts.others(self.blocks) if self.blocks else [])

    def metrics(self) -> dict[str, dict[str, float]]:
        """Figures of the last step, by block.

        Returns
        -------
        dict of str to dict
            "trace_a" and "trace_g"; "condition_a" and "condition_g", of the damped factors (all
            but of "eigh"); "cosine" of the preconditioned to the raw gradient: near 1 where the
            damping has switched the curvature off; and "scale", the factor that `kl_clip` made.

        Notes
        -----
        Decomposes the factors: O(d^3), and waits for the device. For it, raw and preconditioned
        gradients are kept from step to step: twice the memory of the preconditioned parameters.
        """
        return figures(self._last.get("pairs", ()), self._last.get("scale"))

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of parameters, of the last layer first; empty before the first step."""
        return tuple(self._curvature.blocks.values())
