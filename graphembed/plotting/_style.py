"""What the pictures have in common: colours, sizes, names that fit."""

from typing import Any, Final

from graphembed._validation import import_optional

# Paul Tol's "muted" scheme: nine colours that stay apart for colour-blind readers.
PALETTE: Final = (
    "#332288",
    "#CC6677",
    "#117733",
    "#88CCEE",
    "#882255",
    "#DDCC77",
    "#44AA99",
    "#AA4499",
    "#999933",
)
_MAX_NAME: Final = 26


def new_figure(width: float, height: float) -> Any:
    """Make a figure, its size given in inches."""
    figure = import_optional("matplotlib.figure", extra="plot").Figure(
        figsize=(width, height), dpi=150, layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)  # inches
    return figure


def shorten(name: str) -> str:
    """Cut a name that would not fit beside a picture."""
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
