"""Data sets by name, as `--data SPEC=PATH` opens them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from atrous.data import coco, folder
from atrous.data.shapes import COUNTS, Shapes
from atrous.data.source import FileSource, Source
from atrous.data.split import listed
from atrous.types import BadInput, Report, refuse


@dataclass(frozen=True, slots=True)
class DataSet:
    """How a data set in files is opened.

    open    its root, a split and a report -> the split; strict unless the report returns
    splits  its root -> name and number of images of each split
    """

    open: Callable[[Path, str, Report], FileSource]
    splits: Callable[[Path], dict[str, int]]


DATA_SETS: dict[str, DataSet] = {
    "coco-panoptic": DataSet(coco.open_coco, coco.splits),
    "folder": DataSet(folder.open_folder, folder.splits),
}


def open_data(spec: str, split: str) -> Source:
    """The split of a data set: "shapes", or "SPEC=PATH" with SPEC one of `DATA_SETS`.

    split  a name, or NAME@FILE for the samples of it that a list names

    Raises: BadInput for an unknown name (the nearest is suggested), a folder without the data, or
    a list that does not belong to it.
    """
    split, at, names = split.partition("@")
    found = data_set(spec)
    whole = _shapes(split) if found is None else found[0].open(found[1], split, refuse)
    return listed(whole, Path(names)) if at else whole


def data_set(spec: str) -> tuple[DataSet, Path] | None:
    """The data set of "SPEC=PATH" and its root; None for "shapes", which has no files.

    Raises: BadInput for an unknown name (the nearest is suggested) or no such folder.
    """
    name, equals, path = spec.partition("=")
    if name == "shapes" and not equals:
        return None
    known = ["shapes", *DATA_SETS]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2, cutoff=0.4) or known
        raise BadInput(f"--data {spec}: no data set {name!r}, did you mean {' or '.join(near)}?")
    if name == "shapes" or not path:
        example = "shapes" if name == "shapes" else f"{name}=PATH"
        raise BadInput(f"--data {spec}: write {example}")
    if not Path(path).is_dir():
        raise BadInput(f"{path}: no such folder: check the path after {name}=")
    return DATA_SETS[name], Path(path)


def summary(spec: str, split: str, source: Source) -> str:
    """What was found, in one line: the images of the split, of the others, and the classes."""
    found = data_set(spec)
    counts = COUNTS if found is None else found[0].splits(found[1])
    rest = [f"{name} {count:,}" for name, count in counts.items() if name != split]
    others = f" (also {', '.join(rest)})" if rest else ""
    names = [label.name for label in source.labels.labels]
    listed_names = ", ".join(names if len(names) <= 6 else [*names[:5], "..."])
    things = int(source.labels.is_thing.sum())
    kinds = f"{len(names)} classes, {things} of things: {listed_names}"
    return f"{spec}: {split} {len(source):,} images{others}; {kinds}"


def _shapes(split: str) -> Shapes:
    if split not in ("train", "val"):
        raise BadInput(f"--split {split}: shapes has train and val")
    return Shapes(split)
