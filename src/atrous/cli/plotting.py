"""The verb `plot`: how training runs went, in one picture."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Optional

import typer

from atrous.cli.app import Quiet, app
from atrous.types import BadInput

SUFFIXES = (".png", ".svg", ".pdf")
MOST_CHARACTERS = 60
"""Of a run's name in the legend."""


@app.command()
def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="folders of runs")],
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="FILE.png", help=".png, .svg or .pdf; else curves.png in the first run"
        ),
    ] = None,
    smooth: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=0, max=10**9, help="steps to smooth over, 0 = none; else 2 % of the longest run"
        ),
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Draw losses, scores, learning rate and speed of training runs, a colour a run."""
    path = runs[0] / "curves.png" if out is None else out
    _require_picture(path)
    from atrous.draw.curves import RunCurves, curves
    from atrous.formats import write_whole
    from atrous.run.history import history

    found = list({run.resolve(): run for run in runs}.values())
    told = [history(run) for run in found]
    rows = [
        RunCurves(name, x.steps, x.columns, x.scored, x.scores, x.resumed)
        for name, x in zip(short_names(found), told, strict=True)
    ]
    write_whole(path, curves(rows, form=path.suffix.lower()[1:], smooth=smooth))
    if not quiet:
        count = f"{len(rows)} runs" if len(rows) > 1 else "1 run"
        print(f"curves of {count}: {path}", file=sys.stderr)
    return 0


def short_names(runs: Sequence[Path]) -> list[str]:
    """A name for each of different folders: the parts of their paths that are not the same in all.

    Of a single one, and of one that holds another, it is the last part.
    """
    paths = [run.resolve().parts for run in runs]
    shortest = min(map(len, paths))
    shared = sum(1 for _ in takewhile(_is_one, zip(*paths, strict=False)))
    start = min(shared, shortest - 1)
    tails = [path[start:] for path in paths]
    if len(set(map(len, tails))) == 1 and len(tails) > 1:
        columns = [column for column in zip(*tails, strict=True) if not _is_one(column)]
        tails = list(zip(*columns, strict=True))
    return _unlike([_shortened("/".join(tail)) for tail in tails])


def _is_one(parts: Sequence[str]) -> bool:
    return len(set(parts)) == 1


def _shortened(name: str) -> str:
    half = MOST_CHARACTERS // 2
    return name if len(name) <= MOST_CHARACTERS else f"{name[: half - 1]}…{name[-half:]}"


def _unlike(names: list[str]) -> list[str]:
    """The names, numbered where shortening made them alike."""
    return [
        name if names.count(name) == 1 else f"{name} ({names[: i + 1].count(name)})"
        for i, name in enumerate(names)
    ]


def _require_picture(path: Path) -> None:
    if path.is_dir():
        raise BadInput(f"--out {path}: is a folder: name a file in it, {path / 'curves.png'}")
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(f"--out {path}: name a file that ends in .png, .svg or .pdf")
