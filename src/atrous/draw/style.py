"""How a parse is to be drawn, as a user asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from atrous.types import BadInput

BY = ("instance", "class")


@dataclass(frozen=True, slots=True)
class Style:
    """The look of an overlay.

    by        what has a colour of its own: each "instance", near that of its class, or each "class"
    alpha     how opaque the colours of things are, in [0, 1]; those of stuff are lighter
    contours  whether segments have outlines
    labels    whether things have their name and score on them, where their masks have room
    legend    whether a strip below names the other colours

    Raises: BadInput for a value that makes no sense.
    """

    by: str = "instance"
    alpha: float = 0.5
    contours: bool = True
    labels: bool = True
    legend: bool = True

    def __post_init__(self) -> None:
        if self.by not in BY:
            raise BadInput(f"colours by {self.by!r}: there is {' and '.join(BY)}")
        if not 0 <= self.alpha <= 1:  # nan is not, either
            what = f"alpha is {self.alpha}: it is how opaque colours are"
            raise BadInput(f"{what}, from 0 (the photo alone) to 1")


USUAL = Style()
