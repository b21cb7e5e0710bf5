"""How much masks share that may lie over each other, and what both sides of a score must meet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.formats.rle import area, box, check_runs, decode_mask
from atrous.types import BadInput, Instance, Instances, Runs


def intersections(
    first: Sequence[Instance], second: Sequence[Instance], *, height: int
) -> NDArray[np.int64]:
    """(n, m) pixels that each of `first` shares with each of `second`, in one image of a height."""
    return _intersections(*_packed(first, height), *_packed(second, height))


def plain_intersections(
    first: Sequence[Instance], second: Sequence[Instance], *, size_hw: tuple[int, int]
) -> NDArray[np.int64]:
    """`intersections` in numpy: what the kernel is held to."""
    rows = [decode_mask(x.runs, size_hw) for x in first]
    columns = [decode_mask(x.runs, size_hw) for x in second]
    shared = [[np.count_nonzero(a & b) for b in columns] for a in rows]
    return np.array(shared, np.int64).reshape(len(first), len(second))


def areas(instances: Sequence[Instance]) -> NDArray[np.int64]:
    """(n,) pixels of each mask."""
    return np.array([area(x.runs) for x in instances], np.int64)


def class_ids(instances: Sequence[Instance]) -> NDArray[np.int64]:
    """(n,) class of each."""
    return np.array([x.class_id for x in instances], np.int64)


def scores(instances: Sequence[Instance]) -> NDArray[np.float64]:
    """(n,) score of each.

    Raises: BadInput if one has none that is finite.
    """
    for x in instances:
        if x.score is None or not math.isfinite(x.score):
            raise BadInput(f"detection {x.id} has no score: average precision ranks by it, add it")
    return np.array([x.score for x in instances], np.float64)


def require_comparable(truth: Instances, detections: Instances, *, classes: int) -> None:
    """Raises BadInput if the sizes differ, or if a class is none of the number of classes."""
    if truth.size_hw != detections.size_hw:
        sizes = f"the truth is {truth.size_hw} but the detections are {detections.size_hw}"
        raise BadInput(f"{sizes} (height, width): give masks of the image's own size")
    for whose, side in (("truth", truth), ("detections", detections)):
        for item in side.items:
            check_runs(item.runs, side.size_hw)
        odd = sorted({x.class_id for x in side.items if not 0 <= x.class_id < classes})
        if odd:
            what = f"the {whose} hold class {odd[:5]}, but there are {classes} classes"
            raise BadInput(f"{what}: map the file's ids to class ids first")


_Packed = tuple[Runs, NDArray[np.int64], NDArray[np.int64]]


def _packed(instances: Sequence[Instance], height: int) -> _Packed:
    """All runs in one array, (n + 1,) where each mask's begin, and (n, 4) boxes."""
    runs = np.concatenate([np.zeros(0, np.uint32), *(x.runs for x in instances)])
    starts = np.cumsum([0, *(x.runs.size for x in instances)])
    boxes = np.array([box(x.runs, height) for x in instances], np.int64).reshape(-1, 4)
    return runs, starts, boxes


@compiled
def _intersections(
    runs: Runs,
    starts: NDArray[np.int64],
    boxes: NDArray[np.int64],
    other_runs: Runs,
    other_starts: NDArray[np.int64],
    other_boxes: NDArray[np.int64],
) -> NDArray[np.int64]:
    shared = np.zeros((len(boxes), len(other_boxes)), np.int64)
    for i in range(len(boxes)):
        for j in range(len(other_boxes)):
            a, b = boxes[i], other_boxes[j]
            if min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1]):
                other = other_runs[other_starts[j] : other_starts[j + 1]]
                shared[i, j] = _shared(runs[starts[i] : starts[i + 1]], other)
    return shared


@compiled
def _shared(first: Runs, second: Runs) -> np.int64:
    """Pixels inside both of two masks, by walking along both at once."""
    i, j, at, shared = 0, 0, np.int64(0), np.int64(0)
    end, other_end = np.int64(first[0]), np.int64(second[0])
    while True:
        upto = min(end, other_end)
        if i % 2 and j % 2:
            shared += upto - at
        at = upto
        if end == upto:
            i += 1
            if i == first.size:
                return shared
            end += np.int64(first[i])
        if other_end == upto:
            j += 1
            if j == second.size:
                return shared
            other_end += np.int64(second[j])
