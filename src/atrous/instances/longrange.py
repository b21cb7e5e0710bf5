"""Long-range offsets: where cells of the maps point to once their offsets are refined.

Only those cells are looked at that are asked for. Most of one span point to one neighbourhood;
there a map is one formula without branches, so that many cells are sampled at once. Places are y
and x in cells of the maps. Those of kind k are two planes of the goals, 2k and 2k + 1, in which
every span has `MOST` numbers; what a span has no cells for repeats its first.

Source: DeeperLab, section 3.3; PersonLab, section 3.1 (refinement).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.instances.lattice import Lattice, pair, plane
from atrous.instances.spans import MOST, Spans

_ZERO, _ONE, _HUGE = (np.float32(n) for n in (0, 1, 1e30))
_NO, _YES = np.int32(0), np.int32(1)
_NEXT, _LANES = np.uint64(1), np.uint64(MOST)
CORNERS = 4
CHUNK = 32
"""Spans that go through all steps together, so that what they need stays near."""


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


@compiled
def point(
    long: NDArray[np.float32],
    short: NDArray[np.float32],
    grid: Lattice,
    rounds: Rounds,
    spans: Spans,
    goals: NDArray[np.float32],
) -> None:
    """Fills in goals (2 * kinds, spans * MOST) of cells in spans; `grid` is that of the maps."""
    kinds, inverse = goals.shape[0] // 2, np.float32(rounds.inverse)
    places, plane, starts, counts = goals.reshape(-1), goals.shape[1], spans.starts, spans.counts
    for first in range(0, starts.size, CHUNK):
        last = min(first + CHUNK, starts.size)
        for kind in range(kinds):
            y = np.uint64(2 * kind * plane)
            x, two = y + np.uint64(plane), 2 * kind
            _spread(long, grid, 2 * kinds, two, starts, counts, first, last, inverse, places, y, x)
            for _ in range(rounds.corners if kind < CORNERS else rounds.centres):
                _follow(long, grid, 2 * kinds, two, first, last, inverse, places, y, x)
            for _ in range(rounds.steps):
                _follow(short, grid, 2 * kinds, two, first, last, inverse, places, y, x)


@compiled
def _spread(
    field: NDArray[np.float32],
    grid: Lattice,
    channels: int,
    channel: int,
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
    first: int,
    last: int,
    inverse: np.float32,
    places: NDArray[np.float32],
    to_y: np.uint64,
    to_x: np.uint64,
) -> None:
    """Where the cells of spans point to by their own offsets, in two channels."""
    for span in range(first, last):
        row, begin = starts[span] // grid.columns, np.uint64(span) * _LANES
        y, x = np.float32(row), np.float32(starts[span] - row * grid.columns)
        at, stop = np.uint64(starts[span] * channels + channel), begin + np.uint64(counts[span])
        for n in range(begin, stop):
            places[to_y + n], places[to_x + n] = (
                y + field[at] * inverse,
                x + field[at + _NEXT] * inverse,
            )
            x, at = x + _ONE, at + np.uint64(channels)
        for n in range(stop, begin + _LANES):
            places[to_y + n], places[to_x + n] = places[to_y + begin], places[to_x + begin]


@compiled
def spread_out(goals: NDArray[np.float32], spans: Spans, cells: NDArray[np.float32]) -> None:
    """Copies goals to where their cells are in planes (2 * kinds, cells) of all."""
    for channel in range(goals.shape[0]):
        for span in range(spans.starts.size):
            start, first = np.uint64(spans.starts[span]), np.uint64(span) * _LANES
            for n in range(np.uint64(spans.counts[span])):
                cells[channel, start + n] = goals[channel, first + n]


@compiled
def _follow(
    field: NDArray[np.float32],
    grid: Lattice,
    channels: int,
    channel: int,
    first: int,
    last: int,
    inverse: np.float32,
    places: NDArray[np.float32],
    to_y: np.uint64,
    to_x: np.uint64,
) -> None:
    """Moves places on by the offsets that stand there, times `inverse`.

    Most of a span are between four cells of the maps: there a map is a polynomial of four terms.
    """
    moves, astray = np.empty(2 * MOST, np.float32), np.empty(MOST, np.int32)
    line = np.uint64(grid.columns * channels if grid.rows > 1 else 0)
    far, middle = np.uint64(channels if grid.columns > 1 else 0), _LANES >> _NEXT
    for span in range(first, last):
        y, x = to_y + np.uint64(span) * _LANES, to_x + np.uint64(span) * _LANES
        i = _corner(places[y + middle], grid.last_y, grid.rows - 2)
        j = _corner(places[x + middle], grid.last_x, grid.columns - 2)
        top, left, strays = np.float32(i), np.float32(j), _NO
        bottom, right = np.float32(grid.last_y) - top, np.float32(grid.last_x) - left
        bottom, right = (bottom if bottom < _ONE else _ONE), (right if right < _ONE else _ONE)
        at = np.uint64((i * grid.columns + j) * channels + channel)
        a0, a1, a2, a3 = plane(field, at, line, far, _ONE)
        b0, b1, b2, b3 = plane(field, at + _NEXT, line, far, _ONE)
        for n in range(_LANES):
            u, v = places[y + n] - top, places[x + n] - left
            down, along = (a0 + a2 * v) + (a1 + a3 * v) * u, (b0 + b2 * v) + (b1 + b3 * v) * u
            is_here = (u >= _ZERO) & (u <= bottom) & (v >= _ZERO) & (v <= right)
            astray[n] = _NO if is_here & (abs(down) + abs(along) < _HUGE) else _YES
            strays = np.int32(strays | astray[n])
            moves[n], moves[n + _LANES] = down, along
        for n in range(_LANES if strays else np.uint64(0)):
            if astray[n]:
                v, u = places[y + n], places[x + n]
                moves[n], moves[n + _LANES] = pair(field, grid, channels, channel, v, u)
        for n in range(_LANES):
            places[y + n] += moves[n] * inverse
            places[x + n] += moves[n + _LANES] * inverse


@compiled
def _corner(at: np.float32, last: float, most: int) -> int:
    """The first of the two cells around a place, which has one behind it if there is another."""
    at = at if at > _ZERO else _ZERO
    return max(min(int(min(np.float64(at), last)), most), 0)
