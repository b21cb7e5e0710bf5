"""Reads images and label files of any make, and writes ours; nothing here needs torch.

images.py    whatever Pillow opens -> (h, w, 3) uint8
jpeg.py      the fast way to the pixels of usual JPEG files
photo.py     a photo that is decoded when it is asked for, smaller where that will do
panoptic.py  COCO panoptic, both directions of PNG and JSON
panoptic_index.py  which images and segments such a JSON lists
agreement.py  whether it makes sense, and its PNGs say the same
classes.py   class maps, one id a pixel
png.py       the fast way to the pixels of plain label PNGs
unfilter.py  its loops: the filters of PNG taken back
values.py    what the values of label PNGs stand for
classpng.py  class maps in a data set's own ids and colours
packed.py    class and instance in one 16 bit number
voc.py, cityscapes.py, kitti.py, mapillary.py, ade20k.py  label files of these data sets
mat.py       MATLAB files of SBD and PASCAL-Context
masklist.py  Cityscapes' results for instances
keys.py      which file belongs to which image
instances.py COCO instances, masks that may lie over each other, truth and results
instance_reading.py  their rows, checked as they are read
instance_rows.py     their rows in columns, small enough for every worker process
outlines.py  all polygons of a file in one array
listing.py   which images and categories such a JSON lists
segmentation.py  its masks: runs and polygons
rings.py     masks as outlines along their pixels' edges
forms.py     the forms in which results are written, by name
rle.py       masks as runs, and COCO's text of them
layers.py    instances on an id map, and back
files.py     JSON, class maps, confidence and overlays, written whole or not at all
"""

from __future__ import annotations

from atrous.formats.ade20k import read_ade20k, write_ade20k
from atrous.formats.agreement import MAX_ID, rows_with_pixels, segment_rows, usable_rows
from atrous.formats.cityscapes import cityscapes_files, read_cityscapes, write_cityscapes
from atrous.formats.classes import read_class_map
from atrous.formats.classpng import palette_of, write_classes
from atrous.formats.files import (
    read_json,
    write_class_map,
    write_confidence,
    write_image,
    write_json,
    write_text,
    write_whole,
)
from atrous.formats.forms import FORMS, LabelForm, require_fit, require_form
from atrous.formats.images import MAX_PIXELS, contents, from_pillow, image_files, read_image
from atrous.formats.instances import (
    InstanceFile,
    instances_json,
    open_instances,
    open_results,
    results_json,
)
from atrous.formats.jpeg import SHRINKS
from atrous.formats.keys import stem_files
from atrous.formats.kitti import read_kitti, write_kitti
from atrous.formats.layers import flatten, instances_from_masks, instances_of
from atrous.formats.listing import ImageKey, read_categories
from atrous.formats.mapillary import (
    mapillary_files,
    read_mapillary,
    read_mapillary_classes,
    write_mapillary,
)
from atrous.formats.masklist import read_mask_list, write_mask_list
from atrous.formats.mat import (
    read_label_map,
    read_sbd,
    read_sbd_classes,
    write_label_map,
    write_sbd,
)
from atrous.formats.panoptic import (
    PanopticEntry,
    decode_ids,
    encode_ids,
    entry_from_json,
    entry_to_json,
    panoptic_json,
    read_id_runs,
    read_ids,
    read_panoptic,
    read_segments,
    regions_of,
    segment_info,
    write_panoptic,
)
from atrous.formats.panoptic_index import PanopticIndex, PanopticRecord, read_index
from atrous.formats.photo import Photo, read_photo
from atrous.formats.rings import fill_rings, runs_within, trace_mask
from atrous.formats.rle import decode_mask, encode_mask, runs_to_text, text_to_runs
from atrous.formats.segmentation import segmentation_json
from atrous.formats.values import label_classes, read_classes
from atrous.formats.voc import read_voc, write_voc

__all__ = [
    "MAX_PIXELS",
    "contents",
    "read_image",
    "Photo",
    "SHRINKS",
    "read_photo",
    "from_pillow",
    "image_files",
    "MAX_ID",
    "encode_ids",
    "decode_ids",
    "read_ids",
    "read_id_runs",
    "read_panoptic",
    "read_segments",
    "segment_rows",
    "usable_rows",
    "rows_with_pixels",
    "regions_of",
    "PanopticIndex",
    "PanopticRecord",
    "read_index",
    "read_categories",
    "write_panoptic",
    "segment_info",
    "PanopticEntry",
    "panoptic_json",
    "entry_to_json",
    "entry_from_json",
    "encode_mask",
    "decode_mask",
    "runs_to_text",
    "text_to_runs",
    "trace_mask",
    "fill_rings",
    "runs_within",
    "segmentation_json",
    "InstanceFile",
    "ImageKey",
    "open_instances",
    "open_results",
    "instances_json",
    "results_json",
    "flatten",
    "instances_of",
    "instances_from_masks",
    "read_classes",
    "label_classes",
    "write_classes",
    "palette_of",
    "stem_files",
    "read_voc",
    "write_voc",
    "read_sbd",
    "read_sbd_classes",
    "write_sbd",
    "read_label_map",
    "write_label_map",
    "cityscapes_files",
    "read_cityscapes",
    "write_cityscapes",
    "read_mask_list",
    "write_mask_list",
    "read_kitti",
    "write_kitti",
    "mapillary_files",
    "read_mapillary_classes",
    "read_mapillary",
    "write_mapillary",
    "read_ade20k",
    "write_ade20k",
    "FORMS",
    "LabelForm",
    "require_form",
    "require_fit",
    "read_json",
    "write_json",
    "read_class_map",
    "write_class_map",
    "write_confidence",
    "write_image",
    "write_text",
    "write_whole",
]
