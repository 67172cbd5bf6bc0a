"""Checks of the options of the doors."""

from graphembed._validation import boolean, check_params, optional


def check_options(weight: str | None, directed: bool | None) -> None:
    """Check the options that every door takes."""
    check_params({"directed": directed}, {"directed": optional(boolean())})
    if weight is not None and not (isinstance(weight, str) and weight):
        raise ValueError(f"weight must be None or a name, got {weight!r}")


def refuse_columns(kind: str, source: str | None, target: str | None) -> None:
    """Refuse names of columns where there are none."""
    if source is not None or target is not None:
        raise ValueError(
            "source= and target= name the columns of a data frame or file, got "
            f"{source!r} and {target!r} for a graph of the kind {kind!r}"
        )


def refuse_weight_name(kind: str, weight: str | None) -> None:
    """Refuse the name of a weight where weights have no name."""
    if weight not in (None, "weight"):
        raise ValueError(
            f"weight={weight!r} names an attribute or column, which a graph of the kind {kind!r} "
            "does not have; use None to ignore its weights"
        )
