"""Long-range offsets: where cells of the maps point to once their offsets are refined.

Only those cells are looked at that are asked for, many at once. Places are y and x in cells of the
maps; those of kind k are two planes of the goals, 2k and 2k + 1.

Source: DeeperLab, section 3.3; PersonLab, section 3.1 (refinement).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.instances.lattice import Lattice, place_of

_ZERO, _NEXT = np.float32(0), np.uint64(1)
CORNERS, CHUNK = 4, 256
"""Keypoints that are corners; cells that go through all steps together, and so stay near."""
_CHUNK = np.uint64(CHUNK)


class Rounds(NamedTuple):
    """How offsets are refined.

    corners, centres  how often the long offsets of a corner, of a centre refine themselves
    steps             how often short offsets refine others
    inverse           one over the stride of the maps in pixels
    """

    corners: int
    centres: int
    steps: int
    inverse: float


class Room(NamedTuple):
    """Room for what stands around `CHUNK` places.

    at      (CHUNK,) the first of the four cells around, `right` and `below` how far the next are
    along   (2, CHUNK) how far down and along the place is between them
    values  (8 * CHUNK,) of two channels at these cells
    """

    at: NDArray[np.int32]
    right: NDArray[np.int32]
    below: NDArray[np.int32]
    along: NDArray[np.float32]
    values: NDArray[np.float32]


@compiled
def point(
    long: NDArray[np.float32],
    short: NDArray[np.float32],
    grid: Lattice,
    rounds: Rounds,
    cells: NDArray[np.int64],
    goals: NDArray[np.float32],
) -> None:
    """Fills in goals (2 * kinds, n or more) of `cells` (n,), counted row by row.

    grid  that of the maps themselves
    """
    kinds, inverse = goals.shape[0] // 2, np.float32(rounds.inverse)
    room = Room(
        np.empty(CHUNK, np.int32),
        np.empty(CHUNK, np.int32),
        np.empty(CHUNK, np.int32),
        np.empty((2, CHUNK), np.float32),
        np.empty(8 * CHUNK, np.float32),
    )
    for first in range(0, cells.size, CHUNK):
        some = cells[first : min(first + CHUNK, cells.size)]
        for kind in range(kinds):
            y = goals[2 * kind, first : first + some.size]
            x = goals[2 * kind + 1, first : first + some.size]
            _begin(long, grid, 2 * kinds, 2 * kind, some, inverse, y, x)
            for _ in range(rounds.corners if kind < CORNERS else rounds.centres):
                _follow(long, grid, 2 * kinds, 2 * kind, inverse, y, x, room)
            for _ in range(rounds.steps):
                _follow(short, grid, 2 * kinds, 2 * kind, inverse, y, x, room)


@compiled
def _begin(
    field: NDArray[np.float32],
    grid: Lattice,
    channels: int,
    channel: int,
    cells: NDArray[np.int64],
    inverse: np.float32,
    y: NDArray[np.float32],
    x: NDArray[np.float32],
) -> None:
    """Where cells point to by their own offsets, in two channels."""
    for n in range(np.uint64(cells.size)):
        row, column = place_of(grid, cells[n])
        at = np.uint64(cells[n] * channels + channel)
        y[n] = np.float32(row) + field[at] * inverse
        x[n] = np.float32(column) + field[at + _NEXT] * inverse


@compiled
def _follow(
    field: NDArray[np.float32],
    grid: Lattice,
    channels: int,
    channel: int,
    inverse: np.float32,
    y: NDArray[np.float32],
    x: NDArray[np.float32],
    room: Room,
) -> None:
    """Moves places on by the offsets that stand there, times `inverse`.

    In three loops, of which those that reckon are fit for whole vectors.
    """
    _locate(grid, np.int32(channels), np.int32(channel), y, x, room)
    _pick(field, room, np.uint64(y.size))
    _move(room, np.uint64(0), inverse, y)
    _move(room, np.uint64(1), inverse, x)


@compiled
def _locate(
    grid: Lattice,
    channels: np.int32,
    channel: np.int32,
    y: NDArray[np.float32],
    x: NDArray[np.float32],
    room: Room,
) -> None:
    """Finds the cells around places; those outside are moved to the border, NaN to the start.

    A next cell that has no share is the first one again, for it may be no number.
    """
    columns, line = np.int32(grid.columns), np.int32(grid.columns) * channels
    last_y, last_x, none = np.float32(grid.last_y), np.float32(grid.last_x), np.int32(0)
    at, right, below = room.at, room.right, room.below
    downs, alongs = room.along[0], room.along[1]
    for n in range(np.uint64(y.size)):
        v, u = (y[n] if y[n] > _ZERO else _ZERO), (x[n] if x[n] > _ZERO else _ZERO)
        v, u = (v if v < last_y else last_y), (u if u < last_x else last_x)
        i, j = np.int32(v), np.int32(u)
        down, along = v - np.float32(i), u - np.float32(j)
        at[n] = (i * columns + j) * channels + channel
        right[n], below[n] = (channels if along > _ZERO else none), (line if down > _ZERO else none)
        downs[n], alongs[n] = down, along


@compiled
def _pick(field: NDArray[np.float32], room: Room, count: np.uint64) -> None:
    """Gathers two channels at the four cells around each place."""
    values = room.values
    for n in range(count):
        a, along = np.uint64(room.at[n]), np.uint64(room.right[n])
        b, c = a + along, a + np.uint64(room.below[n])
        d = c + along
        values[n], values[n + _CHUNK] = field[a], field[a + _NEXT]
        values[n + 2 * _CHUNK], values[n + 3 * _CHUNK] = field[b], field[b + _NEXT]
        values[n + 4 * _CHUNK], values[n + 5 * _CHUNK] = field[c], field[c + _NEXT]
        values[n + 6 * _CHUNK], values[n + 7 * _CHUNK] = field[d], field[d + _NEXT]


@compiled
def _move(room: Room, which: np.uint64, inverse: np.float32, places: NDArray[np.float32]) -> None:
    """Moves y, or x, by the bilinear mean of the first, or the second, of two channels.

    What is no finite number moves nothing.
    """
    values, downs, alongs, first = room.values, room.along[0], room.along[1], which * _CHUNK
    for n in range(np.uint64(places.size)):
        a, b = values[first + n], values[first + n + 2 * _CHUNK]
        c, d = values[first + n + 4 * _CHUNK], values[first + n + 6 * _CHUNK]
        upper, lower = a + (b - a) * alongs[n], c + (d - c) * alongs[n]
        move = (upper + (lower - upper) * downs[n]) * inverse
        places[n] += move if move - move == _ZERO else _ZERO


@compiled
def spread_out(
    goals: NDArray[np.float32], cells: NDArray[np.int64], planes: NDArray[np.float32]
) -> None:
    """Copies the goals of cells to where these are in planes (2 * kinds, cells) of all."""
    for channel in range(goals.shape[0]):
        for n in range(np.uint64(cells.size)):
            planes[channel, cells[n]] = goals[channel, n]
