"""The index that COCO panoptic JSON is: which images there are, and which segments each has."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atrous.formats.agreement import SegmentRows, segment_rows
from atrous.formats.files import read_json
from atrous.formats.listing import read_categories
from atrous.labels import LabelSpace
from atrous.types import BadInput, Fault, Report, refuse


@dataclass(frozen=True, slots=True, eq=False)
class PanopticRecord:
    """One image of the index; file names are relative to their folders.

    image   file name of the photo, None where the JSON lists no images
    scores  segment id -> how sure the JSON says it is, only for those of which it says so
    """

    image_id: int | str
    image: str | None
    png: str
    segments: SegmentRows
    scores: Mapping[int, float]


@dataclass(frozen=True, slots=True, eq=False)
class PanopticIndex:
    """What a COCO panoptic JSON says; `labels` is None where it lists no categories."""

    labels: LabelSpace | None
    records: tuple[PanopticRecord, ...]


def read_index(
    path: str | os.PathLike[str], *, only_annotations: bool = False, report: Report = refuse
) -> PanopticIndex:
    """Reads a COCO panoptic JSON; records are in the order of its annotations.

    A class id is the place of its category in the JSON's own list.

    only_annotations  allow `images` and `categories` to be missing, as they may be in results
    report            hears of image ids that stand twice, of annotations whose image is not
                      listed, and of images without annotation; those are left out then

    Raises: BadInput if a part is missing or of another form.
    """
    data: dict[str, Any] = read_json(path)
    optional = {"images", "categories"} if only_annotations else set()
    for part in ("images", "annotations", "categories"):
        value = data.get(part) if isinstance(data, dict) else None
        if not isinstance(value, list) and not (part in optional and isinstance(data, dict)):
            raise BadInput(f"{path}: no list {part!r}: give COCO panoptic JSON")
    labels = read_categories(data["categories"], path) if data.get("categories") else None
    names = None if data.get("images") is None else _image_names(data["images"], path, report)
    return PanopticIndex(labels, _records(data["annotations"], names, path, report))


def _image_names(images: list[Any], path: object, report: Report) -> dict[Any, str]:
    names: dict[Any, str] = {}
    try:
        for image in images:
            if image["id"] in names:
                what = f"an image id stands twice, {image['id']!r}: give each image its own"
                report(Fault("image ids listed twice", f"{path}: {what}"))
            else:
                names[image["id"]] = str(image["file_name"])
    except (KeyError, TypeError):
        raise BadInput(f"{path}: each image needs id and file_name: add them") from None
    return names


def _records(
    annotations: list[Any], names: dict[Any, str] | None, path: object, report: Report
) -> tuple[PanopticRecord, ...]:
    left, records = dict(names or {}), {}
    for annotation in annotations:
        record = _record(annotation, names, path)
        if record.image_id in records or (names is not None and record.image_id not in names):
            what = f"annotation {record.png} is of image {record.image_id!r}"
            mend = "which is not listed or has another: keep one annotation an image"
            report(Fault("annotations of no image or a second one", f"{path}: {what}, {mend}"))
            continue
        records[record.image_id] = record
        left.pop(record.image_id, None)
    if left:
        what = f"{len(left)} images have no annotation, {next(iter(left.values()))} the first"
        mend = "add it or take the image out of the list"
        report(Fault("images without an annotation", f"{path}: {what}: {mend}"))
    return tuple(records.values())


def _record(annotation: Any, names: dict[Any, str] | None, path: object) -> PanopticRecord:
    try:
        image_id, png = annotation["image_id"], str(annotation["file_name"])
        segments = annotation["segments_info"]
        rows = segment_rows(segments, f"{path}: {png}")
        if not isinstance(image_id, int | str):
            raise TypeError(f"{image_id!r} names no image")
    except (KeyError, TypeError):
        what = "each annotation needs image_id, file_name and segments_info"
        raise BadInput(f"{path}: {what}: give panoptic, not instance, JSON") from None
    image = None if names is None else names.get(image_id)
    return PanopticRecord(image_id, image, png, rows, _scores(segments, f"{path}: {png}"))


def _scores(segments: list[Mapping[str, Any]], source: str) -> dict[int, float]:
    """Of an id that stands twice the first score, as of all else."""
    scores: dict[int, float] = {}
    for segment in segments:
        score = segment.get("score")
        if score is None:
            continue
        if type(score) not in (int, float) or not math.isfinite(score):
            what = f"the score of segment {segment['id']} is {score!r}"
            raise BadInput(f"{source}: {what}: give a number, or none")
        scores.setdefault(segment["id"], float(score))
    return scores
