"""COCO instances: JSON of masks that may lie over each other, truth and results, both directions.

truth    {images, annotations, categories}
results  a bare list of {image_id, category_id, segmentation, score}

A file is opened as an index that keeps its masks as they stand there; `InstanceFile.of` makes runs
of them, one image at a time. Rows that are wrong are reported, and left out if that returns.

Source: the format section of the COCO detection task.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from atrous.formats.files import read_json
from atrous.formats.listing import (
    ImageId,
    ImageKey,
    category_row,
    image_row,
    is_id,
    read_categories,
    read_images,
    require_agreement,
)
from atrous.formats.rle import area, box
from atrous.formats.segmentation import Stored, require_coco, runs_of, segmentation_json, stored
from atrous.labels import LabelSpace
from atrous.types import BadInput, Fault, Instance, Instances, Report, refuse


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A row of the file; `area` is what the file claims, None where it does not."""

    id: int
    class_id: int
    mask: Stored
    score: float | None = None
    is_crowd: bool = False
    area: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class InstanceFile:
    """An opened file.

    source   its path, for errors
    images   id -> image, in the order of the truth's file
    entries  image id -> its rows, in the order of the file; each image has some, or none
    """

    source: str
    labels: LabelSpace
    images: dict[ImageId, ImageKey]
    entries: dict[ImageId, tuple[Entry, ...]]

    def of(self, image_id: ImageId, report: Report = refuse) -> Instances:
        """The instances of one image, in the order of the file.

        The id of an annotation is its own, that of a result is its place in the list, from 1.

        report  hears of masks whose text is damaged or whose runs do not sum up

        Raises: KeyError if there is no such image.
        """
        size_hw, items = self.images[image_id].size_hw, []
        for x in self.entries[image_id]:
            try:
                runs = runs_of(x.mask, size_hw)
            except BadInput as error:
                noun = "annotation" if x.score is None else "result"
                where = f"{self.source}: {noun} {x.id} of image {image_id!r}"
                report(Fault(_NO_MASK, f"{where}: {error}"))
            else:
                items.append(Instance(x.id, x.class_id, runs, x.score, x.is_crowd))
        return Instances(size_hw, tuple(items))

    def areas(self, image_id: ImageId) -> dict[int, float]:
        """Id -> the area that the file claims; COCO sorts into sizes by it."""
        return {x.id: x.area for x in self.entries[image_id] if x.area is not None}


def open_instances(
    path: str | os.PathLike[str], *, labels: LabelSpace | None = None, report: Report = refuse
) -> InstanceFile:
    """Reads the index of a file of truth.

    labels  the classes to sort into, by category id; None = the file's own categories, things
            where it does not say otherwise
    report  hears of ids that stand twice, of images and categories that are not listed or are
            named otherwise, and of masks that are missing or misshaped

    Raises: BadInput if the file is none of COCO instances, or has polygons and there is no
    pycocotools to fill them.
    """
    data, source = read_json(path), os.fspath(path)
    for part in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(part), list):
            raise BadInput(f"{source}: no list {part!r}: give COCO instances JSON")
    own = read_categories(data["categories"], source, things=True)
    require_agreement(own, labels or own, source, report)
    images = read_images(data["images"], source, report)
    reader = _Reader(source, images, (labels or own).class_ids(), report)
    entries = reader.entries(data["annotations"], "annotation", reader.annotation)
    return InstanceFile(source, labels or own, images, entries)


def open_results(
    path: str | os.PathLike[str], truth: InstanceFile, report: Report = refuse
) -> InstanceFile:
    """Reads the index of a list of results for the images and classes of `truth`.

    report  hears of images and categories that are not listed, of scores that are no numbers,
            and of masks that are missing or misshaped

    Raises: BadInput if the file holds no list, or has polygons and there is no pycocotools.
    """
    data, source = read_json(path), os.fspath(path)
    if not isinstance(data, list):
        raise BadInput(f"{source}: no bare list: give COCO results, [{{image_id, ...}}, ...]")
    # As COCO has it: if the first result has a box, boxes say how large results are.
    by_box = bool(data) and isinstance(data[0], dict) and bool(data[0].get("bbox"))
    reader = _Reader(source, truth.images, truth.labels.class_ids(), report, by_box)
    entries = reader.entries(data, "result", reader.result)
    return InstanceFile(source, truth.labels, truth.images, entries)


def instances_json(
    images: Iterable[tuple[ImageKey, Instances]], labels: LabelSpace
) -> dict[str, object]:
    """Truth in COCO's form, masks as compressed runs.

    Raises: ValueError if an id of an instance stands twice, in whatever images.
    """
    listed = tuple(images)
    ids = [x.id for _, found in listed for x in found.items]
    if len(set(ids)) < len(ids):
        raise ValueError("an instance id stands twice: number them over all images of the file")
    return {
        "images": [image_row(key) for key, _ in listed],
        "annotations": [_annotation(x, key, labels) for key, found in listed for x in found.items],
        "categories": [category_row(label) for label in labels.labels],
    }


def results_json(
    images: Iterable[tuple[ImageKey, Instances]], labels: LabelSpace
) -> list[dict[str, object]]:
    """Detections in COCO's form, masks as compressed runs.

    Raises: ValueError if an instance has no score.
    """
    return [_result(x, key, labels) for key, found in images for x in found.items]


_NO_MASK = "masks that are missing or damaged"


class _Unusable(Exception):
    """What is wrong with a row, and which kind of fault that is."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads rows into entries of known images and classes."""

    source: str
    images: dict[ImageId, ImageKey]
    class_ids: dict[int, int]
    report: Report
    by_box: bool = False

    def entries(
        self, rows: list[Any], noun: str, read: Callable[[Any, int], tuple[ImageKey, Entry]]
    ) -> dict[ImageId, tuple[Entry, ...]]:
        """Image id -> what `read` makes of its rows."""
        found: dict[ImageId, list[Entry]] = {image_id: [] for image_id in self.images}
        seen: set[int] = set()
        for place, row in enumerate(rows, 1):
            try:
                image, entry = read(row, place)
                _require_new(entry.id, seen)
            except _Unusable as error:
                where = f"{self.source}: {_which(noun, row, place)}"
                self.report(Fault(error.kind, f"{where}: {error}"))
            else:
                found[image.id].append(entry)
        if any(isinstance(x.mask, tuple) for some in found.values() for x in some):
            require_coco(self.source)
        return {image_id: tuple(some) for image_id, some in found.items()}

    def annotation(self, row: Any, place: int) -> tuple[ImageKey, Entry]:
        """The entry of a row of truth, and its image."""
        image, class_id = self._image(row), self._class_id(row)
        if type(row.get("id")) is not int:
            raise _Unusable("annotations without an id", "no whole number id: give each its own")
        area = float(row["area"]) if _is_number(row.get("area")) else None
        is_crowd = bool(row.get("iscrowd"))
        return image, Entry(row["id"], class_id, _mask(row, image), None, is_crowd, area)

    def result(self, row: Any, place: int) -> tuple[ImageKey, Entry]:
        """The entry of a row of results, and its image."""
        image, class_id = self._image(row), self._class_id(row)
        if not _is_number(row.get("score")):
            what = f"score is {row.get('score')!r}: give each result a number"
            raise _Unusable("results without a score", what)
        area = _box_area(row) if self.by_box else None
        return image, Entry(place, class_id, _mask(row, image), float(row["score"]), area=area)

    def _image(self, row: Any) -> ImageKey:
        if not isinstance(row, dict):
            raise _Unusable("rows that are no objects", "it is no object {...}: give COCO JSON")
        image_id = row.get("image_id")
        if not is_id(image_id) or image_id not in self.images:
            what = f"image {image_id!r} is not among the images: add it, or take this out"
            raise _Unusable("masks of an unknown image", what)
        return self.images[image_id]

    def _class_id(self, row: dict[str, Any]) -> int:
        category = row.get("category_id")
        if type(category) is not int or category not in self.class_ids:
            what = f"category {category!r} is not among the categories: add it, or take this out"
            raise _Unusable("masks of an unknown category", what)
        return self.class_ids[category]


def _mask(row: dict[str, Any], image: ImageKey) -> Stored:
    try:
        return stored(row.get("segmentation"), image.size_hw)
    except BadInput as error:
        raise _Unusable(_NO_MASK, str(error)) from None


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
    return type(value) in (int, float) and math.isfinite(float(str(value)))


def _annotation(x: Instance, image: ImageKey, labels: LabelSpace) -> dict[str, object]:
    y0, x0, y1, x1 = box(x.runs, image.size_hw[0])
    return {
        "id": int(x.id),
        "image_id": image.id,
        "category_id": labels[x.class_id].file_id,
        "segmentation": segmentation_json(x.runs, image.size_hw),
        "area": area(x.runs),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "iscrowd": int(x.is_crowd),
    }


def _result(x: Instance, image: ImageKey, labels: LabelSpace) -> dict[str, object]:
    """Without a box: where there is one, pycocotools takes the box's area for the mask's."""
    if x.score is None:
        raise ValueError(f"instance {x.id} of image {image.id!r} has no score: results need one")
    return {
        "image_id": image.id,
        "category_id": labels[x.class_id].file_id,
        "segmentation": segmentation_json(x.runs, image.size_hw),
        "score": float(x.score),
    }
