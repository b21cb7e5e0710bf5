"""The verb `split`."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from atrous.cli.app import Data, Quiet, app
from atrous.types import BadInput

CHUNK = 16
"""Images that a process counts before it answers."""


@app.command()
def split(
    data: Data,
    out: Annotated[Path, typer.Option(help="folder for train.txt, val.txt and test.txt")],
    split: Annotated[str, typer.Option(help="what to divide")] = "train",
    val: Annotated[float, typer.Option(help="share for validation")] = 0.2,
    test: Annotated[float, typer.Option(help="share for test; 0 = no test.txt")] = 0.0,
    stratify: Annotated[
        bool,
        typer.Option("--stratify/--no-stratify", help="read labels: each side its share of each"),
    ] = False,
    group_by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="folder|PATTERN",
            help="images of one group stay together: one folder, or one match in the name",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="another number, another division")] = 0,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, help="processes that read labels; as many as are worth it"),
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Divide a split into lists for training, validation and test; copies nothing.

    An image is for validation if the SHA-256 of its file name, as a fraction of 2^256, is below
    --val: it stays there when images are added. With --group-by the group's name decides; with
    --stratify the labels do. Use the lists as --split train@DIR/train.txt.
    """
    from atrous.data import split as by_name
    from atrous.data.catalogue import open_data, summary

    shares = by_name.Shares(val, test)
    paths = _free_paths(out, by_name.SIDES[: len(shares.values)])
    source = open_data(data, split)
    names = [source.name(i) for i in range(len(source))]
    groups = names if group_by is None else _groups(source, group_by)
    hashed = by_name.hashed if group_by is None else by_name.hashed_groups
    if stratify:
        by_name.require_divisible(groups, shares)
    else:
        sides = hashed(groups, shares=shares, seed=seed)
        by_name.require_no_empty_side(sides, shares, groups=groups if group_by else ())
    if not quiet:
        print(summary(data, split, source), file=sys.stderr)
    rows: list[dict[str, Any]] = []
    if stratify:
        sides, rows = _stratified(source, groups, shares, seed=seed, workers=workers, quiet=quiet)
    answer = {"schema": 1, "data": data, "split": split, "images": len(names), "seed": seed}
    answer |= {"val": val, "test": test, "stratify": stratify, "group_by": group_by}
    answer |= {"sides": _written(paths, sides, names, groups), "per_class": rows}
    if not quiet:
        _tell(answer)
    print(json.dumps(answer))
    return 0


def _free_paths(out: Path, sides: tuple[str, ...]) -> dict[str, Path]:
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file, not a folder: choose another --out")
    paths = {side: out / f"{side}.txt" for side in sides}
    taken = [path for path in paths.values() if path.exists()]
    if taken:
        raise BadInput(f"{taken[0]}: is there already: choose another --out")
    return paths


def _groups(source: Any, group_by: str) -> list[str]:
    from atrous.data.split import groups_of, names_with_folders

    is_folder, whole = group_by == "folder", range(len(source))
    names = names_with_folders(source) if is_folder else [source.name(i) for i in whole]
    return groups_of(names, group_by)


def _stratified(
    source: Any, groups: list[str], shares: Any, *, seed: int, workers: int | None, quiet: bool
) -> tuple[Any, list[dict[str, Any]]]:
    """Side of each image, and what each side holds of each class."""
    from atrous.data.stratify import joined, stratified, tallied
    from atrous.processes import in_order, processes_for
    from atrous.progress import progress

    chunks = [range(i, min(i + CHUNK, len(source))) for i in range(0, len(source), CHUNK)]
    processes = processes_for(workers, len(source))
    parts, done = [], 0
    with progress(len(source), quiet=quiet) as advance:
        for part in in_order(partial(tallied, source), chunks, processes=processes):
            parts.append(part)
            done += len(part.pixels)
            advance(done)
    tally = joined(parts)
    sides = stratified(groups, tally, shares=shares, seed=seed)
    return sides, _rows(source.labels, tally, sides, len(shares.values))


def _rows(labels: Any, tally: Any, sides: Any, count: int) -> list[dict[str, Any]]:
    """Of each class its pixels and things, and the parts of them on each side."""
    from atrous.data.split import SIDES

    rows = []
    for class_id, label in enumerate(labels.labels):
        counts = {"pixels": tally.pixels[:, class_id]}
        if label.is_thing:
            counts["instances"] = tally.instances[:, class_id]
        row: dict[str, Any] = {"name": label.name} | {k: int(v.sum()) for k, v in counts.items()}
        for side, name in enumerate(SIDES[:count]):
            row[name] = {
                k: float(v[sides == side].sum() / v.sum()) if v.any() else None
                for k, v in counts.items()
            }
        rows.append(row)
    return rows


def _written(
    paths: dict[str, Path], sides: Any, names: list[str], groups: list[str]
) -> dict[str, dict[str, Any]]:
    from atrous.formats import write_text

    told: dict[str, dict[str, Any]] = {}
    for side, (name, path) in enumerate(paths.items()):
        own = [i for i, s in enumerate(sides.tolist()) if s == side]
        write_text(path, "".join(f"{names[i]}\n" for i in own))
        held = {groups[i] for i in own}
        told[name] = {"file": str(path), "images": len(own), "groups": len(held)}
    return told


def _tell(answer: dict[str, Any]) -> None:
    for side in answer["sides"].values():
        groups = f", {side['groups']} of the groups" if answer["group_by"] else ""
        print(f"{side['file']}: {side['images']} images{groups}", file=sys.stderr)
    if answer["per_class"]:
        _table(answer)


def _table(answer: dict[str, Any]) -> None:
    """Which part of each class's pixels, and of its things, is on which side, in percent."""
    from rich.console import Console
    from rich.table import Table

    from atrous.card import percent

    sides = list(answer["sides"])
    title = "percent of a class's pixels on each side, and of its things"
    table = Table(title=title, box=None, padding=(0, 1, 0, 0))
    for head in ("class", *sides, "things", *sides):
        table.add_column(head, justify="left" if head == "class" else "right", no_wrap=True)
    for row in answer["per_class"]:
        things = str(row["instances"]) if "instances" in row else ""
        counted = [percent(row[side]["instances"]) if things else "" for side in sides]
        table.add_row(row["name"], *(percent(row[s]["pixels"]) for s in sides), things, *counted)
    images = [percent(side["images"] / answer["images"]) for side in answer["sides"].values()]
    table.add_row("images", *images, style="bold")
    Console(stderr=True).print(table)
