"""Instances whose masks may overlap become a map in which each pixel has one at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.types import ClassMap

_FAR = np.int32(1 << 30)
"""Further than any row."""


@dataclass(frozen=True, slots=True, eq=False)
class BoxInstance:
    """One instance.

    score    mean probability of the class over the mask
    cells    (n,) the pixels of the mask, counted row by row, rising; those of other instances may
             overlap them
    size_hw  of the grid of pixels
    box      (y0, x0, y1, x1) in pixels of the network's input, as its seed predicts it
    """

    class_id: int
    score: float
    cells: NDArray[np.int32]
    size_hw: tuple[int, int]
    box: tuple[float, float, float, float]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(h, w) true on the pixels of the instance."""
        mask = np.zeros(self.size_hw, dtype=np.bool_)
        mask.ravel()[self.cells] = True
        return mask


def flatten(instances: Sequence[BoxInstance], semantic: ClassMap) -> NDArray[np.int32]:
    """(h, w) index of the instance of every pixel, -1 where there is none.

    An instance claims the pixels of its mask whose class in `semantic` is its own; where several
    do, the one with the best score wins, of equal ones the first. Stuff stays -1, and so do pixels
    of things that no instance covers.

    Source: ours; the paper gives masks that may overlap.
    """
    index = np.full(semantic.shape, -1, dtype=np.int32)
    flat, classes = index.ravel(), semantic.ravel()
    best_first = sorted(range(len(instances)), key=lambda place: -instances[place].score)
    for place in reversed(best_first):
        cells = instances[place].cells
        flat[cells[classes[cells] == instances[place].class_id]] = place
    return index


def spread(index: NDArray[np.int32], semantic: ClassMap) -> NDArray[np.int32]:
    """The index map with every uncovered pixel given to the nearest instance of its class.

    Near the edge of a thing the boxes of neighbouring cells are mixed and fit no instance. A class
    without any instance stays uncovered. Of covered pixels equally near the one furthest to the
    left counts, in one column the upper.

    # Deviates: the paper scores masks and makes no panoptic map.
    """
    filled = index.copy()
    classes = np.ascontiguousarray(semantic, dtype=np.uint16)
    extents = np.zeros((int(classes.max(initial=0)) + 1, 6), np.int64)
    _measure(index, classes, extents)
    for class_id in np.flatnonzero(extents[:, :2].all(axis=1)).tolist():
        y0, y1, x0, x1 = extents[class_id, 2:]
        nearest = np.full((y1 - y0, x1 - x0), _FAR, np.int32)
        _spread(index, classes, np.uint16(class_id), y0, x0, nearest, filled)
    return filled


@compiled
def _measure(
    index: NDArray[np.int32], classes: NDArray[np.uint16], extents: NDArray[np.int64]
) -> None:
    """Of each class: pixels with and without an instance, and its box (y0, y1, x0, x1)."""
    for y in range(index.shape[0]):
        for x in range(index.shape[1]):
            own = extents[classes[y, x]]
            if own[0] + own[1] == 0:
                own[2], own[4] = y, x
            own[0 if index[y, x] >= 0 else 1] += 1
            own[3], own[4], own[5] = y + 1, min(own[4], x), max(own[5], x + 1)


@compiled
def _spread(
    index: NDArray[np.int32],
    classes: NDArray[np.uint16],
    own: np.uint16,
    y0: int,
    x0: int,
    nearest: NDArray[np.int32],
    filled: NDArray[np.int32],
) -> None:
    """Fills in one class in the window of it that `nearest` (h, w) covers.

    `nearest` becomes the row of the nearest covered pixel in the same column, first of those above.
    Then each row with uncovered pixels asks its columns which is nearest.

    Source: Meijster, Roerdink, Hesselink 2000: a general algorithm for computing distance
    transforms in linear time.
    """
    height, width = nearest.shape
    before = np.full(width, _FAR, np.int32)
    for y in range(height):
        _sweep(index[y0 + y, x0 : x0 + width], classes[y0 + y, x0 : x0 + width], own, y, before)
        _nearer(nearest[y], before, y)
    before = np.full(width, _FAR, np.int32)
    order, begin = np.empty(width, np.int64), np.empty(width, np.int64)
    for y in range(height - 1, -1, -1):
        mine, kinds = index[y0 + y, x0 : x0 + width], classes[y0 + y, x0 : x0 + width]
        lacks = _sweep(mine, kinds, own, y, before)
        _nearer(nearest[y], before, y)
        if lacks:
            _ask(mine, kinds, own, nearest[y], y, order, begin)
            for x in range(width):
                if kinds[x] == own and mine[x] < 0:
                    filled[y0 + y, x0 + x] = index[y0 + nearest[y, order[x]], x0 + order[x]]


@compiled
def _sweep(
    index: NDArray[np.int32],
    classes: NDArray[np.uint16],
    own: np.uint16,
    y: int,
    before: NDArray[np.int32],
) -> bool:
    """Moves `before`, the last covered row of each column, on to row y; whether this lacks any."""
    lacking, row = np.int32(0), np.int32(y)
    for x in range(before.size):
        is_own, covered = classes[x] == own, index[x] >= 0
        before[x] = row if is_own & covered else before[x]
        lacking += np.int32(is_own & (not covered))
    return bool(lacking > 0)


@compiled
def _nearer(above: NDArray[np.int32], below: NDArray[np.int32], y: int) -> None:
    """Makes `above` the nearer of both rows, of equal ones the upper."""
    for x in range(above.size):
        above[x] = below[x] if abs(below[x] - y) < abs(above[x] - y) else above[x]


@compiled
def _ask(
    mine: NDArray[np.int32],
    kinds: NDArray[np.uint16],
    own: np.uint16,
    nearest: NDArray[np.int32],
    y: int,
    columns: NDArray[np.int64],
    begin: NDArray[np.int64],
) -> None:
    """Fills in the column of the nearest covered pixel for each uncovered one of row y.

    A pixel looks to both sides as far as the nearest in its own column lies; if that is far for
    many, the row is done as a whole.
    """
    width, effort = nearest.size, 0
    for x in range(width):
        if kinds[x] == own and mine[x] < 0:
            effort += min(abs(nearest[x] - y), width)
    if effort > 4 * width:
        last = _envelope(nearest, y, columns, begin)
        for x in range(width - 1, -1, -1):
            # Written from the right, where it was read: there are never more columns than pixels.
            at, column = begin[last], columns[last]
            columns[x] = column
            last -= x == at
        return
    for x in range(width):
        if kinds[x] == own and mine[x] < 0:
            columns[x] = _beside(nearest, y, x)


@compiled
def _beside(nearest: NDArray[np.int32], y: int, x: int) -> int:
    """The column of the covered pixel nearest to pixel x of row y, of equal ones the left."""
    best, column, d = np.int64(_FAR) ** 2, -1, 0
    while d * d <= best and d < nearest.size:
        for other in (x - d, x + d):
            if 0 <= other < nearest.size and nearest[other] != _FAR:
                far = d * d + np.int64(nearest[other] - y) ** 2
                if far < best or (far == best and other < column):
                    best, column = far, other
        d += 1
    return column


@compiled
def _envelope(
    nearest: NDArray[np.int32], y: int, order: NDArray[np.int64], begin: NDArray[np.int64]
) -> int:
    """Which columns are nearest to some pixel of row y, in `order`, and where each one begins.

    Gives the place of the last. Of equally near columns the left one counts.
    """
    last = -1
    for x in range(nearest.size):
        if nearest[x] == _FAR:
            continue
        height = np.int64(nearest[x] - y) ** 2
        start = 0
        while last >= 0:
            rival = order[last]
            more = x * x - rival * rival + height - np.int64(nearest[rival] - y) ** 2
            start = more // (2 * (x - rival)) + 1
            if start > begin[last]:
                break
            last -= 1
            start = 0
        if start < nearest.size:
            last += 1
            order[last], begin[last] = x, start
    return last
