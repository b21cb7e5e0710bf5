"""What lies where in a map of ids: connected pieces, and borders that ramp from value to value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled

Map = NDArray[np.int32]
"""(h, w) ids or stored values."""

FLAT = 3
"""Pixels of one value in a row that make a region, not a border."""
RAMP = 6
"""Pixels at most between two regions that a resize can have made."""


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """The connected pieces of a map, by their first pixel, row by row; corners connect.

    ids, areas  (n,) of each piece
    firsts      (n,) its first pixel, counted over all pixels
    """

    ids: NDArray[np.int32]
    areas: NDArray[np.int64]
    firsts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Borders:
    """How values change between regions of a map, along rows and columns.

    steps   places where a value jumps to one that is at least two away
    ramps   places where it gets there over values in between
    skips   ramps that leave out a value: from 1 over 3 to 6
    jumbled  places where short runs lie between regions, and are no ramp
    middles  how many different values lie in between
    first   a pixel of the first ramp, counted over all pixels; -1 = none
    """

    steps: int
    ramps: int
    skips: int
    jumbled: int
    middles: int
    first: int


def pieces(ids: Map) -> Pieces:
    """The connected pieces of a map, 0 among them."""
    flat = np.ascontiguousarray(ids, dtype=np.int32)
    height, width = flat.shape
    starts = np.empty(flat.size + 1, np.int64)
    rows = np.empty(height + 1, np.int64)
    count = _cut(flat, starts, rows)
    roots = np.arange(count)
    _join(flat.ravel(), starts, rows, roots, np.int64(width))
    values = flat.ravel()[starts[:count]]
    lengths = np.diff(starts[: count + 1])
    firsts = np.flatnonzero(roots == np.arange(count))
    areas = np.bincount(roots, weights=lengths, minlength=count).astype(np.int64)
    return Pieces(values[firsts], areas[firsts], starts[firsts])


def borders(stored: Map) -> Borders:
    """How the values of a map change; blended labels ramp where clean ones jump."""
    found = np.zeros(5, np.int64)
    found[4] = -1
    middles = np.zeros(2**16, np.bool_)
    values = np.ascontiguousarray(stored, dtype=np.int32)
    width = np.int64(values.shape[1])
    _ramps(values, found, middles, width, np.int64(1))
    _ramps(np.ascontiguousarray(values.T), found, middles, np.int64(1), width)
    steps, ramps, skips, jumbled, first = found.tolist()
    return Borders(steps, ramps, skips, jumbled, int(middles.sum()), first)


def alone(stored: Map) -> int:
    """How many pixels differ from all four neighbours: clean labels have hardly any."""
    values = np.ascontiguousarray(stored, dtype=np.int32)
    return int(_alone(values)) if min(values.shape) > 2 else 0


def tally(stored: Map) -> NDArray[np.int64]:
    """How many pixels have each value, from 0 to the highest."""
    values = np.ascontiguousarray(stored, dtype=np.int32).ravel()
    counts = np.zeros(int(values.max(initial=0)) + 1, np.int64)
    _tally(values, counts)
    return counts


@compiled
def _tally(values: Map, counts: NDArray[np.int64]) -> None:
    for value in values:
        counts[value] += 1


@compiled
def _cut(ids: Map, starts: NDArray[np.int64], rows: NDArray[np.int64]) -> int:
    """Writes where runs begin and which is the first of each row; how many there are."""
    height, width = ids.shape
    count = 0
    for y in range(height):
        rows[y] = count
        for x in range(width):
            if x == 0 or ids[y, x] != ids[y, x - 1]:
                starts[count] = y * width + x
                count += 1
    rows[height] = count
    starts[count] = height * width
    return count


@compiled
def _join(
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    roots: NDArray[np.int64],
    width: np.int64,
) -> None:
    """Gives each run the first run of its piece."""
    for y in range(1, rows.size - 1):
        above = rows[y - 1]
        for run in range(rows[y], rows[y + 1]):
            left, right = starts[run] - width, starts[run + 1] - width
            while above < rows[y] and starts[above + 1] < left:
                above += 1
            near = above
            while near < rows[y] and starts[near] <= right:
                if ids[starts[near]] == ids[starts[run]]:
                    a, b = near, run
                    while roots[a] != a:
                        roots[a] = roots[roots[a]]
                        a = roots[a]
                    while roots[b] != b:
                        roots[b] = roots[roots[b]]
                        b = roots[b]
                    roots[max(a, b)] = min(a, b)
                near += 1
    for run in range(roots.size):
        roots[run] = roots[roots[run]]


@compiled
def _ramps(
    values: Map, found: NDArray[np.int64], middles: NDArray[np.bool_], down: np.int64, on: np.int64
) -> None:
    """Adds the steps and ramps along the rows; a pixel of the map is y * down + x * on."""
    height, width = values.shape
    for y in range(height):
        left, x = -1, 0  # the last pixel of the last region
        while x < width:
            end = x + 1
            while end < width and values[y, end] == values[y, x]:
                end += 1
            if end - x < FLAT:
                x = end
                continue
            rise = values[y, x] - values[y, left] if left >= 0 else 0
            if abs(rise) >= 2 and x - left == 1:
                found[0] += 1
            elif left >= 0 and 1 < x - left <= RAMP + 1:
                low, high = min(values[y, left], values[y, x]), max(values[y, left], values[y, x])
                is_ramp, skips = abs(rise) >= 2, abs(values[y, x] - values[y, x - 1]) >= 2
                for i in range(left + 1, x):
                    step = values[y, i] - values[y, i - 1]
                    is_ramp &= step * rise >= 0 and low < values[y, i] < high
                    skips |= abs(step) >= 2
                found[3] += not is_ramp
                if is_ramp:
                    found[1] += 1
                    found[2] += skips
                    if found[4] < 0:
                        found[4] = y * down + (left + 1) * on
                    for i in range(left + 1, x):
                        middles[values[y, i] & 65535] = True
            left, x = end - 1, end


@compiled
def _alone(values: Map) -> int:
    height, width = values.shape
    count = 0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            v = values[y, x]
            beside = values[y, x - 1] != v and values[y, x + 1] != v
            count += beside and values[y - 1, x] != v and values[y + 1, x] != v
    return count
