"""ADE20K SceneParse150: `annotations` of classes and `annotations_instance`, both directions.

The class map is 8 bit, 0 = ignored and 1 to 150. The instance map is RGB: red = category, which
counts the 100 things alone (category k is the k-th thing), green = number of the instance, unique
in the image whatever its category, 0 = none. Class maps alone are read by `read_classes` with
`ADE20K`.

The two files were drawn apart and overlap: instances lie over the class map, and things that no
instance covers are void, as in the panoptic form that the field took from them.

Source: instancesegmentation/ of CSAILVision/placeschallenge; on the overlap
datasets/prepare_ade20k_pan_seg.py of facebookresearch/Mask2Former.
"""

from __future__ import annotations

import os
from collections.abc import Collection

import numpy as np

from atrous.formats.classpng import write_classes
from atrous.formats.files import id_png, write_whole
from atrous.formats.panoptic import read_ids
from atrous.formats.values import (
    Meaning,
    classes_of,
    labelled_by,
    numbered,
    painted,
    read_stored,
    same_size,
    values_in,
)
from atrous.labels import ADE20K, ADE20K_IGNORED, LabelSpace
from atrous.types import BadInput, Fault, Labelled, Report, refuse


def read_ade20k(
    class_path: str | os.PathLike[str],
    instance_path: str | os.PathLike[str],
    labels: LabelSpace = ADE20K,
    *,
    ignored: Collection[int] = ADE20K_IGNORED,
    report: Report = refuse,
) -> Labelled:
    """A region for each instance and for each class of stuff.

    ignored  ids of the class map that are void
    report   hears of ids of no class and of instances of two, which become void if it returns

    Raises: BadInput if a file is of another kind, the sizes differ, an id or category is no class,
    or an instance has two.
    """
    classes, ids = read_stored(class_path), read_ids(instance_path)
    same_size(classes, ids, sources=(class_path, instance_path))
    file_ids = values_in(classes)
    if file_ids and file_ids[-1] > 255:
        raise BadInput(f"{class_path}: holds {file_ids[-1]}: give the 8 bit class map")
    found = classes_of(file_ids, labels, ignored=ignored, source=class_path, report=report)
    # Invariant: a mark, category + 256 * number, is 256 at least and a class id below.
    marks = ids.astype(np.uint16)
    stored = np.where(marks > 255, marks, classes)
    present = values_in(stored)
    instances = _instances([v for v in present if v > 255], labels, instance_path, report)
    meanings = {v: instances[v] if v > 255 else _stuff(found[v], labels) for v in present}
    return labelled_by(stored, meanings)


def write_ade20k(
    class_path: str | os.PathLike[str],
    instance_path: str | os.PathLike[str],
    labelled: Labelled,
    labels: LabelSpace = ADE20K,
    *,
    void: int = 0,
) -> None:
    """Writes the two files of an image; instances are numbered from 1 in their order.

    Raises: ValueError if the form cannot hold it: more than 255 instances, a crowd, two regions of
    stuff of one class, ids beyond 8 bit; BadInput if a file cannot be written.
    """
    regions = numbered(labelled, labels, has_crowds=False)
    things = [region for region, place in regions if place is not None]
    if len(things) > 255:
        raise ValueError(f"{len(things)} instances: an instance map of ADE20K holds 255")
    largest = max(void, *(label.file_id for label in labels.labels))
    if largest > 255:
        raise ValueError(f"id {largest} is beyond 8 bit: class maps of ADE20K hold 0 to 255")
    category = {class_id: k for k, class_id in enumerate(_things(labels), 1)}
    red = painted(labelled, {r.id: category[r.class_id] for r in things}, void=0)
    green = painted(labelled, {r.id: n for n, r in enumerate(things, 1)}, void=0)
    marks = np.stack((red, green, np.zeros_like(red)), axis=-1).astype(np.uint8)
    write_classes(class_path, labels.semantic(labelled), labels, void=void)
    write_whole(instance_path, id_png(marks))


def _things(labels: LabelSpace) -> list[int]:
    """Category - 1 -> class id."""
    return [i for i, label in enumerate(labels.labels) if label.is_thing]


def _stuff(class_id: int | None, labels: LabelSpace) -> Meaning | None:
    return None if class_id is None or labels[class_id].is_thing else Meaning(class_id)


def _instances(
    marks: list[int], labels: LabelSpace, source: object, report: Report
) -> dict[int, Meaning | None]:
    """What each mark, number * 256 + category, stands for."""
    things = _things(labels)
    by_number: dict[int, list[int]] = {}
    for mark in marks:
        by_number.setdefault(mark // 256, []).append(mark % 256)
    meanings: dict[int, Meaning | None] = {}
    for number, categories in by_number.items():
        fault = _fault(categories, len(things))
        if fault:
            report(Fault("instances of no one category", f"{source}: instance {number} {fault}"))
        for k in categories:
            meanings[number * 256 + k] = None if fault else Meaning(things[k - 1], number)
    return meanings


def _fault(categories: list[int], count: int) -> str:
    if len(categories) > 1:
        listed = " and ".join(map(str, categories))
        return f"is of categories {listed}: number instances whatever their category"
    if not 1 <= categories[0] <= count:
        return f"is of category {categories[0]}, not of 1 to {count}: count things alone"
    return ""
