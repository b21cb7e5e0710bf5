"""Masks of COCO instances: rows of no known class, without a pixel, or there twice."""

from __future__ import annotations

import re
from collections import Counter

from atrous.data.source import Entry, FileSource, ReadTruth
from atrous.doctor.findings import Findings, Found, Suspect
from atrous.doctor.kinds import MASK_TWICE, NO_MASK_PIXELS
from atrous.doctor.shifts import shift, shifted
from atrous.doctor.values import Meanings
from atrous.formats import InstanceFile
from atrous.formats.rle import area
from atrous.types import Fault

NO_CATEGORY = "masks of an unknown category"
"""What the reader says of a row whose category is none of the list."""


def moved(source: FileSource, found: list[Found]) -> list[Found]:
    """The same faults, those of unknown categories as one if a shift explains them all."""
    file, told = _file(source.read), [x for x in found if x.kind == NO_CATEGORY]
    numbers = [int(m[1]) for x in told if (m := re.search(r"category (-?\d+) is", x.what))]
    if file is None or not told or len(numbers) < len(told):
        return found
    labels = file.labels
    known = (labels[x.class_id].file_id for i in file.images for x in file.entries[i])
    counts = Counter([*known, *numbers])
    unknown = tuple((i, f"category {i}") for i in sorted(set(numbers)))
    suspect = Suspect(-1, told[0].file, tuple(sorted(counts.items())), unknown)
    meant = Meanings(labels, frozenset())
    by = shift([suspect], Findings(), meant)
    rest = [x for x in found if x.kind != NO_CATEGORY]
    return found if by is None else [shifted(suspect, by, meant), *rest]


def odd_masks(entry: Entry, read: ReadTruth, sample: int) -> list[Found]:
    """Masks of an image that end without a pixel, and those that another one repeats."""
    file, image = _file(read), entry.record
    if file is None or not isinstance(image, int | str):
        return []
    first: dict[tuple[int, bytes], int] = {}
    empty, twice = [], []
    for x in file.of(image, _passed).items:
        key = x.class_id, x.runs.tobytes()
        if not area(x.runs):
            empty.append(x.id)
        elif first.setdefault(key, x.id) != x.id:
            twice.append((x.id, first[key]))
    found, path = [], str(entry.truth[0])
    if empty:
        what = f"of {entry.name}: all of it lies outside the image, or it is too thin"
        place = f"annotation {empty[0]}"
        found.append(Found(sample, NO_MASK_PIXELS, path, place, what, count=len(empty)))
    if twice:
        what = f"of {entry.name}: has the mask and class of annotation {twice[0][1]}"
        place = f"annotation {twice[0][0]}"
        found.append(Found(sample, MASK_TWICE, path, place, what, count=len(twice)))
    return found


def _file(read: ReadTruth) -> InstanceFile | None:
    file = getattr(read, "keywords", {}).get("file")
    return file if isinstance(file, InstanceFile) else None


def _passed(_: Fault) -> None:
    """Damaged masks are told with the labels."""
