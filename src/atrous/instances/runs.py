"""Runs of pixels of one class and one owner, row by row: what a panoptic map is made from.

An owner is an instance, 0 or more. Below that are `NOBODY`, who owns void; classes without an
instance: CLASS - class; and those who ask for the instance of a cell: ASKS - cell.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, summing
from atrous.instances.neighbours import Around, Axis, Grid, around, look

NOBODY, CLASS, ASKS = -1, -2, -(1 << 20)
OTHER_CLASS, NO_THING = 16.0, 64.0
_EIGHTFOLD, _FOURFOLD = np.uint64(0x0101010101010101), np.uint64(0x0001000100010001)
_ZERO = np.float32(0)


class Runs(NamedTuple):
    """Run n begins at pixel `starts[n]`, counted row by row, and ends where the next one begins.

    starts  (n + 1,); owners (n,)
    """

    starts: NDArray[np.int64]
    owners: NDArray[np.int64]


class Words(NamedTuple):
    """A class map eight bytes at a time, each word of 2^shift classes; `spread` fills one."""

    words: NDArray[np.uint64]
    shift: int
    spread: np.uint64


def words(classes: NDArray[Any]) -> Words:
    """The words of a contiguous class map."""
    shift = 3 if classes.itemsize == 1 else 2
    flat = classes.reshape(-1)[: classes.size >> shift << shift].view(np.uint64)
    return Words(flat, shift, _EIGHTFOLD if shift == 3 else _FOURFOLD)


@compiled
def of_grid(
    grid: Grid,
    pixels: NDArray[Any],
    words: Words,
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
    for row in range(rows.low.size):
        if not grid.is_same and (row == 0 or rows.low[row] != rows.low[row - 1]):
            look(grid, is_thing, rows.low[row], rows.high[row], columns, near)
        at, end = row * width, (row + 1) * width
        while at < end:
            value = pixels[at]
            stop = _stop(pixels, words, at, end)
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


@compiled
def _stop(pixels: NDArray[Any], words: Words, at: int, end: int) -> int:
    """Where the run of one class that begins at a pixel ends."""
    value, flat, shift = pixels[at], words.words, words.shift
    full, part = np.uint64(value) * words.spread, (1 << shift) - 1
    while at < end and pixels[at] == value:
        at += 1
        if at & part == 0:
            word, most = at >> shift, min(end >> shift, flat.size)
            while word < most and flat[word] == full:
                word += 1
            at = word << shift
    return at


@compiled
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


@compiled
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


@compiled
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


@compiled
def measure(
    runs: Runs,
    width: int,
    classes_of: NDArray[Any],
    confidence: NDArray[np.float32],
    tally: NDArray[np.int64],
    boxes: NDArray[np.int64],
    sums: NDArray[np.float64],
) -> None:
    """Adds up, for every owner, pixels of each class, the box, and the confidence.

    Owners are counted from 0 on, instances first; -1 is nobody.

    tally  (instances, classes); boxes (owners, 4), which begin empty; sums (owners,)
    """
    for n in range(runs.owners.size):
        owner, start, stop = runs.owners[n], runs.starts[n], runs.starts[n + 1]
        if owner < 0:
            continue
        if owner < len(tally):
            tally[owner, classes_of[start]] += stop - start
        row, box = int((start + 0.5) * (1.0 / width)), boxes[owner]
        left = start - row * width
        box[0], box[1] = min(box[0], row), min(box[1], left)
        box[2], box[3] = max(box[2], row + 1), max(box[3], left + stop - start)
        sums[owner] += _sum(confidence, np.uint64(start), np.uint64(stop))


@summing
def _sum(values: NDArray[np.float32], start: np.uint64, stop: np.uint64) -> np.float32:
    """Sum of a part of an array."""
    total = _ZERO
    for n in range(start, stop):
        total += values[n]
    return total


@compiled
def paint(starts: NDArray[np.int64], values: NDArray[np.int32], out: NDArray[np.int32]) -> None:
    """Gives the pixels (flat) of every run its value."""
    for n in range(values.size):
        value = values[n]
        for at in range(np.uint64(starts[n]), np.uint64(starts[n + 1])):
            out[at] = value
