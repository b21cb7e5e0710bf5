"""Semantic classes and instance indices become one panoptic map.

Source: DeeperLab, section 3.3 (semantic and instance fusion).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.labels import LabelSpace
from atrous.types import ClassMap, FloatMap, IdMap, Parse, Segment

OTHER_CLASS, NO_THING = 16.0, 64.0


def to_pixels(
    cells: NDArray[np.int32],
    cell_class: ClassMap,
    pixel_class: ClassMap,
    *,
    is_thing: NDArray[np.bool_],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
) -> NDArray[np.int32]:
    """Instance index of every thing pixel, taken from the best of the four cells around it.

    cells, cell_class  (h, w) on the grid; pixel_class (H, W); rows (H,) and columns (W,) in cells
    Returns (H, W), -1 on stuff. The best cell is the nearest of the pixel's class, else the nearest
    of any thing, else the nearest.
    """
    pixels = np.zeros(pixel_class.shape, dtype=np.int32) - 1
    known = np.append(is_thing, False)
    last = len(is_thing)
    where = np.nonzero(known[np.minimum(pixel_class, last)])
    y, x, own = rows[where[0]], columns[where[1]], pixel_class[where]
    least = np.full(len(y), np.inf)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        i = np.minimum(np.floor(y).astype(np.int64) + down, cells.shape[0] - 1)
        j = np.minimum(np.floor(x).astype(np.int64) + right, cells.shape[1] - 1)
        there = cell_class[i, j]
        cost = (y - i) ** 2 + (x - j) ** 2 + OTHER_CLASS * (there != own)
        cost += NO_THING * ~known[np.minimum(there, last)]
        better = cost < least
        least[better] = cost[better]
        pixels[where[0][better], where[1][better]] = cells[i, j][better]
    return pixels


def fuse(
    semantic: ClassMap,
    confidence: FloatMap,
    instance: NDArray[np.int32],
    *,
    labels: LabelSpace,
) -> Parse:
    """The parse of an image from its classes and instance indices (-1 = none), all (h, w).

    An instance has the class of most of its pixels, the lowest on a tie. Stuff, and thing pixels
    without an instance, form one segment a class. Ids count from 1, instances first, and
    segments without a pixel have none. A segment's score is its pixels' mean confidence.

    # Invariant: every pixel that is not void has exactly one segment.
    """
    classes, size = len(labels), max(int(instance.max(initial=-1)) + 1, 1)
    void = semantic >= classes
    has = (instance >= 0) & ~void
    pair = instance[has].astype(np.int64) * classes + semantic[has]
    tally = np.bincount(pair, minlength=size * classes).reshape(size, classes)
    owner = np.where(has, instance, size + semantic.astype(np.int64))
    owner[void] = size + classes
    class_of = np.concatenate([tally.argmax(axis=1), np.arange(classes)])
    present = np.bincount(owner.ravel(), minlength=size + classes + 1)[:-1] > 0
    ids = np.where(present, np.cumsum(present), 0)
    panoptic = np.append(ids, 0)[owner].astype(np.int32)
    scores = _mean_confidence(panoptic, confidence, int(present.sum()))
    rows = [(int(ids[k]), int(class_of[k]), float(scores[ids[k]])) for k in np.flatnonzero(present)]
    return Parse(panoptic, semantic, confidence, _segments(panoptic, rows, labels))


def one_segment_a_class(semantic: ClassMap, confidence: FloatMap, *, labels: LabelSpace) -> Parse:
    """The parse of a semantic answer, in which no two things are told apart."""
    nobody = np.full(semantic.shape, -1, dtype=np.int32)
    return fuse(semantic, confidence, nobody, labels=labels)


def _mean_confidence(ids: IdMap, confidence: FloatMap, count: int) -> NDArray[np.float64]:
    total = np.bincount(ids.ravel(), weights=confidence.ravel(), minlength=count + 1)
    area = np.bincount(ids.ravel(), minlength=count + 1)
    return total / np.maximum(area, 1)


def _segments(
    ids: IdMap, rows: list[tuple[int, int, float]], labels: LabelSpace
) -> tuple[Segment, ...]:
    areas = np.bincount(ids.ravel(), minlength=len(rows) + 1)
    return tuple(
        Segment(
            id=identity,
            class_id=class_id,
            name=labels[class_id].name,
            is_thing=labels[class_id].is_thing,
            score=round(score, 4),
            area=int(areas[identity]),
            box=_box(ids == identity),
        )
        for identity, class_id, score in rows
    )


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
