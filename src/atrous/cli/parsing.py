"""The verb `parse`, and a parser as the options ask for it."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from atrous.cli.app import DEFAULT_MODEL, Device, Model, Quiet, Settings, app, complain
from atrous.types import BadInput


@app.command()
def parse(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE|DIR...", help="what to parse")],
    model: Model = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option(help="folder for the results")] = Path("parsed"),
    format: Annotated[str, typer.Option(help="coco")] = "coco",
    semantic: Annotated[bool, typer.Option("--semantic", help="write class maps too")] = False,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="write 16-bit confidence maps too")
    ] = False,
    output_stride: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="8 or 16; 8 sees finer and takes longer"),
    ] = None,
    settings: Settings = None,
    stretch: Annotated[
        bool, typer.Option("--stretch", help="scale 16-bit and TIFF images by their own range")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON line an image")] = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> int:
    """Parse images; write overlays, segment ids and COCO panoptic JSON."""
    from atrous.batch import find_images, parse_all
    from atrous.result import ResultFolder

    inputs = find_images(images)
    folder = ResultFolder(out, format=format, semantic=semantic, confidence=confidence)
    parser = make_parser(model, device, output_stride, settings)
    bad = 0
    with closing(parse_all(parser, inputs, folder, stretch=stretch, quiet=quiet)) as answers:
        for answer in answers:
            if answer.problem:
                bad += 1
                complain(answer.problem)
            elif as_json:
                print(json.dumps(answer.to_json()), flush=True)
            elif not quiet:
                print(f"{answer.file}: {answer.words}", file=sys.stderr)
    if bad == len(inputs) == 1:
        return 2
    if not quiet:
        print(f"{len(inputs) - bad} of {len(inputs)} parsed, see {out}", file=sys.stderr)
    return 1 if bad else 0


def make_parser(
    model: str, device: str, output_stride: int | None, settings: list[str] | None
) -> Any:
    """The parser of a model with the stride and the fusion numbers that were asked for."""
    from atrous.parser import load
    from atrous.recipes.recipe import tuned

    parser = load(model, device=device)
    fusion = tuned(parser.fusion, settings or ())
    try:
        return parser.replace(output_stride=output_stride, fusion=fusion)
    except ValueError as error:
        raise BadInput(f"--output-stride {output_stride}: {error}") from error
