"""COCO instances: JSON of masks that may lie over each other, truth and results, both directions.

truth    {images, annotations, categories}
results  a bare list of {image_id, category_id, segmentation, score}

A file is opened as an index that keeps its masks as they stand there; `InstanceFile.of` makes runs
of them, one image at a time. Rows that are wrong are reported, and left out if that returns.

Source: the format section of the COCO detection task.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from atrous.formats.instance_reading import NO_MASK, Reader, read_rows
from atrous.formats.instance_rows import Entries, Rows
from atrous.formats.listing import (
    ImageId,
    ImageKey,
    category_row,
    image_row,
    read_categories,
    read_images,
    require_agreement,
)
from atrous.formats.rle import area, box
from atrous.formats.segmentation import runs_of, segmentation_json
from atrous.labels import LabelSpace
from atrous.types import BadInput, Fault, Instance, Instances, Report, refuse


class IsPanoptic(BadInput):
    """The file is COCO panoptic, where instances were asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class InstanceFile:
    """An opened file.

    source   its path, for errors
    images   id -> image, in the order of the truth's file
    places   image id -> its place among the images
    rows     what the file says of each image, by place
    """

    source: str
    labels: LabelSpace
    images: dict[ImageId, ImageKey]
    places: dict[ImageId, int]
    rows: Rows

    @property
    def entries(self) -> Entries:
        """Image id -> its rows, in the order of the file; each image has some, or none."""
        return Entries(self.places, self.rows)

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
                report(Fault(NO_MASK, f"{where}: {error}"))
            else:
                items.append(Instance(x.id, x.class_id, runs, x.score, x.is_crowd))
        return Instances(size_hw, tuple(items))

    def areas(self, image_id: ImageId) -> dict[int, float]:
        """Id -> the area that the file claims; COCO sorts into sizes by it."""
        return {x.id: x.area for x in self.entries[image_id] if x.area is not None}

    def area_of(self, class_ids: Collection[int]) -> dict[ImageId, float]:
        """Image id -> what the file claims that its instances of these classes have together.

        nan where it does not say so of one of them.
        """
        return dict(zip(self.images, self.rows.area_of(class_ids), strict=True))

    def part(self, image_ids: Iterable[ImageId]) -> InstanceFile:
        """These images alone, in this order."""
        images = {i: self.images[i] for i in image_ids}
        rows = self.rows.part(self.places[i] for i in images)
        return InstanceFile(self.source, self.labels, images, _places(images), rows)


def open_instances(
    path: str | os.PathLike[str], *, labels: LabelSpace | None = None, report: Report = refuse
) -> InstanceFile:
    """Reads the index of a file of truth.

    labels  the classes to sort into, by category id; None = the file's own categories, things
            where it does not say otherwise
    report  hears of ids that stand twice, of images and categories that are not listed or are
            named otherwise, and of masks that are missing or misshaped

    Raises: BadInput if the file is none of COCO instances (`IsPanoptic` if it is that), or has
    polygons and there is no pycocotools to fill them.
    """
    (data, outlines), source = read_rows(path), os.fspath(path)
    for part in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(part), list):
            raise BadInput(f"{source}: no list {part!r}: give COCO instances JSON")
    if any(isinstance(row, dict) and "segments_info" in row for row in data["annotations"]):
        raise IsPanoptic(f"{source}: is COCO panoptic: open it as that, or give instances JSON")
    own = read_categories(data["categories"], source, things=True)
    require_agreement(own, labels or own, source, report)
    images = read_images(data["images"], source, report)
    places, sizes = _places(images), [key.size_hw for key in images.values()]
    reader = Reader(source, places, sizes, (labels or own).class_ids(), outlines, report)
    rows = reader.annotations(data["annotations"])
    return InstanceFile(source, labels or own, images, places, rows)


def open_results(
    path: str | os.PathLike[str], truth: InstanceFile, report: Report = refuse
) -> InstanceFile:
    """Reads the index of a list of results for the images and classes of `truth`.

    report  hears of images and categories that are not listed, of scores that are no numbers,
            and of masks that are missing or misshaped

    Raises: BadInput if the file holds no list, or has polygons and there is no pycocotools.
    """
    (data, outlines), source = read_rows(path, with_boxes=True), os.fspath(path)
    if not isinstance(data, list):
        raise BadInput(f"{source}: no bare list: give COCO results, [{{image_id, ...}}, ...]")
    # As COCO has it: if the first result has a box, boxes say how large results are.
    by_box = bool(data) and isinstance(data[0], dict) and bool(data[0].get("bbox"))
    sizes, classes = [key.size_hw for key in truth.images.values()], truth.labels.class_ids()
    reader = Reader(source, truth.places, sizes, classes, outlines, report, by_box)
    return InstanceFile(source, truth.labels, truth.images, truth.places, reader.results(data))


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


def _places(images: Iterable[ImageId]) -> dict[ImageId, int]:
    return {image_id: place for place, image_id in enumerate(images)}


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
