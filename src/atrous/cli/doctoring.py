"""The verb `doctor`: what is wrong with a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from atrous.cli.app import Quiet, app
from atrous.types import BadInput


@app.command()
def doctor(
    data: Annotated[str, typer.Argument(metavar="SPEC=PATH", help="such as coco-panoptic=DIR")],
    split: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="may be given several times; all that there are without it"),
    ] = None,
    sheet: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE.png", help="photos under their labels, faulty ones first"),
    ] = None,
    sheet_images: Annotated[int, typer.Option(help="how many on the sheet")] = 16,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON on stdout")] = False,
    examples: Annotated[int, typer.Option(help="how many of a fault are told in full")] = 3,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="processes; as many as there are cores, if it is worth it"),
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Name every fault of a data set: file, place and mend; no model.

    Exits 0 if it is healthy, though there may be warnings, and 1 if it has faults.
    """
    _check(sheet=sheet, images=sheet_images, examples=examples, workers=workers)
    diagnosis = _diagnosis(data, split or [], workers=workers, quiet=quiet)
    from atrous.doctor.report import tables, to_json

    if sheet is not None:
        _draw(diagnosis, sheet, sheet_images)
    if as_json:
        print(json.dumps(to_json(diagnosis, examples=examples)), flush=True)
    if not quiet:
        tables(diagnosis, examples=examples)
    return 0 if diagnosis.is_healthy else 1


def _diagnosis(data: str, splits: list[str], *, workers: int | None, quiet: bool) -> Any:
    from atrous.doctor import diagnose, plan
    from atrous.progress import progress

    opened = plan(data, splits)
    with progress(len(opened.samples), quiet=quiet) as advance:
        return diagnose(opened, workers=workers, progress=advance)


def _draw(diagnosis: Any, path: Path, images: int) -> None:
    from atrous.doctor.sheet import sheet
    from atrous.formats import write_image

    picture = sheet(diagnosis, images=images)
    if picture is not None:
        write_image(path, picture)


def _check(*, sheet: Path | None, images: int, examples: int, workers: int | None) -> None:
    if sheet is not None and (sheet.suffix.lower() != ".png" or sheet.is_dir()):
        raise BadInput(f"--sheet {sheet}: name a file that ends in .png")
    if images < 1 or examples < 0 or (workers is not None and workers < 0):
        raise BadInput("--sheet-images, --examples and --workers count: give 1, 0, 0 or more")
