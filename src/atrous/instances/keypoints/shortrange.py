"""Short-range votes: the cells of a keypoint's disk point to the keypoint.

Blocks are those of `splat`.

Source: DeeperLab, section 3.3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean
from atrous.instances.keypoints import hough, splat
from atrous.instances.keypoints.hough import Ballots, Tiles
from atrous.instances.keypoints.lattice import Lattice, between, ends, place_of, plane
from atrous.instances.keypoints.splat import Room

_ZERO, _ONE, _HUGE = np.float32(0), np.float32(1), np.float32(1e30)
_NEXT, _TWO = np.uint64(1), np.uint64(2)
ROOM = 1024
_ROOM, _NOTHING, _EIGHT = np.uint64(ROOM), np.uint64(0), np.uint64(8)


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
    found = _warm(heat, grid, kinds, least)
    places, weights = np.zeros(2 * ROOM, np.float32), np.zeros(ROOM, np.float32)
    before, room = np.zeros(ROOM, np.int32), hough.ballots(ROOM)
    for first in range(0, found.size, ROOM):
        count = np.uint64(min(ROOM, found.size - first))
        for n in range(count):
            at = np.uint64(found[np.uint64(first) + n])
            cell, kind = _part(at, kinds)
            row, column = place_of(grid, cell)
            weights[n] = heat[at] if _ZERO < heat[at] < _HUGE else _ZERO
            places[n] = np.float32(row) + short[_TWO * at] * inverse
            places[n + _ROOM] = np.float32(column) + short[_TWO * at + _NEXT] * inverse
            before[n] = hough.first_tile(votes, kind)
        _flush(votes, 1, places, weights, before, room, int(count))


@lean
def _part(at: np.uint64, kinds: int) -> tuple[int, int]:
    """The cell of a channel of heat, and its kind."""
    cell = int((float(at) + 0.5) * (1.0 / kinds))
    return cell, int(at) - cell * kinds


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
    """`cast` on a finer grid than that of the maps, many blocks together."""
    found = _warm(heat, grid, kinds, least)
    space, warmth = splat.room(grid.ratio), np.zeros(4 * splat.LANES, np.float32)
    size = grid.ratio * grid.ratio
    places, weights = np.zeros(2 * size, np.float32), np.zeros(size, np.float32)
    before, room = np.zeros(size, np.int32), hough.ballots(size)
    for first in range(0, found.size, splat.LANES):
        blocks = found[first : min(first + splat.LANES, found.size)]
        whole = _ready(heat, short, grid, votes, kinds, blocks, inverse, space, warmth)
        _weigh(space, warmth, least, whole)
        splat.cast(votes, hough.SHORT, grid.ratio, space, whole)
        for n in range(blocks.size - whole):
            at = np.uint64(blocks[n])
            before[:] = hough.first_tile(votes, _part(at, kinds)[1])
            count = _gather(heat, short, grid, kinds, at, least, inverse, places, weights)
            _flush(votes, grid.ratio, places, weights, before, room, int(count))


@compiled
def _warm(
    heat: NDArray[np.float32], grid: Lattice, kinds: int, least: np.float32
) -> NDArray[np.int32]:
    """The blocks with a warm cell at a corner, by the channel of heat at their first cell.

    On the maps' own grid a block is a cell, and has no other corner.
    """
    line, size, count = np.uint64(grid.columns * kinds), grid.columns * kinds, 0
    found = np.empty(grid.rows * size + 1, np.int32)
    warm = np.zeros((size + kinds + 7) // 8 * 8, np.uint8)
    words, most = warm.view(np.uint64), min(grid.columns, -(-grid.width // grid.ratio)) * kinds
    for i in range(min(grid.rows, -(-grid.height // grid.ratio))):
        is_wide = grid.ratio > 1 and i + 1 < grid.rows
        below = line if is_wide else np.uint64(0)
        _mark(heat, np.uint64(i) * line, below, least, warm[:size])
        for n in range(np.uint64(size if grid.ratio > 1 else 0)):
            warm[n] |= warm[n + np.uint64(kinds)]
        warm[most:] = 0
        count = _list(warm, words, i * size, found, count)
    return found[:count]


@lean
def _list(
    warm: NDArray[np.uint8],
    words: NDArray[np.uint64],
    first: int,
    found: NDArray[np.int32],
    count: int,
) -> int:
    """Adds what is marked in a row to the list; eight marks are passed over at once.

    Of eight with any mark each is written, and only those that are marked are counted.
    """
    end = np.uint64(count)
    for word in range(np.uint64(words.size)):
        if words[word] != _NOTHING:
            for n in range(word * _EIGHT, word * _EIGHT + _EIGHT):
                found[end] = np.int32(first) + np.int32(n)
                end += np.uint64(warm[n] != 0)
    return int(end)


@lean
def _ready(
    heat: NDArray[np.float32],
    short: NDArray[np.float32],
    grid: Lattice,
    votes: Tiles,
    kinds: int,
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
        at, total = np.uint64(blocks[place]), _HUGE
        block, kind = _part(at, kinds)
        i, j = place_of(grid, block)
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
            space.before[n] = hough.first_tile(votes, kind)
            n += _NEXT
        else:
            blocks[odd] = blocks[place]
            odd += 1
    return int(n)


@lean
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


@lean
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


@lean
def _flush(
    votes: Tiles,
    ratio: int,
    places: NDArray[np.float32],
    weights: NDArray[np.float32],
    before: NDArray[np.int32],
    room: Ballots,
    count: int,
) -> None:
    """Casts the votes that were gathered."""
    y, x = np.uint64(0), np.uint64(weights.size)
    hough.share(votes, ratio, places, y, x, weights, before, count, room)
    hough.cast(votes, hough.SHORT, room, count)


@lean
def _gather(
    heat: NDArray[np.float32],
    short: NDArray[np.float32],
    grid: Lattice,
    kinds: int,
    at: np.uint64,
    least: np.float32,
    inverse: np.float32,
    places: NDArray[np.float32],
    weights: NDArray[np.float32],
) -> np.uint64:
    """Gathers the votes of the cells in one block; how many there are."""
    (i, j), ratio = place_of(grid, _part(at, kinds)[0]), grid.ratio
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
