"""PASCAL VOC: `SegmentationClass` and `SegmentationObject` as palette PNGs, both directions.

Both have the size of the image and one palette. The class map holds 0 for background and 1 to 20,
the object map 0 for background and the numbers of objects, whatever their class; 255 is the void
border in both. Class maps alone are read by `read_classes` with `VOC`.

Source: the development kit of VOC 2012.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

import numpy as np

from atrous.formats.classpng import file_ids, palette_png
from atrous.formats.files import write_whole
from atrous.formats.values import (
    Meaning,
    classes_of,
    labelled_by,
    numbered,
    painted,
    read_stored,
    same_size,
    values_in,
)
from atrous.labels import VOC, VOC_IGNORED, LabelSpace, voc_colours
from atrous.types import BadInput, Fault, Labelled, Report, refuse

BORDER = 255
"""What is no object and no background in an object map."""


def read_voc(
    class_path: str | os.PathLike[str],
    object_path: str | os.PathLike[str],
    labels: LabelSpace = VOC,
    *,
    ignored: Collection[int] = VOC_IGNORED,
    report: Report = refuse,
) -> Labelled:
    """A region for each object and for each class of stuff; what is void in one file is void.

    ignored  ids of the class map that are void
    report   hears of what makes no sense, which becomes void if it returns

    Raises: BadInput if a file is no class map of 8 bit, the sizes differ, an id is no class, an
    object has two classes or one of stuff, or a thing belongs to no object.
    """
    classes, objects = read_stored(class_path), read_stored(object_path)
    same_size(objects, classes, sources=(object_path, class_path))
    _require_bytes(int(objects.max(initial=0)), object_path)
    present = values_in(classes)
    _require_bytes(max(present, default=0), class_path)
    found = classes_of(present, labels, ignored=ignored, source=class_path, report=report)
    both = objects * np.uint16(256) + classes
    meanings = {pair: _meaning(*divmod(pair, 256), found) for pair in values_in(both)}
    for pairs, fault in _faults(meanings, labels, source=object_path):
        report(fault)
        meanings |= dict.fromkeys(pairs)
    return labelled_by(both, meanings)


def write_voc(
    class_path: str | os.PathLike[str],
    object_path: str | os.PathLike[str],
    labelled: Labelled,
    labels: LabelSpace = VOC,
) -> None:
    """Writes the two palette PNGs of an image; objects are numbered from 1 in their order.

    Raises: ValueError if the form cannot hold it: more than 254 objects, a crowd, two regions of
    stuff of one class, ids beyond 8 bit; BadInput if a file cannot be written.
    """
    regions = numbered(labelled, labels, has_crowds=False)
    things = [region.id for region, place in regions if place is not None]
    if len(things) >= BORDER:
        raise ValueError(f"{len(things)} objects: an object map of VOC holds {BORDER - 1}")
    numbers = {region.id: 0 for region, _ in regions} | {i: n for n, i in enumerate(things, 1)}
    classes = file_ids(labels.semantic(labelled), labels, void=BORDER)
    objects = painted(labelled, numbers, void=BORDER)
    pngs = [palette_png(values, voc_colours()) for values in (classes, objects)]
    for path, png in zip((class_path, object_path), pngs, strict=True):
        write_whole(path, png)


def _meaning(number: int, file_id: int, found: dict[int, int | None]) -> Meaning | None:
    class_id = None if number == BORDER else found[file_id]
    return None if class_id is None else Meaning(class_id, number or None)


def _faults(
    meanings: dict[int, Meaning | None], labels: LabelSpace, *, source: object
) -> Iterator[tuple[list[int], Fault]]:
    """What makes no sense, with the pairs of values that it is about."""
    by_object: dict[int | None, dict[int, int]] = {}
    for pair, meaning in meanings.items():
        if meaning is not None:
            by_object.setdefault(meaning.number, {})[pair] = meaning.class_id
    for number, found in by_object.items():
        wrong = {p: c for p, c in found.items() if labels[c].is_thing is (number is None)}
        names = " and ".join(labels[c].name for c in (found if number else wrong).values())
        if number is None and wrong:
            what = f"no object has the pixels of {names}: number each thing"
            yield list(wrong), Fault("things of no object", f"{source}: {what}")
        elif len(found) > 1 and number is not None:
            what = f"object {number} is of {names}: give each object one class"
            yield list(found), Fault("objects of two classes", f"{source}: {what}")
        elif wrong:
            what = f"object {number} is of {names}, which is stuff: number things only"
            yield list(wrong), Fault("objects of stuff", f"{source}: {what}")


def _require_bytes(largest: int, source: object) -> None:
    if largest > 255:
        what = f"holds {largest}, but label PNGs of VOC are 8 bit"
        raise BadInput(f"{source}: {what}: give the class map and the object map")
