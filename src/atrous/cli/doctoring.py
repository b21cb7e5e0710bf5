"""The verb `doctor`: what is wrong with a data set."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from atrous.cli.app import Quiet, app
from atrous.types import BadInput

MOST_IMAGES = 100
"""Pictures on a sheet: more take long, and are too small to see."""


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
    sheet_images: Annotated[int, typer.Option(help="how many on the sheet, 100 at most")] = 16,
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

    if as_json:
        print(json.dumps(to_json(diagnosis, examples=examples)), flush=True)
    if not quiet:
        tables(diagnosis, examples=examples)
    if sheet is not None:
        _draw(diagnosis, sheet, min(sheet_images, MOST_IMAGES))
    return 0 if diagnosis.is_healthy else 1


def _diagnosis(data: str, splits: list[str], *, workers: int | None, quiet: bool) -> Any:
    from atrous.doctor import diagnose, plan
    from atrous.processes import stopped_by_signals
    from atrous.progress import progress

    with stopped_by_signals():
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
    if sheet is not None:
        _require_place(sheet)
    if images < 1 or examples < 0 or (workers is not None and workers < 0):
        raise BadInput("--sheet-images, --examples and --workers count: give 1, 0, 0 or more")


def _require_place(sheet: Path) -> None:
    """Raises BadInput if a sheet could not be written there, before an hour is spent on it."""
    if sheet.is_dir():
        raise BadInput(f"--sheet {sheet}: is a folder: name a file in it, {sheet / 'sheet.png'}")
    if sheet.suffix.lower() != ".png":
        raise BadInput(f"--sheet {sheet}: name a file that ends in .png")
    folder = next(path for path in sheet.absolute().parents if os.path.lexists(path))
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        if sheet.exists():
            sheet.open("ab").close()
    except OSError as error:
        why = "is no folder" if not folder.is_dir() else (error.strerror or str(error))
        raise BadInput(f"--sheet {sheet}: {folder}: {why}: name another place") from None
