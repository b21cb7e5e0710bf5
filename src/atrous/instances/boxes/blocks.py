"""The most probable classes between the cells of a coarse map, a block of pixels at a time.

A block lies between the same four cells. What these hold bounds what is inside: of most classes it
is known from them alone that they are not among the first of any pixel, and where stuff is sure
nothing need be sampled at all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.instances.boxes import lines
from atrous.instances.boxes.lines import Desk
from atrous.instances.boxes.sampling import Axis
from atrous.types import FloatMap

_UNSEEN = np.float32(17)
"""A class whose logit is lower by more than this changes no bit of a softmax's sum."""
_SLACK = np.float32(1e-5)
"""Of the largest value, far more than rounding changes one."""
_HUGE = np.float32(1e30)
"""Cells of more than this, or not finite, bound nothing."""


@compiled
def rank_blocks(
    cells: FloatMap,
    rows: Axis,
    columns: Axis,
    row_cuts: NDArray[np.int64],
    column_cuts: NDArray[np.int64],
    most: int,
    is_thing: NDArray[np.bool_],
    softmax: bool,
    classes: NDArray[np.int32],
    probabilities: FloatMap,
    open_rows: NDArray[np.bool_],
) -> None:
    """Fills in both of `Ranked`, which hold -1 and 0; marks rows that stay open.

    Nothing is told of a block between cells that are not finite.

    cells  (h, w, classes); row_cuts, column_cuts: where blocks begin, and the ends;
    most: pixels of the largest block
    """
    count = cells.shape[2]
    line, ids = np.empty(count * most, np.float32), np.empty(count, np.int32)
    corners, bounds = np.empty((count, 4), np.float32), np.empty((2, count), np.float32)
    shares = np.empty((2, most), np.float32)
    desk = lines.desk(classes.shape[0], most)
    for i in range(row_cuts.size - 1):
        y0, y1 = row_cuts[i], row_cuts[i + 1]
        for j in range(column_cuts.size - 1):
            x0, x1 = column_cuts[j], column_cuts[j + 1]
            n = _shares(rows, y0, y1, columns, x0, x1, shares)
            greatest = _bound(cells, rows, y0, y1, columns, x0, x1, corners, bounds)
            if greatest < _HUGE:
                m, places = _possible(bounds, greatest, is_thing, len(desk.best), softmax, ids)
                _decide(corners, shares, n, ids[:m], places, softmax, line, desk)
                _write(desk, places, y0, y1, x0, x1, classes, probabilities)
            else:
                for y in range(y0, y1):
                    open_rows[y] = True


@compiled
def _shares(
    rows: Axis,
    y0: int,
    y1: int,
    columns: Axis,
    x0: int,
    x1: int,
    shares: NDArray[np.float32],
) -> int:
    """Fills in the shares of the lower and of the right cells; how many pixels there are."""
    n = 0
    for y in range(y0, y1):
        for x in range(x0, x1):
            shares[0, n], shares[1, n] = rows.share[y], columns.share[x]
            n += 1
    return n


@compiled
def _bound(
    cells: FloatMap,
    rows: Axis,
    y0: int,
    y1: int,
    columns: Axis,
    x0: int,
    x1: int,
    corners: NDArray[np.float32],
    bounds: NDArray[np.float32],
) -> np.float32:
    """Fills in corners (classes, 4), least and greatest (2, classes); the largest magnitude.

    NaN, or infinite, where a corner is.
    """
    upper, lower = rows.low[y0], rows.high[y1 - 1]
    left, right = columns.low[x0], columns.high[x1 - 1]
    most = np.float32(0)
    for k in range(cells.shape[2]):
        a, b = cells[upper, left, k], cells[upper, right, k]
        c, d = cells[lower, left, k], cells[lower, right, k]
        corners[k, 0], corners[k, 1], corners[k, 2], corners[k, 3] = a, b, c, d
        least, greatest = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
        bounds[0, k], bounds[1, k] = least, greatest
        size = np.float32(abs(a) + abs(b) + abs(c) + abs(d))
        if not size < _HUGE:
            return size
        most = max(most, size)
    return most


@compiled
def _possible(
    bounds: NDArray[np.float32],
    greatest: np.float32,
    is_thing: NDArray[np.bool_],
    top: int,
    softmax: bool,
    ids: NDArray[np.int32],
) -> tuple[int, int]:
    """Fills in the classes that matter, rising; how many, and how many places are to be decided.

    A class that only counts in the sum of a softmax is given as -1 - class.

    Without a thing that can be among the `top` first of a pixel, the first alone is asked for.
    """
    slack = greatest * _SLACK
    sure, first = _highest(bounds[0], top) - slack, _highest(bounds[0], 1) - slack
    places = 1
    for k in range(is_thing.size):
        if is_thing[k] and bounds[1, k] >= sure:
            places = top
    sure = sure if places == top else first
    seen = min(sure, first - slack - _UNSEEN) if softmax and places == top else sure
    m = 0
    for k in range(is_thing.size):
        ids[m] = k if bounds[1, k] >= sure else -1 - k
        m += bounds[1, k] >= seen
    return m, places


@compiled
def _highest(values: NDArray[np.float32], place: int) -> np.float32:
    """The value in a place when they are sorted, the greatest in place 1."""
    bound = np.float32(np.inf)
    while place > 0:
        best, count = np.float32(-np.inf), 0
        for value in values:
            if value < bound:
                count = 1 if value > best else count + (value == best)
                best = max(best, value)
        bound, place = best, place - count
    return bound


@compiled
def _decide(
    corners: NDArray[np.float32],
    shares: NDArray[np.float32],
    n: int,
    ids: NDArray[np.int32],
    places: int,
    softmax: bool,
    line: NDArray[np.float32],
    desk: Desk,
) -> None:
    """Sorts a block of n pixels whose classes that matter are `ids`."""
    if ids.size == 1 and (softmax or places < len(desk.best)):
        for p in range(n):
            desk.which[0, p], desk.best[0, p] = ids[0], np.float32(1)
        return
    lines.within(corners, ids, shares, n, line)
    lines.sort(line, ids, n, places, desk)
    if softmax and places == len(desk.best):
        lines.normalise(line, ids.size, n, desk)


@compiled
def _write(
    desk: Desk,
    places: int,
    y0: int,
    y1: int,
    x0: int,
    x1: int,
    classes: NDArray[np.int32],
    probabilities: FloatMap,
) -> None:
    """Carries a block over to the maps."""
    for place in range(places):
        p = 0
        for y in range(y0, y1):
            for x in range(x0, x1):
                classes[place, y, x] = desk.which[place, p]
                probabilities[place, y, x] = desk.best[place, p]
                p += 1
