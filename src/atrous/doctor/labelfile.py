"""The pixels of a label file as they are stored, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from atrous.data.source import Entry
from atrous.doctor import colours
from atrous.doctor.kinds import (
    ALPHA,
    BAD_LABEL,
    JPEG,
    NO_IDS,
    NO_PNG,
    ONE_BIT,
)
from atrous.formats import PanopticRecord, contents, read_ids
from atrous.formats.classes import GREY, read_class_map
from atrous.formats.images import opened
from atrous.formats.packed import CITYSCAPES_PACKING, KITTI_PACKING, MAPILLARY_PACKING, Packing
from atrous.labels import LabelSpace
from atrous.types import BadInput

Form = Literal["classes", "objects", "ids", "marks"]
"""Class ids, alone or packed; numbers of objects; segment ids as RGB; ADE20K's RGB of instances."""

LOSSY = {"JPEG", "JPEG2000", "MPO", "WEBP"}
IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".jp2", ".ppm", ".pgm"}
"""Suffixes of labels that hold pixels."""


class Unreadable(Exception):
    """Why a label has no pixels: its path, the kind of fault and the place; the text says what."""

    def __init__(self, path: Path, kind: str, place: str, what: str) -> None:
        super().__init__(what)
        self.path, self.kind, self.place = path, kind, place


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """The pixels of a label file, (h, w), and what they are.

    packing  how class and instance share a number; None = they do not
    """

    path: Path
    form: Form
    pixels: NDArray[np.int32]
    packing: Packing | None = None


def stored(entry: Entry, labels: LabelSpace) -> list[Stored]:
    """The label files of a sample that hold pixels, in their order.

    Raises: Unreadable if one is no sound label file.
    """
    paths = [path for path in entry.truth if path.suffix.lower() in IMAGES]
    return [_read(path, form_of(path, entry), labels) for path in paths]


def form_of(path: Path, entry: Entry) -> Form:
    """What the pixels of a label file are: the first has classes, a second tells things apart."""
    if isinstance(entry.record, PanopticRecord):
        return "ids"
    if "annotations_instance" in path.parts[-3:]:
        return "marks"
    return "classes" if path == entry.truth[0] else "objects"


def at(pixel: int, size_hw: tuple[int, ...]) -> str:
    """A pixel, counted over all pixels, in words."""
    return f"y {pixel // size_hw[1]}, x {pixel % size_hw[1]}"


def _read(path: Path, form: Form, labels: LabelSpace) -> Stored:
    try:
        pixels = read_ids(path) if form in ("ids", "marks") else read_class_map(path)
    except BadInput as error:
        raise _reason(path, form, labels, error) from None
    is_packed = form == "classes" and int(pixels.max(initial=0)) > 255
    return Stored(path, form, pixels, _packing(path) if is_packed else None)


def _packing(path: Path) -> Packing | None:
    if "instanceIds" in path.name:
        return CITYSCAPES_PACKING
    return {"instances": MAPILLARY_PACKING, "instance": KITTI_PACKING}.get(path.parent.name)


def _reason(path: Path, form: Form, labels: LabelSpace, error: BadInput) -> Unreadable:
    """What a file is that is no label of its form."""
    told = str(error).removeprefix(f"{path}: ").partition(": ")[0]
    try:
        name, data = contents(path)
        image = opened(data, name=name)
    except BadInput:
        return Unreadable(path, BAD_LABEL, "whole file", told)
    what = f"{image.format} {image.mode}"
    if image.format != "PNG":
        return Unreadable(path, JPEG if image.format in LOSSY else NO_PNG, "whole file", what)
    if "a" in image.mode.lower()[1:]:
        return Unreadable(path, ALPHA, "whole file", what)
    if form in ("ids", "marks"):
        is_grey = image.mode in {*GREY, "1"}
        kind, words = (NO_IDS, what) if is_grey else (BAD_LABEL, told)
        return Unreadable(path, kind, "whole file", words)
    if image.mode == "1":
        return Unreadable(path, ONE_BIT, "whole file", what)
    return _colours(path, labels, told)


def _colours(path: Path, labels: LabelSpace, told: str) -> Unreadable:
    try:
        ids = read_ids(path)
    except BadInput:
        return Unreadable(path, BAD_LABEL, "whole file", told)
    kind, what, pixel = colours.named(ids, labels)
    return Unreadable(path, kind, at(pixel, ids.shape), what)
