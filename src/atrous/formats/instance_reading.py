"""Reads the JSON of COCO instances, truth or results, into columns; each row is checked."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atrous.formats.files import read_json
from atrous.formats.instance_rows import Found, Rows, columns
from atrous.formats.listing import ImageId, is_id
from atrous.formats.outlines import Growing
from atrous.formats.segmentation import require_coco, require_outline, stored_text
from atrous.types import BadInput, Fault, Report

NO_MASK = "masks that are missing or damaged"
"""The kind of that fault."""

_LARGEST = sys.float_info.max
_KEPT = ("id", "image_id", "category_id", "iscrowd", "area", "score")


def read_rows(path: str | os.PathLike[str], *, with_boxes: bool = False) -> tuple[Any, Growing]:
    """The JSON of a file, of each row with a mask what is needed of it, and its outlines.

    They are taken out of the text as it is read, for as lists of numbers they would take ten
    times the room. A segmentation of outlines becomes the range of their places.

    Raises: BadInput as `read_json` does.
    """
    outlines, names = Growing(), (*_KEPT, "bbox") if with_boxes else _KEPT

    def shrunk(row: dict[str, Any]) -> dict[str, Any]:
        if "segmentation" not in row:
            return row
        kept = {name: row[name] for name in names if name in row}
        kept["segmentation"] = outlines.take(row["segmentation"])
        return kept

    return read_json(path, shrunk), outlines


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the rows of one file.

    places    image id -> its place among the images
    sizes     (h, w) of each image, by place
    class_ids category id -> class id
    by_box    whether boxes say how large results are
    """

    source: str
    places: Mapping[ImageId, int]
    sizes: Sequence[tuple[int, int]]
    class_ids: Mapping[int, int]
    outlines: Growing
    report: Report
    by_box: bool = False

    def annotations(self, rows: list[Any]) -> Rows:
        """Rows of truth."""
        return self._read(rows, "annotation", self._annotation)

    def results(self, rows: list[Any]) -> Rows:
        """Rows of results."""
        return self._read(rows, "result", self._result)

    def _read(
        self, rows: list[Any], noun: str, read: Callable[[Any, int, frozenset[int]], Found]
    ) -> Rows:
        found: list[Found] = []
        seen, far = set[int](), self.outlines.far()
        for place, row in enumerate(rows, 1):
            try:
                one = read(row, place, far)
                _require_new(one.id, seen)
            except _Unusable as error:
                where = f"{self.source}: {_which(noun, row, place)}"
                self.report(Fault(error.kind, f"{where}: {error}"))
            else:
                found.append(one)
        if any(isinstance(x.mask, range) for x in found):
            require_coco(self.source)
        return columns(found, len(self.sizes), self.outlines.whole())

    def _annotation(self, row: Any, place: int, far: frozenset[int]) -> Found:
        image, class_id = self._image(row), self._class_id(row)
        if type(row.get("id")) is not int:
            raise _Unusable("annotations without an id", "no whole number id: give each its own")
        area, is_crowd = row.get("area"), bool(row.get("iscrowd"))
        claimed = float(area) if _is_number(area) else math.nan
        return Found(image, row["id"], class_id, self._mask(row, image, far), is_crowd, claimed)

    def _result(self, row: Any, place: int, far: frozenset[int]) -> Found:
        image, class_id = self._image(row), self._class_id(row)
        if not _is_number(row.get("score")):
            what = f"score is {row.get('score')!r}: give each result a number"
            raise _Unusable("results without a score", what)
        area, score = _box_area(row) if self.by_box else math.nan, float(row["score"])
        return Found(image, place, class_id, self._mask(row, image, far), area=area, score=score)

    def _image(self, row: Any) -> int:
        if not isinstance(row, dict):
            raise _Unusable("rows that are no objects", "it is no object {...}: give COCO JSON")
        image_id: Any = row.get("image_id")
        if not is_id(image_id) or image_id not in self.places:
            what = f"image {image_id!r} is not among the images: add it, or take this out"
            raise _Unusable("masks of an unknown image", what)
        return self.places[image_id]

    def _class_id(self, row: dict[str, Any]) -> int:
        category = row.get("category_id")
        if type(category) is not int or category not in self.class_ids:
            what = f"category {category!r} is not among the categories: add it, or take this out"
            raise _Unusable("masks of an unknown category", what)
        return self.class_ids[category]

    def _mask(self, row: dict[str, Any], image: int, far: frozenset[int]) -> bytes | range:
        mask = row.get("segmentation")
        try:
            if not isinstance(mask, range):
                return stored_text(mask, self.sizes[image])
            if far and not far.isdisjoint(mask):
                require_outline(self.outlines.outline(min(far.intersection(mask))))
        except BadInput as error:
            raise _Unusable(NO_MASK, str(error)) from None
        return mask


class _Unusable(Exception):
    """What is wrong with a row, and which kind of fault that is."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind


def _which(noun: str, row: Any, place: int) -> str:
    if noun == "annotation" and isinstance(row, dict) and type(row.get("id")) is int:
        return f"annotation {row['id']}"
    return f"{noun} {place}" if noun == "result" else f"{noun} at place {place} of the list"


def _require_new(number: int, seen: set[int]) -> None:
    if number in seen:
        what = "its id stands twice: give each annotation its own"
        raise _Unusable("annotation ids listed twice", what)
    seen.add(number)


def _box_area(row: dict[str, Any]) -> float:
    box = row.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        what = f"bbox is {box!r}: give [x, y, width, height] in all results or in none"
        raise _Unusable("results without a box", what)
    return float(box[2]) * float(box[3])


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and -_LARGEST <= value <= _LARGEST  # type: ignore[operator]
