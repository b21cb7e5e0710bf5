"""Short-range votes: the cells of a keypoint's disk point to the keypoint.

Blocks are those of `splat`.

Source: DeeperLab, section 3.3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.instances.keypoints import hough, splat
from atrous.instances.keypoints.hough import Ballots, Tiles
from atrous.instances.keypoints.lattice import Lattice, between, ends, place_of, plane
from atrous.instances.keypoints.splat import Room

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
    found, counts = _warm(heat, grid, kinds, least)
    places, weights = np.zeros(2 * ROOM, np.float32), np.zeros(ROOM, np.float32)
    room = hough.ballots(ROOM)
    for kind in range(kinds):
        for first in range(0, counts[kind], ROOM):
            count = np.uint64(min(ROOM, counts[kind] - first))
            for n in range(count):
                cell = int(found[kind, np.uint64(first) + n])
                (row, column), at = place_of(grid, cell), np.uint64(cell * kinds + kind)
                weights[n] = heat[at] if _ZERO < heat[at] < _HUGE else _ZERO
                places[n] = np.float32(row) + short[_TWO * at] * inverse
                places[n + _ROOM] = np.float32(column) + short[_TWO * at + _NEXT] * inverse
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
    """`cast` on a finer grid than that of the maps, many blocks of a kind together."""
    found, counts = _warm(heat, grid, kinds, least)
    space, warmth = splat.room(grid.ratio), np.zeros(4 * splat.LANES, np.float32)
    size = grid.ratio * grid.ratio
    places, weights = np.zeros(2 * size, np.float32), np.zeros(size, np.float32)
    room = hough.ballots(size)
    for kind in range(kinds):
        for first in range(0, counts[kind], splat.LANES):
            blocks = found[kind, first : min(first + splat.LANES, counts[kind])]
            whole = _ready(heat, short, grid, kinds, kind, blocks, inverse, space, warmth)
            _weigh(space, warmth, least, whole)
            splat.cast(votes, kind, hough.SHORT, grid.ratio, space, whole)
            for n in range(blocks.size - whole):
                i, j = place_of(grid, int(blocks[n]))
                count = _gather(
                    heat, short, grid, kinds, kind, i, j, least, inverse, places, weights
                )
                _flush(votes, kind, grid.ratio, places, weights, room, int(count))


@compiled
def _warm(
    heat: NDArray[np.float32], grid: Lattice, kinds: int, least: np.float32
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The blocks (kinds, n) with a warm cell at a corner, and how many there are of each kind.

    On the maps' own grid a block is a cell, and has no other corner.
    """
    line, size = np.uint64(grid.columns * kinds), grid.columns * kinds
    found, counts = np.empty((kinds, grid.rows * grid.columns), np.int32), np.zeros(kinds, np.int64)
    warm = np.zeros((size + kinds + 7) // 8 * 8, np.uint8)
    for i in range(min(grid.rows, -(-grid.height // grid.ratio))):
        is_wide = grid.ratio > 1 and i + 1 < grid.rows
        below = line if is_wide else np.uint64(0)
        _mark(heat, np.uint64(i) * line, below, least, warm[:size])
        for n in range(np.uint64(size if grid.ratio > 1 else 0)):
            warm[n] |= warm[n + np.uint64(kinds)]
        most = min(grid.columns, -(-grid.width // grid.ratio)) * kinds
        _list(warm, most, kinds, i * grid.columns, found, counts)
    return found, counts


@compiled
def _list(
    warm: NDArray[np.uint8],
    most: int,
    kinds: int,
    first: int,
    found: NDArray[np.int32],
    counts: NDArray[np.int64],
) -> None:
    """Adds what is marked in a row to the list of its kind; eight marks are passed over at once."""
    words, none, per_kind = warm.view(np.uint64), np.uint64(0), 1.0 / kinds
    for word in range((most + 7) // 8):
        if words[word] != none:
            for n in range(word * 8, min((word + 1) * 8, most)):
                if warm[n]:
                    column = int((n + 0.5) * per_kind)
                    kind = n - column * kinds
                    found[kind, counts[kind]] = first + column
                    counts[kind] += 1


@compiled
def _ready(
    heat: NDArray[np.float32],
    short: NDArray[np.float32],
    grid: Lattice,
    kinds: int,
    kind: int,
    blocks: NDArray[np.int32],
    inverse: np.float32,
    space: Room,
    warmth: NDArray[np.float32],
) -> int:
    """The terms of whole blocks; how many there are.

    Those that are cut off or not all numbers are the first of `blocks` then.
    """
    near, line = np.uint64(kinds), np.uint64(grid.columns * kinds)
    terms, lanes, n, odd = space.terms, np.uint64(splat.LANES), np.uint64(0), 0
    for place in range(blocks.size):
        block = int(blocks[place])
        i, j = place_of(grid, block)
        at, total = np.uint64(block * kinds + kind), _HUGE
        if (i + 1) * grid.ratio <= grid.height and (j + 1) * grid.ratio <= grid.width:
            a, b, c, d = plane(heat, at, line, near, _ONE)
            y0, y1, y2, y3 = plane(short, _TWO * at, _TWO * line, _TWO * near, inverse)
            x0, x1, x2, x3 = plane(short, _TWO * at + _NEXT, _TWO * line, _TWO * near, inverse)
            total = (
                abs(b) + abs(c) + abs(d) + abs(y1) + abs(y2) + abs(y3) + abs(x1) + abs(x2) + abs(x3)
            )
        if total < _HUGE:
            terms[n], terms[n + lanes] = y0 + np.float32(i), y1 + _ONE
            terms[n + 2 * lanes], terms[n + 3 * lanes] = y2, y3
            terms[n + 4 * lanes], terms[n + 5 * lanes] = x0 + np.float32(j), x1
            terms[n + 6 * lanes], terms[n + 7 * lanes] = x2 + _ONE, x3
            warmth[n], warmth[n + lanes] = a, b
            warmth[n + 2 * lanes], warmth[n + 3 * lanes] = c, d
            n += _NEXT
        else:
            blocks[odd] = block
            odd += 1
    return int(n)


@compiled
def _weigh(space: Room, warmth: NDArray[np.float32], least: np.float32, count: int) -> None:
    """The heat of all cells of blocks, 0 for what is not warm."""
    lanes = np.uint64(splat.LANES)
    for cell in range(space.parts.shape[1]):
        u, v, first = space.parts[0, cell], space.parts[1, cell], np.uint64(cell) * lanes
        for n in range(np.uint64(count)):
            heat = (warmth[n] + warmth[n + 2 * lanes] * v) + (
                warmth[n + lanes] + warmth[n + 3 * lanes] * v
            ) * u
            space.weights[first + n] = heat if (heat >= least) & (heat > _ZERO) else _ZERO


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
    hough.share(votes, kind, ratio, places, y, x, weights, count, room)
    hough.cast(votes, hough.SHORT, room, count)


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
    places: NDArray[np.float32],
    weights: NDArray[np.float32],
) -> np.uint64:
    """Gathers the votes of the cells in one block; how many there are."""
    at, ratio = np.uint64((i * grid.columns + j) * kinds + kind), grid.ratio
    step = np.float32(1 / ratio)
    near = np.uint64(kinds if j + 1 < grid.columns else 0)
    line = np.uint64(grid.columns * kinds if i + 1 < grid.rows else 0)
    bottom = min((i + 1) * ratio, grid.height)
    right = min((j + 1) * ratio, grid.width)
    n, room = np.uint64(0), np.uint64(weights.size)
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
