"""Instance files of Cityscapes, Mapillary and KITTI: class and instance in one 16 bit number.

| | value | number of a thing | without a number |
|---|---|---|---|
| Cityscapes | label id x 1000 + number | 0 to 999 | label id alone: stuff, and groups of things |
| Mapillary | class x 256 + number | 0 to 255 | stuff has the number 0 |
| KITTI | label id x 256 + number | 1 to 255 | number 0: stuff, and things nobody told apart |

A group is read as a crowd. Stuff is one region for each class: numbers on it, which KITTI has, tell
nothing to any score.

Source: preparation/json2instanceImg.py of mcordts/cityscapesScripts; demo.py of Mapillary Vistas;
README of the KITTI semantics development kit.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.formats.files import id_png, write_whole
from atrous.formats.values import (
    Meaning,
    Stored,
    classes_of,
    labelled_by,
    looked_up,
    numbered,
    painted,
    read_stored,
    same_size,
    values_in,
)
from atrous.labels import LabelSpace
from atrous.types import BadInput, Fault, Labelled, Report, refuse


@dataclass(frozen=True, slots=True)
class Packing:
    """How a value holds a file id and a number.

    base      value = file id * base + number
    first     number of the first thing of a class
    is_short  whether the file id alone stands for what has no number; else its number is 0
    """

    base: int
    first: int
    is_short: bool

    @property
    def has_crowds(self) -> bool:
        """Whether a thing can be without a number."""
        return self.is_short or self.first > 0

    def unpack(self, value: int) -> tuple[int, int | None]:
        """File id and number; None = without."""
        if self.is_short and value < self.base:
            return value, None
        file_id, number = divmod(value, self.base)
        return file_id, number if number >= self.first else None

    def pack(self, file_id: int, place: int | None) -> int:
        """The value of a class's thing at a place (0 = its first), or of what has none.

        Raises: ValueError if no value holds it.
        """
        number = 0 if place is None else self.first + place
        is_alone = self.is_short and place is None
        value = file_id if is_alone else file_id * self.base + number
        if number >= self.base:
            most = self.base - self.first
            raise ValueError(f"id {file_id} has more than {most} things: this form holds no more")
        if not 0 <= value < 2**16 or (self.is_short and is_alone != (value < self.base)):
            raise ValueError(f"id {file_id} does not fit into this form: use ids of the data set")
        return value


CITYSCAPES_PACKING = Packing(1000, first=0, is_short=True)
MAPILLARY_PACKING = Packing(256, first=0, is_short=False)
KITTI_PACKING = Packing(256, first=1, is_short=False)


def read_packed(
    path: str | os.PathLike[str],
    labels: LabelSpace,
    *,
    packing: Packing,
    ignored: Collection[int],
    class_path: str | os.PathLike[str] | None = None,
    report: Report = refuse,
) -> Labelled:
    """An instance file: a region for each numbered thing, each group and each class of stuff.

    ignored     file ids that are void
    class_path  the class map of the same image, which must agree
    report      hears of ids of no class, which become void if it returns, and of disagreement

    Raises: BadInput if the file is no 16 bit PNG, holds other ids, or the class map differs.
    """
    stored = _read_deep(path)
    parts = {value: packing.unpack(value) for value in values_in(stored)}
    ids = sorted({file_id for file_id, _ in parts.values()})
    classes = classes_of(ids, labels, ignored=ignored, source=path, report=report)
    if class_path is not None:
        own = {value: file_id for value, (file_id, _) in parts.items()}
        _check_classes(stored, own, paths=(path, class_path), report=report)
    meanings = {v: _meaning(classes[i], number, labels) for v, (i, number) in parts.items()}
    return labelled_by(stored, meanings)


def write_packed(
    path: str | os.PathLike[str],
    labelled: Labelled,
    labels: LabelSpace,
    *,
    packing: Packing,
    void: int,
) -> None:
    """Writes an instance file; things are numbered in the order of their regions.

    void  the file id for void

    Raises: ValueError if the form cannot hold it: too many things of a class, two crowds or two
    regions of stuff of one class, a crowd where there is none; BadInput if the file cannot be
    written.
    """
    known = labels.class_ids()
    if void in known:
        raise ValueError(f"{void} is the id of {labels[known[void]].name}: give another void")
    values = {
        region.id: packing.pack(labels[region.class_id].file_id, place)
        for region, place in numbered(labelled, labels, has_crowds=packing.has_crowds)
    }
    write_whole(path, id_png(painted(labelled, values, void=packing.pack(void, None))))


def _meaning(class_id: int | None, number: int | None, labels: LabelSpace) -> Meaning | None:
    if class_id is None:
        return None
    if not labels[class_id].is_thing:
        return Meaning(class_id)
    return Meaning(class_id, number, is_crowd=number is None)


def _read_deep(path: str | os.PathLike[str]) -> Stored:
    """Pixels of a PNG that is 16 bit: a class map read as instances would be another truth."""
    stored = read_stored(path)
    with Path(path).open("rb") as file:
        depth = file.read(25)[-1]  # a byte of the first chunk, which has its fixed place
    if depth != 16:
        what = f"is {depth} bit and cannot hold instance ids"
        raise BadInput(f"{path}: {what}: give the 16 bit file of instances, not of classes")
    return stored


def _check_classes(
    stored: Stored, own: dict[int, int], *, paths: tuple[object, object], report: Report
) -> None:
    """Reports the first class that the class map does not have where the instance file has it."""
    classes = read_stored(str(paths[1]))
    same_size(stored, classes, sources=paths)
    table = np.zeros(2**16, dtype=np.int32)
    table[list(own)] = list(own.values())
    differs = looked_up(stored, table) != classes
    if differs.any():
        y, x = np.argwhere(differs)[0].tolist()
        value, other = int(stored[y, x]), int(classes[y, x])
        what = f"id {value} at row {y}, column {x} is of class {own[value]}, but {paths[1]} says"
        message = f"{paths[0]}: {what} {other}: write both from one source"
        report(Fault("instance files that differ from their class maps", message))
