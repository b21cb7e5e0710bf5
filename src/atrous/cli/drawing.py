"""The options of how results are drawn."""

from __future__ import annotations

from typing import Annotated

import typer

ContactSheet = Annotated[
    bool,
    typer.Option("--contact-sheet", help="all overlays on one page; of over 100, 100"),
]
Overlay = Annotated[
    str, typer.Option(help="overlay, side-by-side with the photo, or none, the quickest")
]
Picture = Annotated[str, typer.Option(help="of overlays: png, or jpg, a tenth of its size")]
By = Annotated[str, typer.Option(help="what has a colour of its own: instance or class")]
Alpha = Annotated[float, typer.Option(help="how opaque colours are, 0 to 1")]
NoContours = Annotated[bool, typer.Option("--no-contours", help="no outlines")]
NoLabels = Annotated[bool, typer.Option("--no-labels", help="no names and scores on things")]
NoLegend = Annotated[bool, typer.Option("--no-legend", help="no strip with a legend")]
