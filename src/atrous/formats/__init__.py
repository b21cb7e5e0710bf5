"""Reads images and label files of any make, and writes ours; nothing here needs torch.

images.py    whatever Pillow opens -> (h, w, 3) uint8
panoptic.py  COCO panoptic, both directions of PNG and JSON
panoptic_index.py  which images and segments such a JSON lists
agreement.py  whether it makes sense, and its PNGs say the same
classes.py   class maps, one id a pixel
files.py     JSON, class maps, confidence and overlays, written whole or not at all
"""

from __future__ import annotations

from atrous.formats.agreement import MAX_ID, rows_with_pixels, segment_rows, usable_rows
from atrous.formats.classes import read_class_map
from atrous.formats.files import (
    read_json,
    write_class_map,
    write_confidence,
    write_image,
    write_json,
    write_text,
    write_whole,
)
from atrous.formats.images import MAX_PIXELS, contents, from_pillow, image_files, read_image
from atrous.formats.panoptic import (
    PanopticEntry,
    decode_ids,
    encode_ids,
    panoptic_json,
    read_panoptic,
    read_segments,
    regions_of,
    segment_info,
    write_panoptic,
)
from atrous.formats.panoptic_index import PanopticIndex, PanopticRecord, label_space, read_index

__all__ = [
    "MAX_PIXELS",
    "contents",
    "read_image",
    "from_pillow",
    "image_files",
    "MAX_ID",
    "encode_ids",
    "decode_ids",
    "read_panoptic",
    "read_segments",
    "segment_rows",
    "usable_rows",
    "rows_with_pixels",
    "regions_of",
    "PanopticIndex",
    "PanopticRecord",
    "read_index",
    "label_space",
    "write_panoptic",
    "segment_info",
    "PanopticEntry",
    "panoptic_json",
    "read_json",
    "write_json",
    "read_class_map",
    "write_class_map",
    "write_confidence",
    "write_image",
    "write_text",
    "write_whole",
]
