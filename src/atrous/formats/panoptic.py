"""COCO panoptic: a PNG of segment ids and the JSON that says what they are, both directions.

id = R + 256 G + 65536 B, 0 = void. PNG and JSON must agree both ways.

Source: the format section of the COCO panoptic task.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.formats.files import id_png, write_whole
from atrous.formats.images import contents, loaded, opened, raw_mode
from atrous.labels import LabelSpace
from atrous.types import BadInput, IdMap, Image, Labelled, Region, Segment

MAX_ID = 2**24 - 1
"""The largest id that three bytes hold."""

SegmentRows = NDArray[np.int64]
"""(n, 4) id, category id, crowd (0 or 1), area (-1 = not given): `segments_info`, small."""


@dataclass(frozen=True, slots=True)
class PanopticEntry:
    """One parsed image as `panoptic_json` lists it; names are relative to their folders."""

    image_id: int | str
    image_name: str
    png_name: str
    size_hw: tuple[int, int]
    segments: tuple[Segment, ...]


def encode_ids(ids: NDArray[np.integer[Any]]) -> Image:
    """(h, w) ids -> (h, w, 3) uint8 RGB.

    Raises: ValueError if an id is negative or beyond `MAX_ID`.
    """
    if ids.size and not 0 <= ids.min() <= ids.max() <= MAX_ID:
        low, high = ids.min(), ids.max()
        raise ValueError(f"ids run from {low} to {high}: number segments within 0 and {MAX_ID}")
    octets = np.ascontiguousarray(ids, dtype="<u4").view(np.uint8).reshape(*ids.shape, 4)
    return np.asarray(cv2.cvtColor(octets, cv2.COLOR_RGBA2RGB), dtype=np.uint8)


def decode_ids(rgb: Image) -> IdMap:
    """(h, w, 3) uint8 RGB -> (h, w) int32 ids."""
    octets = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA))
    return (octets.view("<i4")[..., 0] & MAX_ID).astype(np.int32, copy=False)


def read_panoptic(
    png_path: str | os.PathLike[str],
    segments_info: Iterable[Mapping[str, Any]],
    class_ids: Mapping[int, int],
) -> Labelled:
    """A label PNG with its entries; regions keep the order of `segments_info`.

    class_ids  category id -> class id

    Raises: BadInput, one line, if the PNG is not 8 bit RGB, if an id has pixels and no entry or
    an entry and no pixels, if an id stands twice, a category is unknown or an area is wrong.
    """
    return read_segments(png_path, segment_rows(segments_info, png_path), class_ids)


def segment_rows(segments_info: Iterable[Mapping[str, Any]], source: object) -> SegmentRows:
    """`segments_info` as one small array; `source` is named in errors.

    Raises: BadInput if an entry lacks id or category_id, or they are no integers.
    """
    try:
        rows = [_row(entry) for entry in segments_info]
        return np.array(rows, dtype=np.int64).reshape(-1, 4)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        what = "segments_info needs whole numbers id and category_id in each entry"
        raise BadInput(f"{source}: {what}: give COCO panoptic JSON") from None


def read_segments(
    png_path: str | os.PathLike[str], rows: SegmentRows, class_ids: Mapping[int, int]
) -> Labelled:
    """`read_panoptic` for entries that `segment_rows` has made small."""
    _check_rows(rows, source=png_path, class_ids=class_ids)
    ids = _read_ids(png_path)
    _check_agreement(ids, rows, source=png_path)
    regions = (
        Region(segment_id, class_ids[category], bool(crowd))
        for segment_id, category, crowd, _ in rows.tolist()
    )
    return Labelled(ids, tuple(regions))


def write_panoptic(png_path: str | os.PathLike[str], ids: IdMap) -> None:
    """Writes (h, w) ids as an 8 bit RGB PNG.

    Raises: ValueError if an id does not fit; BadInput if the file cannot be written.
    """
    write_whole(png_path, id_png(encode_ids(ids)))


def segment_info(segment: Segment, file_id: int) -> dict[str, object]:
    """One entry of `segments_info`, with "score" added; bbox is [x, y, width, height]."""
    y0, x0, y1, x1 = (int(v) for v in segment.box)
    return {
        "id": int(segment.id),
        "category_id": int(file_id),
        "area": int(segment.area),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "iscrowd": 0,
        "score": float(segment.score),
    }


def panoptic_json(entries: Iterable[PanopticEntry], labels: LabelSpace) -> dict[str, object]:
    """The JSON beside the PNGs of `entries`: images, annotations, categories."""
    listed = tuple(entries)
    return {
        "images": [_image_entry(entry) for entry in listed],
        "annotations": [_annotation(entry, labels) for entry in listed],
        "categories": _categories(labels),
    }


def _row(entry: Mapping[str, Any]) -> tuple[int, int, int, int]:
    area = entry.get("area")
    crowd = int(bool(entry.get("iscrowd", 0)))
    return _whole(entry["id"]), _whole(entry["category_id"]), crowd, -1 if area is None else area


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no integer")
    return value


def _check_rows(rows: SegmentRows, *, source: object, class_ids: Mapping[int, int]) -> None:
    ids, counts = np.unique(rows[:, 0], return_counts=True)
    if (counts > 1).any():
        twice = _few(ids[counts > 1])
        raise BadInput(f"{source}: {twice} stand twice in segments_info: give each segment its own")
    outside = ids[(ids < 1) | (ids > MAX_ID)]
    if outside.size:
        what = f"{_few(outside)} in segments_info cannot be a segment"
        raise BadInput(f"{source}: {what}: number segments within 1 and {MAX_ID}")
    unknown = sorted(set(rows[:, 1].tolist()) - set(class_ids))
    if unknown:
        known = f"the categories are {_few(np.array(sorted(class_ids)), 'ids')}"
        what = f"category {_few(np.array(unknown))} are not among the categories"
        raise BadInput(f"{source}: {what} ({known}): add them or mend segments_info")


def _read_ids(png_path: str | os.PathLike[str]) -> IdMap:
    """(h, w) int32 ids of a PNG as they are stored.

    Raises: BadInput if it is not a whole 8 bit RGB PNG.
    """
    name, data = contents(png_path)
    image = opened(data, name=name)
    stored = raw_mode(image)
    if image.format != "PNG" or image.mode != "RGB" or stored != "RGB":
        what = f"segment ids need an 8 bit RGB PNG, this is {image.format} {stored or image.mode}"
        raise BadInput(f"{name}: {what}: save ids as R + 256 G + 65536 B")
    loaded(image, name=name)
    return decode_ids(np.asarray(image))


def _check_agreement(ids: IdMap, rows: SegmentRows, *, source: object) -> None:
    found, areas = _areas(ids)
    areas, found = areas[found != 0], found[found != 0]
    order = np.argsort(rows[:, 0])
    listed, claimed = rows[order, 0], rows[order, 3]
    no_entry, no_pixels = np.setdiff1d(found, listed), np.setdiff1d(listed, found)
    faults = [f"{_few(no_entry)} have pixels but no entry in segments_info"] * bool(no_entry.size)
    faults += [f"{_few(no_pixels)} have an entry but no pixels"] * bool(no_pixels.size)
    if faults:
        mend = "write PNG and JSON together again"
        raise BadInput(f"{source}: {' and '.join(faults)}: {mend}")
    wrong = np.flatnonzero((claimed >= 0) & (claimed != areas))
    if wrong.size:
        first = wrong[0]
        what = f"id {listed[first]} has {areas[first]} pixels but area {claimed[first]}"
        raise BadInput(f"{source}: {what} in segments_info: count areas again from the PNG")


def _areas(ids: IdMap) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Ids in ascending order and their pixel counts, counted by runs: far faster than sorting."""
    flat = ids.ravel()
    starts = np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)
    values, place = np.unique(flat[starts], return_inverse=True)
    lengths = np.diff(starts, append=flat.size)
    return values, np.bincount(place, weights=lengths).astype(np.int64)


def _few(numbers: NDArray[np.integer[Any]], word: str = "ids") -> str:
    shown = ", ".join(str(n) for n in numbers[:5].tolist())
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"{word} {shown}{more}"


def _image_entry(entry: PanopticEntry) -> dict[str, object]:
    height, width = entry.size_hw
    return {
        "id": entry.image_id,
        "file_name": entry.image_name,
        "height": int(height),
        "width": int(width),
    }


def _annotation(entry: PanopticEntry, labels: LabelSpace) -> dict[str, object]:
    infos = [segment_info(s, labels[s.class_id].file_id) for s in entry.segments]
    return {"image_id": entry.image_id, "file_name": entry.png_name, "segments_info": infos}


def _categories(labels: LabelSpace) -> Sequence[dict[str, object]]:
    return [
        {
            "id": label.file_id,
            "name": label.name,
            "supercategory": "thing" if label.is_thing else "stuff",
            "isthing": int(label.is_thing),
            "color": list(label.colour),
        }
        for label in labels.labels
    ]
