"""COCO in the classes of PASCAL VOC, to pretrain for it: instances JSON, other classes background.

The trees are those of `coco-instances`. An image is kept if its masks of the 20 classes have more
than 1,000 pixels together, by the areas that the JSON claims, crowds among them. COCO 2017's
`train` is "trainval minus minival" of 2014: 82,783 + 35,504 = 118,287 images.

Source: DeepLabv3, section 4 ("Pretrained on COCO"); the sum over an image is our reading of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from math import isnan
from pathlib import Path

from atrous.data.coco_instances import entries_of, laid, place_of, read_file, splits
from atrous.data.source import Entry, FileSource
from atrous.formats import InstanceFile
from atrous.formats.rle import area
from atrous.labels import VOC, LabelSpace
from atrous.types import BadInput, Fault, Labelled, Report, refuse

__all__ = ["LEAST_PIXELS", "open_coco_voc", "splits"]

LEAST_PIXELS = 1000
"""An image needs more of them."""

_NAMES = {
    "airplane": "aeroplane",
    "motorcycle": "motorbike",
    "couch": "sofa",
    "tv": "tvmonitor",
    "potted plant": "pottedplant",
    "dining table": "diningtable",
}


def open_coco_voc(root: Path, split: str, report: Report = refuse) -> FileSource:
    """Reads the index of a split and keeps the images with enough of VOC's classes.

    report  hears what it hears in `open_coco_instances`

    Raises: BadInput as that does, and if there are none of VOC's classes or no image is kept.
    """
    place = place_of(root, split)
    file = read_file(place, root, report)
    classes = voc_classes(file.labels)
    if not classes:
        names = ", ".join(label.name for label in file.labels.labels[:4])
        raise BadInput(f"{place.json}: has {names}, ..., no class of VOC: use coco-instances")
    claimed = file.area_of(classes)
    areas = {i: _counted(file, i, classes) if isnan(x) else x for i, x in claimed.items()}
    kept = [x for x in file.images.values() if areas[x.id] > LEAST_PIXELS]
    if not kept:
        what = f"no image has more than {LEAST_PIXELS} pixels of VOC's classes"
        raise BadInput(f"{place.json}: {what}: use coco-instances")
    entries = entries_of(place, kept, report)
    return FileSource(VOC, tuple(entries), partial(_read, file=file, classes=classes))


def voc_classes(labels: LabelSpace) -> dict[int, int]:
    """COCO's class id -> VOC's, by name, of the classes that both have."""
    places = {label.name: i for i, label in enumerate(VOC.labels) if label.is_thing}
    names = [_NAMES.get(label.name, label.name) for label in labels.labels]
    return {i: places[name] for i, name in enumerate(names) if name in places}


def _read(
    entry: Entry, report: Report, *, file: InstanceFile, classes: Mapping[int, int]
) -> Labelled:
    assert isinstance(entry.record, int | str)
    found = file.of(entry.record, report)
    mapped = (
        replace(x, class_id=classes[x.class_id]) for x in found.items if x.class_id in classes
    )
    return laid(replace(found, items=tuple(mapped)), VOC, 0)


def _counted(file: InstanceFile, image_id: int | str, classes: Collection[int]) -> float:
    """Pixels of VOC's classes, where the file does not claim them."""
    masks = file.of(image_id, _told_on_reading).items
    return float(sum(area(x.runs) for x in masks if x.class_id in classes))


def _told_on_reading(_: Fault) -> None:
    """What is wrong with a mask is told when it is read."""
