"""COCO panoptic: a PNG of segment ids and the JSON that says what they are, both directions.

id = R + 256 G + 65536 B, 0 = void. PNG and JSON must agree both ways.

Source: the format section of the COCO panoptic task.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.formats.agreement import (
    MAX_ID,
    SegmentRows,
    rows_with_pixels,
    segment_rows,
    usable_rows,
)
from atrous.formats.files import id_png, write_whole
from atrous.formats.images import contents, loaded, opened, raw_mode
from atrous.formats.listing import category_row
from atrous.formats.png import decode_rgb, decode_rgb_runs
from atrous.labels import LabelSpace
from atrous.types import (
    BadInput,
    IdMap,
    IdRuns,
    Image,
    Labelled,
    Region,
    Report,
    Segment,
    refuse,
)


@dataclass(frozen=True, slots=True)
class PanopticEntry:
    """One parsed image as `panoptic_json` lists it; names are relative to their folders."""

    image_id: int | str
    image_name: str
    png_name: str
    size_hw: tuple[int, int]
    segments: tuple[Segment, ...]


def entry_to_json(entry: PanopticEntry) -> dict[str, Any]:
    """Plain data, small enough for a line of JSON, that `entry_from_json` reads back."""
    return asdict(entry)


def entry_from_json(row: Mapping[str, Any]) -> PanopticEntry:
    """What `entry_to_json` made.

    Raises: ValueError if it is anything else.
    """
    try:
        height, width = row["size_hw"]
        segments = tuple(Segment(**{**s, "box": tuple(s["box"])}) for s in row["segments"])
        image_name, png_name = str(row["image_name"]), str(row["png_name"])
        return PanopticEntry(row["image_id"], image_name, png_name, (height, width), segments)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no entry of an image ({error}): parse the image again") from error


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


def read_segments(
    png_path: str | os.PathLike[str],
    rows: SegmentRows,
    class_ids: Mapping[int, int],
    *,
    report: Report = refuse,
) -> Labelled:
    """`read_panoptic` for entries that `segment_rows` has made small.

    report  hears of what makes no sense; ids that no row is left for become void if it returns
    """
    rows = usable_rows(rows, source=png_path, class_ids=class_ids, report=report)
    ids = read_ids(png_path)
    areas = _areas(ids)
    rows = rows_with_pixels(rows, areas, source=png_path, report=report)
    if gone := areas.keys() - set(rows[:, 0].tolist()) - {0}:
        ids[np.isin(ids, list(gone))] = 0
    return Labelled(ids, regions_of(rows, class_ids))


def regions_of(
    rows: SegmentRows,
    class_ids: Mapping[int, int],
    scores: Mapping[int, float] = MappingProxyType({}),
) -> tuple[Region, ...]:
    """The segments of `segments_info`, in its order; class_ids is category id -> class id.

    scores  segment id -> how sure a prediction is of it, for those of which it says so
    """
    return tuple(
        Region(segment, class_ids[category], crowd == 1, scores.get(segment))
        for segment, category, crowd, _ in rows.tolist()
    )


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
        "categories": [category_row(label) for label in labels.labels],
    }


def read_ids(png_path: str | os.PathLike[str]) -> IdMap:
    """(h, w) int32 ids of a PNG as they are stored.

    Raises: BadInput if it is not a whole 8 bit RGB PNG.
    """
    name, data = contents(png_path)
    plain = decode_rgb(data)
    return _any_ids(data, name) if plain is None else plain


def read_id_runs(png_path: str | os.PathLike[str]) -> IdMap | IdRuns:
    """`read_ids` as runs, where the PNG is of a plain kind: they are all that scores need.

    Raises: BadInput if it is not a whole 8 bit RGB PNG.
    """
    name, data = contents(png_path)
    plain = decode_rgb_runs(data)
    return _any_ids(data, name) if plain is None else plain


def _any_ids(data: bytes, name: str) -> IdMap:
    image = opened(data, name=name)
    stored = raw_mode(image)
    if image.format != "PNG" or image.mode != "RGB" or stored != "RGB":
        what = f"segment ids need an 8 bit RGB PNG, this is {image.format} {stored or image.mode}"
        raise BadInput(f"{name}: {what}: save ids as R + 256 G + 65536 B")
    loaded(image, name=name)
    return decode_ids(np.asarray(image))


def _areas(ids: IdMap) -> dict[int, int]:
    """Id -> pixels, counted by runs: far faster than sorting."""
    flat = ids.ravel()
    starts = np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)
    values, place = np.unique(flat[starts], return_inverse=True)
    pixels = np.bincount(place, weights=np.diff(starts, append=flat.size)).astype(np.int64)
    return dict(zip(values.tolist(), pixels.tolist(), strict=True))


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
