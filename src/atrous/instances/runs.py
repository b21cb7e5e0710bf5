"""Runs of pixels of one class and one owner, row by row: what a panoptic map is made from.

An owner is an instance, 0 or more. Below that are `NOBODY`, who owns void; classes without an
instance: CLASS - class; and those who ask for the instance of a cell: ASKS - cell.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean, summing
from atrous.instances.neighbours import Around, Axis, Grid, around, look

NOBODY, CLASS, ASKS = -1, -2, -(1 << 20)
OTHER_CLASS, NO_THING = 16.0, 64.0
_ZERO, _NOTHING, _NEXT, _EIGHT = np.float32(0), np.uint64(0), np.uint64(1), np.uint64(8)


class Runs(NamedTuple):
    """Run n begins at pixel `starts[n]`, counted row by row, and ends where the next one begins.

    starts  (n + 1,); owners (n,)
    """

    starts: NDArray[np.int64]
    owners: NDArray[np.int64]


@compiled
def of_grid(
    grid: Grid,
    pixels: NDArray[Any],
    rows: Axis,
    columns: Axis,
    is_thing: NDArray[np.bool_],
    classes: int,
    starts: NDArray[np.int64],
    owners: NDArray[np.int64],
) -> int:
    """Fills in runs of pixels (flat) that take their instance from a grid; how many there are.

    is_thing  for every value that a class can have
    """
    count, width, near = 0, columns.low.size, around(grid.width)
    marks = np.zeros((width + 7) // 8 * 8, np.uint8)
    words, ends = marks.view(np.uint64), np.empty(width, np.int32)
    for row in range(rows.low.size):
        if not grid.is_same and (row == 0 or rows.low[row] != rows.low[row - 1]):
            look(grid, is_thing, rows.low[row], rows.high[row], columns, near)
        at, first = row * width, row * width
        for n in range(_edges(pixels, np.uint64(first), marks, words, ends)):
            value, stop = pixels[at], first + ends[n]
            if is_thing[value]:
                count = _things(
                    *(grid, near, pixels, rows, columns, is_thing, row, at, stop),
                    *(starts, owners, count),
                )
            else:
                starts[count] = at
                owners[count] = CLASS - np.int64(value) if value < classes else NOBODY
                count += 1
            at = stop
    starts[count] = rows.low.size * width
    return count


@lean
def _edges(
    pixels: NDArray[Any],
    first: np.uint64,
    marks: NDArray[np.uint8],
    words: NDArray[np.uint64],
    ends: NDArray[np.int32],
) -> np.uint64:
    """Lists the columns where runs of one class end in a row, one by one; how many there are."""
    for n in range(np.uint64(ends.size - 1)):
        marks[n] = pixels[first + n] != pixels[first + n + _NEXT]
    count = _NOTHING
    for word in range(np.uint64(words.size)):
        if words[word] != _NOTHING:
            for n in range(word * _EIGHT, word * _EIGHT + _EIGHT):
                ends[count] = np.int32(n) + np.int32(1)
                count += np.uint64(marks[n])
    ends[count] = ends.size
    return count + _NEXT


@lean
def _things(
    grid: Grid,
    near: Around,
    pixels: NDArray[Any],
    rows: Axis,
    columns: Axis,
    is_thing: NDArray[np.bool_],
    row: int,
    at: int,
    stop: int,
    starts: NDArray[np.int64],
    owners: NDArray[np.int64],
    count: int,
) -> int:
    """Adds the runs of pixels of one class of things; how many there are then."""
    first, value, last = row * columns.low.size, pixels[at], -1 << 62
    above = rows.low[row] * grid.width
    while at < stop:
        column, until = at - first, at + 1
        left = columns.low[column]
        if grid.is_same:
            owner = int(grid.owner[above + left])
            is_clear = owner >= 0 and grid.classes[above + left] == value
        else:
            owner, is_clear = int(near.owner[left]), near.owner[left] >= 0
            until = min(stop, first + near.until[left])
        if not is_clear:
            owner, until = _best(grid, value, rows, columns, is_thing, row, column), at + 1
        if owner != last:
            starts[count], owners[count], last = at, owner, owner
            count += 1
        at = until
    return count


@lean
def _best(
    grid: Grid,
    value: int,
    rows: Axis,
    columns: Axis,
    is_thing: NDArray[np.bool_],
    row: int,
    column: int,
) -> int:
    """The owner of a pixel by the best of the four cells around it."""
    least, best = np.inf, 0
    for i in (rows.low[row], rows.high[row]):
        for j in (columns.low[column], columns.high[column]):
            there = grid.classes[i * grid.width + j]
            down = rows.part[row] - (i - rows.low[row])
            right = columns.part[column] - (j - columns.low[column])
            cost = down * down + right * right
            cost += (OTHER_CLASS if there != value else 0.0) + (
                0.0 if is_thing[there] else NO_THING
            )
            if cost < least:
                least, best = cost, i * grid.width + j
    if grid.owner[best] >= 0:
        return int(grid.owner[best])
    return CLASS - int(value) if is_thing[grid.classes[best]] else ASKS - best


@lean
def of_map(
    classes_of: NDArray[Any],
    instance: NDArray[np.int32],
    width: int,
    classes: int,
    starts: NDArray[np.int64],
    owners: NDArray[np.int64],
) -> int:
    """Fills in runs of pixels of flat maps of classes and instances; how many there are."""
    count, column = 0, 0
    for at in range(instance.size):
        value, index = classes_of[at], instance[at]
        if column == 0 or value != classes_of[at - 1] or index != instance[at - 1]:
            owner = np.int64(index) if index >= 0 else CLASS - np.int64(value)
            starts[count], owners[count] = at, owner if value < classes else NOBODY
            count += 1
        column = column + 1 if column + 1 < width else 0
    starts[count] = instance.size
    return count


class Measures(NamedTuple):
    """What is known of owners, who are counted from 0 on, instances first.

    tally  (instances, classes) pixels; boxes (owners, 4); sums (owners,) of the confidence
    """

    tally: NDArray[np.int64]
    boxes: NDArray[np.int64]
    sums: NDArray[np.float64]


def measures(instances: int, classes: int, size_hw: tuple[int, ...]) -> Measures:
    """Nothing known of so many instances, and of all classes as owners behind them."""
    empty = np.array([(*size_hw, 0, 0)], np.int64)
    boxes = np.repeat(empty, instances + classes, axis=0)
    return Measures(np.zeros((instances, classes), np.int64), boxes, np.zeros(len(boxes)))


@lean
def measure(
    runs: Runs,
    values: NDArray[np.int32],
    width: int,
    classes_of: NDArray[Any],
    confidence: NDArray[np.float32],
    out: NDArray[np.int32],
    found: Measures,
) -> None:
    """Paints every run with its value, and adds to what is known of its owner; -1 is nobody.

    Both at once: reading and writing go on side by side. Maps are flat.
    """
    for n in range(runs.owners.size):
        owner, start, stop = runs.owners[n], runs.starts[n], runs.starts[n + 1]
        _fill(out, np.uint64(start), np.uint64(stop), values[n])
        if owner < 0:
            continue
        if owner < len(found.tally):
            found.tally[owner, classes_of[start]] += stop - start
        row, box = int((start + 0.5) * (1.0 / width)), found.boxes[owner]
        left = start - row * width
        box[0], box[1] = min(box[0], row), min(box[1], left)
        box[2], box[3] = max(box[2], row + 1), max(box[3], left + stop - start)
        found.sums[owner] += _sum(confidence, np.uint64(start), np.uint64(stop))


@lean
def _fill(out: NDArray[np.int32], start: np.uint64, stop: np.uint64, value: np.int32) -> None:
    """Gives a part of an array one value."""
    for at in range(start, stop):
        out[at] = value


@summing
def _sum(values: NDArray[np.float32], start: np.uint64, stop: np.uint64) -> np.float32:
    """Sum of a part of an array."""
    total = _ZERO
    for n in range(start, stop):
        total += values[n]
    return total


@lean
def paint(starts: NDArray[np.int64], values: NDArray[np.int32], out: NDArray[np.int32]) -> None:
    """Gives the pixels (flat) of every run its value."""
    for n in range(values.size):
        _fill(out, np.uint64(starts[n]), np.uint64(starts[n + 1]), values[n])
