"""Long-range offsets: where the cells of things point to once refined, and the votes they cast.

Only cells of things are looked at. Most of one span point to one neighbourhood; there a map is one
formula without branches, so that many cells are sampled at once. Places are y
and x in cells of the maps. Those of kind k are two planes of the goals, 2k and 2k + 1, in which
every span has `MOST` numbers; what a span has no cells for repeats its first.

Source: DeeperLab, section 3.3; PersonLab, section 3.1 (refinement).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.instances import tiles
from atrous.instances.lattice import Lattice, ends, pair, plane
from atrous.instances.spans import MOST, Spans
from atrous.instances.tiles import Ballots, Tiles

_ZERO, _HALF, _ONE, _HUGE = (np.float32(n) for n in (0, 0.5, 1, 1e30))
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
    votes: Tiles,
    room: Ballots,
) -> None:
    """Fills in goals (2 * kinds, spans * MOST), and casts a vote for each.

    room  for CHUNK * MOST votes; without any nobody votes
    """
    kinds, inverse, weights = (
        goals.shape[0] // 2,
        np.float32(rounds.inverse),
        np.ones(CHUNK * MOST, np.float32),
    )
    places, plane, starts, counts = goals.reshape(-1), goals.shape[1], spans.starts, spans.counts
    for first in range(0, starts.size, CHUNK):
        last = min(first + CHUNK, starts.size)
        _weigh(counts, first, last, weights)
        for kind in range(kinds):
            y = np.uint64(2 * kind * plane)
            x, two = y + np.uint64(plane), 2 * kind
            _spread(long, grid, 2 * kinds, two, starts, counts, first, last, inverse, places, y, x)
            for _ in range(rounds.corners if kind < CORNERS else rounds.centres):
                _follow(long, grid, 2 * kinds, two, first, last, inverse, places, y, x)
            for _ in range(rounds.steps):
                _follow(short, grid, 2 * kinds, two, first, last, inverse, places, y, x)
            if room.cell.size:
                begin, size = np.uint64(first * MOST), (last - first) * MOST
                to = y + begin, x + begin
                tiles.share(votes, kind, grid.ratio, places, *to, weights, size, room)
                tiles.cast(votes, tiles.LONG, room, size)


@compiled
def _weigh(counts: NDArray[np.int64], first: int, last: int, weights: NDArray[np.float32]) -> None:
    """1 for the cells of spans, 0 for what only fills them up."""
    for span in range(first, last):
        for n in range(MOST):
            weights[(span - first) * MOST + n] = _ONE if n < counts[span] else _ZERO


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
    step, per_row, ratio = np.float32(1 / grid.ratio), 1.0 / grid.width, np.float32(grid.ratio)
    for span in range(first, last):
        start, row = starts[span], int((starts[span] + 0.5) * per_row)
        y, x = np.float32(row) * step, np.float32(start - row * grid.width) * step
        i, j = min(int(y), grid.rows - 1), min(int(x), grid.columns - 1)
        line = np.uint64(grid.columns * channels if i + 1 < grid.rows else 0)
        part, along, n = y - np.float32(i), x - np.float32(j), np.uint64(span) * _LANES
        begin, stop = n, n + np.uint64(counts[span])
        while n < stop:
            at = np.uint64((i * grid.columns + j) * channels + channel)
            near = np.uint64(channels if j + 1 < grid.columns else 0)
            a, b = ends(field, at, near, line, part)
            c, d = ends(field, at + _NEXT, near, line, part)
            a, b = y + a * inverse, (b - a) * inverse
            c, d = np.float32(j) + c * inverse, (d - c) * inverse + _ONE
            end = min(n + np.uint64((_ONE - along) * ratio + _HALF), stop)
            if along == _ZERO:  # then it does not matter what stands beyond, be it no number
                places[to_y + n], places[to_x + n], along, n = a, c, step, n + _NEXT
            while n < end:
                places[to_y + n], places[to_x + n] = a + b * along, c + d * along
                along, n = along + step, n + _NEXT
            along, j = _ZERO, j + 1
        for m in range(stop, begin + _LANES):
            places[to_y + m], places[to_x + m] = places[to_y + begin], places[to_x + begin]


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
