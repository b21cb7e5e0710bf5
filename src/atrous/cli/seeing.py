"""The options of how a parser sees an image, which several verbs share, and how it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Optional

import typer

from atrous.types import BadInput

OutputStride = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(help="8 or 16; 8 sees finer and takes longer"),
]
Scales = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="S,S,...", help="see it at these sizes, such as 0.75,1,1.25; average"),
]
Flip = Annotated[
    Optional[bool],  # noqa: UP045
    typer.Option("--flip/--no-flip", help="see it mirrored too; average"),
]
Window = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=0, metavar="PX", help="slide windows of this side over it; 0 = none"),
]
Tile = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, metavar="PX", help="cut larger images into tiles of this side"),
]
Precision = Annotated[str, typer.Option(help="auto, fp32 or bf16")]
Compile = Annotated[
    bool, typer.Option("--compile", help="compile the network: slow start, fast run")
]
RejectBelow = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(metavar="P", help="pixels of less confidence become void"),
]
LeastArea = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(metavar="PX", help="segments of fewer pixels become void"),
]


def make_parser(
    model: str,
    device: str,
    output_stride: int | None,
    settings: list[str] | None,
    *,
    precision: str = "auto",
    compile: bool = False,
    scales: str | None = None,
    flip: bool | None = None,
    window: int | None = None,
    tile: int | None = None,
    reject_below: float | None = None,
    least_area: int | None = None,
) -> Any:
    """The parser of a model as the options ask for it; what is not asked for is the model's own.

    Raises: BadInput for an option that makes no sense, or that the network does not fit.
    """
    from atrous.parser import load
    from atrous.recipes.recipe import tuned

    parser = load(model, device=device, precision=precision, compile=compile)
    fusion = tuned(parser.fusion, settings or ())
    try:
        views = _views(parser, _numbers(scales), flip, window, tile)
        return parser.replace(
            output_stride=output_stride,
            fusion=fusion,
            views=views,
            reject_below=reject_below,
            least_area=least_area,
        )
    except ValueError as error:
        options: dict[str, object] = {"--output-stride": output_stride, "--scales": scales}
        options |= {"--flip": flip or None, "--window": window, "--tile": tile}
        options |= {"--reject-below": reject_below, "--least-area": least_area}
        raise _bad(error, options) from error


def _views(
    parser: Any,
    scales: tuple[float, ...] | None,
    flip: bool | None,
    window: int | None,
    tile: int | None,
) -> Any:
    """The model's own views with what is asked for; a tile takes the place of its window."""
    from dataclasses import replace

    asked = {"scales": scales, "flip": flip, "window": window, "tile": tile}
    if tile and window is None:
        asked["window"] = 0
    return replace(parser.way.views, **{k: v for k, v in asked.items() if v is not None})


def _numbers(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} is no list of numbers: give such as 0.75,1,1.25") from None


def _bad(error: ValueError, options: Mapping[str, object]) -> BadInput:
    """The error with the options that it may be about, as they were given."""
    given = " ".join(f"{name} {value}" for name, value in options.items() if value is not None)
    return BadInput(f"{given.replace(' True', '')}: {error}" if given else str(error))
