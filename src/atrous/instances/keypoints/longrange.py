"""Long-range offsets: where cells of the maps point to once their offsets are refined.

Only those cells are looked at that are asked for, many at once. Places are y and x in cells of the
maps; those of kind k are two planes of the goals, 2k and 2k + 1.

Source: DeeperLab, section 3.3; PersonLab, section 3.1 (refinement).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean
from atrous.instances.keypoints.lattice import Lattice, place_of

_ZERO, _NEXT = np.float32(0), np.uint64(1)
CORNERS, CHUNK = 4, 256
"""Keypoints that are corners; cells that go through all steps together, and so stay near."""
_CHUNK = np.uint64(CHUNK)
_B, _C, _D = (np.uint64(2 * n * CHUNK) for n in (1, 2, 3))


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

    rows, columns  (CHUNK,) where the cells are themselves
    at      (CHUNK,) the first of the four cells around, `right` and `below` how far the next are
    along   (2, CHUNK) how far down and along the place is between them
    pairs   (4 * CHUNK,) two channels at each of these cells, as one number
    """

    rows: NDArray[np.float32]
    columns: NDArray[np.float32]
    at: NDArray[np.int32]
    right: NDArray[np.int32]
    below: NDArray[np.int32]
    along: NDArray[np.float32]
    pairs: NDArray[np.uint64]


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
        np.empty(CHUNK, np.float32),
        np.empty(CHUNK, np.float32),
        np.empty(CHUNK, np.int32),
        np.empty(CHUNK, np.int32),
        np.empty(CHUNK, np.int32),
        np.empty((2, CHUNK), np.float32),
        np.empty(4 * CHUNK, np.uint64),
    )
    for first in range(0, cells.size, CHUNK):
        some = cells[first : min(first + CHUNK, cells.size)]
        _place(grid, some, room)
        for kind in range(kinds):
            y = goals[2 * kind, first : first + some.size]
            x = goals[2 * kind + 1, first : first + some.size]
            _begin(long, 2 * kinds, 2 * kind, some, inverse, y, x, room)
            for _ in range(rounds.corners if kind < CORNERS else rounds.centres):
                _follow(long, grid, 2 * kinds, 2 * kind, inverse, y, x, room)
            for _ in range(rounds.steps):
                _follow(short, grid, 2 * kinds, 2 * kind, inverse, y, x, room)


@lean
def _place(grid: Lattice, cells: NDArray[np.int64], room: Room) -> None:
    """Where cells are."""
    for n in range(np.uint64(cells.size)):
        row, column = place_of(grid, cells[n])
        room.rows[n], room.columns[n] = np.float32(row), np.float32(column)


@lean
def _begin(
    field: NDArray[np.float32],
    channels: int,
    channel: int,
    cells: NDArray[np.int64],
    inverse: np.float32,
    y: NDArray[np.float32],
    x: NDArray[np.float32],
    room: Room,
) -> None:
    """Where cells point to by their own offsets, in two channels."""
    for n in range(np.uint64(cells.size)):
        at = np.uint64(cells[n] * channels + channel)
        y[n] = room.rows[n] + field[at] * inverse
        x[n] = room.columns[n] + field[at + _NEXT] * inverse


@lean
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
    pairs = np.int32(channels // 2), np.int32(channel // 2)
    _locate(grid, *pairs, y, x, room)
    _pick(field.view(np.uint64), room, np.uint64(y.size))
    values = room.pairs.view(np.float32)
    _move(values, room.along[0], room.along[1], inverse, y, x)


@lean
def _locate(
    grid: Lattice,
    kinds: np.int32,
    kind: np.int32,
    y: NDArray[np.float32],
    x: NDArray[np.float32],
    room: Room,
) -> None:
    """Finds the pairs of values around places, of those outside at the border; of NaN at the start.

    A next cell that has no share is the first one again, for it may be no number.
    """
    columns, line = np.int32(grid.columns), np.int32(grid.columns) * kinds
    last_y, last_x, none = np.float32(grid.last_y), np.float32(grid.last_x), np.int32(0)
    at, right, below = room.at, room.right, room.below
    downs, alongs = room.along[0], room.along[1]
    for n in range(np.uint64(y.size)):
        v, u = (y[n] if y[n] > _ZERO else _ZERO), (x[n] if x[n] > _ZERO else _ZERO)
        v, u = (v if v < last_y else last_y), (u if u < last_x else last_x)
        i, j = np.int32(v), np.int32(u)
        down, along = v - np.float32(i), u - np.float32(j)
        at[n] = (i * columns + j) * kinds + kind
        right[n], below[n] = (kinds if along > _ZERO else none), (line if down > _ZERO else none)
        downs[n], alongs[n] = down, along


@lean
def _pick(field: NDArray[np.uint64], room: Room, count: np.uint64) -> None:
    """Gathers two channels at once at the four cells around each place."""
    for n in range(count):
        a, along = np.uint64(room.at[n]), np.uint64(room.right[n])
        c = a + np.uint64(room.below[n])
        room.pairs[n], room.pairs[n + _CHUNK] = field[a], field[a + along]
        room.pairs[n + 2 * _CHUNK], room.pairs[n + 3 * _CHUNK] = field[c], field[c + along]


@lean
def _move(
    values: NDArray[np.float32],
    downs: NDArray[np.float32],
    alongs: NDArray[np.float32],
    inverse: np.float32,
    y: NDArray[np.float32],
    x: NDArray[np.float32],
) -> None:
    """Moves places by the bilinear means of pairs of values; what is no number moves nothing."""
    for n in range(np.uint64(y.size)):
        at, down, along = n + n, downs[n], alongs[n]
        a, b, c, d = values[at], values[at + _B], values[at + _C], values[at + _D]
        upper, lower = a + (b - a) * along, c + (d - c) * along
        y_move, to = (upper + (lower - upper) * down) * inverse, at + _NEXT
        a, b, c, d = values[to], values[to + _B], values[to + _C], values[to + _D]
        upper, lower = a + (b - a) * along, c + (d - c) * along
        x_move = (upper + (lower - upper) * down) * inverse
        y[n] += y_move if y_move - y_move == _ZERO else _ZERO
        x[n] += x_move if x_move - x_move == _ZERO else _ZERO


@lean
def spread_out(
    goals: NDArray[np.float32], cells: NDArray[np.int64], planes: NDArray[np.float32]
) -> None:
    """Copies the goals of cells to where these are in planes (2 * kinds, cells) of all."""
    for channel in range(goals.shape[0]):
        for n in range(np.uint64(cells.size)):
            planes[channel, cells[n]] = goals[channel, n]
