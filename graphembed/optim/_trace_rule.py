"""When the factors of a block are worth an update (Chen et al. 2021, THOR)."""

from dataclasses import dataclass

from graphembed._validation import check_params, float_in, int_at_least


@dataclass(frozen=True)
class TraceRule:
    """Update, reuse or freeze the factors of a block by how much their trace would change.

    With ``Delta = |tr(F' + lambda I) - tr(F + lambda I)| / tr(F + lambda I)`` of the block
    ``F = A (x) G`` and of F' with the new running averages: F' takes the place of F and is inverted
    where ``Delta > w1``; F stays where ``w2 <= Delta <= w1``; and it stays for ever where ``Delta <
    w2``.

    Parameters
    ----------
    w1 : float, default=0.01
        Above it there is an update.
    w2 : float, default=1e-3
        Below it no update ever follows.
    min_updates : int, default=5
        Updates of a block that are made whatever the rule says, and before which nothing is frozen:
        in the first steps of a training the curvature hardly moves.

    Notes
    -----
    The formula of the paper; its text has the cases of w1 the other way round.
    """

    w1: float = 0.01
    w2: float = 1e-3
    min_updates: int = 5

    def __post_init__(self) -> None:
        wishes = {
            "w1": float_in(0, 1e30),
            "w2": float_in(0, 1e30),
            "min_updates": int_at_least(1),
        }
        check_params({name: getattr(self, name) for name in wishes}, wishes, owner="TraceRule")
        if self.w2 > self.w1:
            raise ValueError(
                f"TraceRule: w2 must be at most w1, got w1={self.w1!r}, w2={self.w2!r}"
            )

    def decide(self, change: float, n_updates: int) -> str:
        """Choose for a block.

        Parameters
        ----------
        change : float
            Delta.
        n_updates : int
            Updates of the block so far.

        Returns
        -------
        {"update", "reuse", "freeze"}
            What is to be done.
        """
        if n_updates < self.min_updates or change > self.w1:
            return "update"
        return "freeze" if change < self.w2 else "reuse"  # also where it is no number
