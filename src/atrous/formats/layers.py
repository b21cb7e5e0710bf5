"""Instances, which may lie over each other, and id maps, where nothing does: both directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.formats.rle import area, check_runs, encode_mask
from atrous.labels import Label, LabelSpace
from atrous.types import (
    Fault,
    IdMap,
    Instance,
    Instances,
    Labelled,
    Region,
    Report,
    Runs,
    as_array,
    refuse,
)

GROUND = "background"
"""What the class is called that masks leave bare."""
_GROUNDS = (GROUND, "_background_")  # the latter is LabelMe's


def flatten(
    instances: Instances, *, source: object, report: Report = refuse
) -> tuple[Labelled, int]:
    """One id map of all instances, and the number of pixels that instances had to give up.

    Ids of the map are places among the instances, from 1, for those of files may be beyond 32
    bits. A pixel of several goes to the highest score, among equals to the first in order, to a
    crowd only if nothing else has it. A pixel that k of them have is given up k - 1 times.

    source  named in the fault; ids in it are those of the file
    report  hears once if instances lie over each other

    Raises: BadInput if runs do not sum up to the pixels of the size.
    """
    items = instances.items
    height, width = instances.size_hw
    columns, given_up, first = np.zeros(height * width, np.int32), 0, ""
    for place in sorted(range(len(items)), key=lambda i: _rank(items[i])):
        check_runs(items[place].runs, instances.size_hw)  # or the kernel would leave the map
        lost = np.zeros(len(items) + 1, np.int64)
        _lay(columns, items[place].runs, place + 1, lost)
        given_up += int(lost.sum())
        if lost.any() and not first:
            first = _pair(items, int(lost.argmax()) - 1, place, int(lost.max()))
    if first:
        what = f"{first}, all instances {given_up}: give each pixel to one"
        report(Fault("images with masks over each other", f"{source}: {what}"))
    ids = np.ascontiguousarray(columns.reshape(width, height).T)
    regions = (Region(i, x.class_id, x.is_crowd, x.score) for i, x in enumerate(items, 1))
    return Labelled(ids, tuple(regions)), given_up


def instances_of(labelled: Labelled, is_thing: NDArray[np.bool_]) -> Instances:
    """The things of an id map, with the ids, scores and crowds of their regions, in their order.

    is_thing  (classes,) true for countable classes; regions without pixels are left out
    """
    ids = np.ascontiguousarray(as_array(labelled.ids), dtype=np.int32)
    height, width = ids.shape
    runs = _runs_by_id(ids)
    items = (
        Instance(r.id, r.class_id, runs[r.id], r.score, r.is_crowd)
        for r in labelled.regions
        if r.id in runs and is_thing[r.class_id]
    )
    return Instances((height, width), tuple(items))


def instances_from_masks(
    masks: object, class_ids: Sequence[int], *, scores: Sequence[float] | None = None
) -> Instances:
    """Masks (n, h, w), array or tensor, with (n,) classes and scores; ids are places, from 1.

    Raises: ValueError if the counts differ or the masks have not three dimensions.
    """
    stack: NDArray[Any] = as_array(masks)
    if stack.ndim != 3 or len(stack) != len(class_ids):
        raise ValueError(f"masks are {stack.shape} of {len(class_ids)} classes: give (n, h, w)")
    known = repeat(None, len(stack)) if scores is None else [float(s) for s in scores]
    rows = zip(stack, class_ids, known, strict=True)
    items = (
        Instance(i, int(class_id), encode_mask(mask), score)
        for i, (mask, class_id, score) in enumerate(rows, 1)
    )
    return Instances((stack.shape[1], stack.shape[2]), tuple(items))


def smaller_first(instances: Instances) -> Instances:
    """The same instances in the order of their areas, so that `flatten` hides no small one.

    Where a part lies on a whole, a tie on a person say, both keep pixels. In the order of files 82
    of 1,391 instances of a sample of COCO would vanish, in this order one.
    """
    return replace(instances, items=tuple(sorted(instances.items, key=lambda x: area(x.runs))))


def with_ground(labels: LabelSpace) -> tuple[LabelSpace, int]:
    """The classes with one of stuff for what no mask covers, and the id of that class.

    A class that is called "background" or "_background_" already is taken, and becomes stuff.
    """
    names = [label.name.lower() for label in labels.labels]
    place = next((i for i, name in enumerate(names) if name in _GROUNDS), len(names))
    number = max(label.file_id for label in labels.labels) + 1
    rows = [*labels.labels, Label(GROUND, (0, 0, 0), False, number)][: max(place + 1, len(names))]
    rows[place] = replace(rows[place], is_thing=False)
    return LabelSpace(tuple(rows)), place


def grounded(labelled: Labelled, is_thing: NDArray[np.bool_], ground: int) -> Labelled:
    """The image without void: what has no id is of the class `ground`.

    Each class of stuff has one region, the first of its own or a new one.

    is_thing  (classes,) true for countable classes
    """
    ids, regions = labelled.ids, list(labelled.regions)
    first = {r.class_id: r.id for r in reversed(regions) if not is_thing[r.class_id]}
    if ground not in first and not ids.all():
        first[ground] = max((r.id for r in regions), default=0) + 1
        regions.append(Region(first[ground], ground))
    table = np.arange(max((r.id for r in regions), default=0) + 1, dtype=np.int32)
    table[0] = first.get(ground, 0)
    for region in regions:
        table[region.id] = first.get(region.class_id, region.id)
    return Labelled(table[ids], tuple(r for r in regions if table[r.id] == r.id))


def _rank(x: Instance) -> tuple[bool, float]:
    """Sorts the instances that others give way to first."""
    return x.is_crowd, 0.0 if x.score is None else -x.score


def _pair(items: Sequence[Instance], above: int, below: int, pixels: int) -> str:
    first, second = sorted((above, below))
    return f"instances {items[first].id} and {items[second].id} share {pixels} pixels"


def _runs_by_id(ids: IdMap) -> dict[int, Runs]:
    flat = ids.ravel(order="F")
    starts = np.flatnonzero(np.diff(flat, prepend=flat[:1] - 1))
    ends = np.append(starts[1:], flat.size)
    order = np.argsort(flat[starts], kind="stable")
    values, firsts = np.unique(flat[starts][order], return_index=True)
    parts = np.split(order, firsts[1:])
    edges = (np.stack((starts[part], ends[part]), axis=1).ravel() for part in parts)
    runs = (np.diff(e, prepend=0, append=flat.size) for e in edges)
    kept = ((r if r[-1] else r[:-1]).astype(np.uint32) for r in runs)
    return dict(zip(values.tolist(), kept, strict=True))


@compiled
def _lay(columns: NDArray[np.int32], runs: Runs, number: int, lost: NDArray[np.int64]) -> None:
    """Lays a mask where nothing lies yet; `lost` counts, by who lies there, the other pixels."""
    end = np.int64(0)
    for i in range(runs.size):
        start, end = end, end + np.int64(runs[i])
        if i % 2 == 0:
            continue
        for at in range(start, end):
            if columns[at]:
                lost[columns[at]] += 1
            else:
                columns[at] = number
