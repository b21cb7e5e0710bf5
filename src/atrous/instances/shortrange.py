"""Short-range votes: the cells of a keypoint's disk point to the keypoint.

A block is what lies between four cells of the maps, with its first row and column.

Source: DeeperLab, section 3.3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.instances import tiles
from atrous.instances.lattice import Lattice, between, ends, plane
from atrous.instances.tiles import Ballots, Tiles

_ZERO, _ONE, _HUGE = np.float32(0), np.float32(1), np.float32(1e30)
_NEXT, _TWO = np.uint64(1), np.uint64(2)
ROOM = 1024
_ROOM = np.uint64(ROOM)


def cast(
    heat: NDArray[np.float32],
    short: NDArray[np.float32],
    grid: Lattice,
    votes: Tiles,
    kinds: int,
    least_heat: float,
    inverse: float,
) -> None:
    """Casts the votes of all cells of at least `least_heat`, weighted by it.

    heat     flat, a channel a kind; `short` has two; inverse: one over the stride of the maps
    """
    work = _cast_cells if grid.ratio == 1 else _cast_blocks
    work(heat, short, grid, votes, kinds, np.float32(least_heat), np.float32(inverse))


@compiled
def _cast_cells(
    heat: NDArray[np.float32],
    short: NDArray[np.float32],
    grid: Lattice,
    votes: Tiles,
    kinds: int,
    least: np.float32,
    inverse: np.float32,
) -> None:
    """`cast` on the maps' own grid."""
    places, weights = np.zeros(2 * ROOM, np.float32), np.zeros(ROOM, np.float32)
    room, warm = tiles.ballots(ROOM), np.zeros(grid.columns * kinds, np.uint8)
    for i in range(grid.height):
        _mark(heat, np.uint64(i * grid.columns * kinds), np.uint64(0), least, warm)
        for kind in range(kinds):
            count = np.uint64(0)
            for j in range(grid.width):
                if warm[j * kinds + kind]:
                    at = np.uint64((i * grid.columns + j) * kinds + kind)
                    weights[count] = heat[at]
                    places[count] = np.float32(i) + short[_TWO * at] * inverse
                    places[count + _ROOM] = np.float32(j) + short[_TWO * at + _NEXT] * inverse
                    count += _NEXT if _ZERO < heat[at] < _HUGE else np.uint64(0)
                    if count == _ROOM:
                        _flush(votes, kind, 1, places, weights, room, ROOM)
                        count = np.uint64(0)
            _flush(votes, kind, 1, places, weights, room, int(count))


@compiled
def _cast_blocks(
    heat: NDArray[np.float32],
    short: NDArray[np.float32],
    grid: Lattice,
    votes: Tiles,
    kinds: int,
    least: np.float32,
    inverse: np.float32,
) -> None:
    """`cast` on a finer grid than that of the maps, all blocks of a row and a kind together."""
    size, line = grid.columns * grid.ratio**2, np.uint64(grid.columns * kinds)
    places, weights = np.zeros(2 * size, np.float32), np.zeros(size, np.float32)
    room, warm = tiles.ballots(size), np.zeros((grid.columns + 1) * kinds, np.uint8)
    us, vs = _parts(grid.ratio)
    for i in range(grid.rows):
        below = line if i + 1 < grid.rows else np.uint64(0)
        _mark(heat, np.uint64(i) * line, below, least, warm[: grid.columns * kinds])
        for kind in range(kinds):
            count = _fill(
                *(heat, short, grid, kinds, kind, i, warm, us, vs, least, inverse),
                *(places, weights),
            )
            _flush(votes, kind, grid.ratio, places, weights, room, count)


@compiled
def _mark(
    heat: NDArray[np.float32],
    at: np.uint64,
    below: np.uint64,
    least: np.float32,
    warm: NDArray[np.uint8],
) -> None:
    """How many of two cells of the maps are warm, for a row and the one below, all kinds."""
    for n in range(np.uint64(warm.size)):
        warm[n] = np.uint8(heat[at + n] >= least) + np.uint8(heat[at + n + below] >= least)


@compiled
def _parts(ratio: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How far the cells of a block lie behind its first row and column."""
    us, vs = np.empty(ratio * ratio, np.float32), np.empty(ratio * ratio, np.float32)
    for n in range(us.size):
        us[n], vs[n] = np.float32(n // ratio / ratio), np.float32(n % ratio / ratio)
    return us, vs


@compiled
def _flush(
    votes: Tiles,
    kind: int,
    ratio: int,
    places: NDArray[np.float32],
    weights: NDArray[np.float32],
    room: Ballots,
    count: int,
) -> None:
    """Casts the votes that were gathered."""
    y, x = np.uint64(0), np.uint64(weights.size)
    tiles.share(votes, kind, ratio, places, y, x, weights, count, room)
    tiles.cast(votes, tiles.SHORT, room, count)


@compiled
def _fill(
    heat: NDArray[np.float32],
    short: NDArray[np.float32],
    grid: Lattice,
    kinds: int,
    kind: int,
    i: int,
    warm: NDArray[np.uint8],
    us: NDArray[np.float32],
    vs: NDArray[np.float32],
    least: np.float32,
    inverse: np.float32,
    places: NDArray[np.float32],
    weights: NDArray[np.float32],
) -> int:
    """Gathers the votes of a row of blocks; how many there are."""
    n, size, lanes = np.uint64(0), np.uint64(weights.size), np.uint64(us.size)
    columns = (
        min(grid.columns, grid.width // grid.ratio) if (i + 1) * grid.ratio <= grid.height else 0
    )
    near, line = np.uint64(kinds), np.uint64(grid.columns * kinds)
    for j in range(grid.columns):
        corners = warm[j * kinds + kind] + warm[(j + 1) * kinds + kind]
        at, total = np.uint64((i * grid.columns + j) * kinds + kind), _HUGE
        if corners and j < columns:
            a, b, c, d = plane(heat, at, line, near, _ONE)
            y0, y1, y2, y3 = plane(short, _TWO * at, _TWO * line, _TWO * near, inverse)
            x0, x1, x2, x3 = plane(short, _TWO * at + _NEXT, _TWO * line, _TWO * near, inverse)
            total = (
                abs(b) + abs(c) + abs(d) + abs(y1) + abs(y2) + abs(y3) + abs(x1) + abs(x2) + abs(x3)
            )
        if total < _HUGE:
            y0, x0, y1, x2 = y0 + np.float32(i), x0 + np.float32(j), y1 + _ONE, x2 + _ONE
            for k in range(lanes):
                u, v = us[k], vs[k]
                weights[n + k] = (a + c * v) + (b + d * v) * u
                places[n + k] = (y0 + y2 * v) + (y1 + y3 * v) * u
                places[n + k + size] = (x0 + x2 * v) + (x1 + x3 * v) * u
            n = n + lanes if corners == 4 else _sift(places, weights, n, n + lanes, least)
        elif corners:
            n = _gather(heat, short, grid, kinds, kind, i, j, least, inverse, n, places, weights)
    return int(n)


@compiled
def _sift(
    places: NDArray[np.float32],
    weights: NDArray[np.float32],
    count: np.uint64,
    end: np.uint64,
    least: np.float32,
) -> np.uint64:
    """Keeps those votes behind the first `count` that are warm; where they end then."""
    n, size = count, np.uint64(weights.size)
    for m in range(count, end):
        weight = weights[m]
        weights[n], places[n], places[n + size] = weight, places[m], places[m + size]
        n += _NEXT if (weight >= least) & (weight > _ZERO) else np.uint64(0)
    return n


@compiled
def _gather(
    heat: NDArray[np.float32],
    short: NDArray[np.float32],
    grid: Lattice,
    kinds: int,
    kind: int,
    i: int,
    j: int,
    least: np.float32,
    inverse: np.float32,
    count: np.uint64,
    places: NDArray[np.float32],
    weights: NDArray[np.float32],
) -> np.uint64:
    """Adds the votes of the cells in a block to `count` others."""
    at, step, ratio = (
        np.uint64((i * grid.columns + j) * kinds + kind),
        np.float32(1 / grid.ratio),
        grid.ratio,
    )
    near = np.uint64(kinds if j + 1 < grid.columns else 0)
    line = np.uint64(grid.columns * kinds if i + 1 < grid.rows else 0)
    bottom = min((i + 1) * ratio, grid.height)
    right = min((j + 1) * ratio, grid.width)
    n, room = count, np.uint64(weights.size)
    for row in range(i * ratio, bottom):
        part = np.float32(row - i * ratio) * step
        h0, h1 = ends(heat, at, near, line, part)
        y0, y1 = ends(short, _TWO * at, _TWO * near, _TWO * line, part)
        x0, x1 = ends(short, _TWO * at + _NEXT, _TWO * near, _TWO * line, part)
        y, x, along = np.float32(row) * step, np.float32(j), _ZERO
        for _ in range(j * ratio, right):
            warmth = between(h0, h1, along)
            weights[n] = warmth
            places[n] = y + between(y0, y1, along) * inverse
            places[n + room] = x + along + between(x0, x1, along) * inverse
            n += _NEXT if (warmth >= least) & (warmth > _ZERO) & (warmth < _HUGE) else np.uint64(0)
            along += step
    return n
