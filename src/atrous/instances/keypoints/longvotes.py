"""Long-range votes: all cells of a thing point to its keypoints.

Source: DeeperLab, section 3.3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean
from atrous.instances.keypoints import hough, splat
from atrous.instances.keypoints.hough import Tiles
from atrous.instances.keypoints.lattice import Lattice, blended, plane
from atrous.instances.keypoints.patches import Patches, around, extent
from atrous.instances.keypoints.splat import Room

_ZERO, _ONE, _HUGE, _NAN = (np.float32(n) for n in (0, 1, 1e30, np.nan))
_ALL = np.uint64(splat.LANES)
CHUNK = 1024


@compiled
def cast_cells(goals: NDArray[np.float32], cells: int, votes: Tiles) -> None:
    """Casts a vote for each goal (2 * kinds, n or more) of n `cells`."""
    room, ones = hough.ballots(CHUNK), np.ones(CHUNK, np.float32)
    before = np.empty(CHUNK, np.int32)
    places, size = goals.reshape(-1), goals.shape[1]
    for first in range(0, cells, CHUNK):
        count = min(CHUNK, cells - first)
        for kind in range(goals.shape[0] // 2):
            y = np.uint64(2 * kind * size + first)
            before[:] = hough.first_tile(votes, kind)
            hough.share(votes, 1, places, y, y + np.uint64(size), ones, before, count, room)
            hough.cast(votes, hough.LONG, room, count)


@compiled
def cast_blocks(cells: NDArray[np.float32], patches: Patches, grid: Lattice, votes: Tiles) -> None:
    """Casts a vote for each thing's cell in blocks; `cells` (2 * kinds, n) are the maps' goals."""
    space, all_one, odd = splat.room(grid.ratio), True, False
    for first in range(0, patches.blocks.size, splat.LANES):
        blocks = patches.blocks[first : min(first + splat.LANES, patches.blocks.size)]
        is_whole = patches.is_whole[first : first + blocks.size]
        all_one = _weigh(space, blocks, is_whole, patches.is_thing, grid, all_one)
        for kind in range(cells.shape[0] // 2):
            y, x = cells[2 * kind], cells[2 * kind + 1]
            odd |= _ready(y, x, grid, blocks, space)
            space.before[:] = hough.first_tile(votes, kind)
            splat.cast(votes, hough.LONG, grid.ratio, space, blocks.size)
    if odd:
        _cast_odd(cells, patches, grid, votes, space)


@lean
def _cast_odd(
    cells: NDArray[np.float32], patches: Patches, grid: Lattice, votes: Tiles, space: Room
) -> None:
    """`cast_blocks` of those that are not all numbers; apart, for these are rare."""
    for kind in range(cells.shape[0] // 2):
        for n in range(patches.blocks.size):
            y, x = cells[2 * kind], cells[2 * kind + 1]
            _cast_one(y, x, grid, int(patches.blocks[n]), patches.is_thing, votes, kind, space)


@lean
def _weigh(
    space: Room,
    blocks: NDArray[np.int32],
    is_whole: NDArray[np.uint8],
    is_thing: NDArray[np.uint8],
    grid: Lattice,
    all_one: bool,
) -> bool:
    """1 for the cells of things in blocks, else 0; whether all weights are 1, as `all_one` says."""
    if all_one and is_whole.all():
        return True
    space.weights[:] = _ONE
    for n in range(blocks.size):
        if is_whole[n]:
            continue
        i, j, _, _ = around(grid, int(blocks[n]))
        top, left, bottom, right = extent(grid, i, j)
        for cell in range(grid.ratio * grid.ratio):
            row, column = top + cell // grid.ratio, left + cell % grid.ratio
            there = row < bottom and column < right and is_thing[row, column] != 0
            space.weights[cell * splat.LANES + n] = _ONE if there else _ZERO
    return False


@lean
def _terms(
    y: NDArray[np.float32], x: NDArray[np.float32], grid: Lattice, block: int
) -> tuple[np.float32, ...]:
    """The terms of a block and, last, whether they are numbers: huge if not."""
    _, _, near, line = around(grid, block)
    a, b, c, d = plane(y, np.uint64(block), line, near, _ONE)
    e, f, g, h = plane(x, np.uint64(block), line, near, _ONE)
    total = abs(a) + abs(b) + abs(c) + abs(d) + abs(e) + abs(f) + abs(g) + abs(h)
    return a, b, c, d, e, f, g, h, total


@lean
def _ready(
    y: NDArray[np.float32],
    x: NDArray[np.float32],
    grid: Lattice,
    blocks: NDArray[np.int32],
    space: Room,
) -> bool:
    """The terms of blocks; whether there are any that are not all numbers."""
    terms, odd = space.terms, False
    for n in range(np.uint64(blocks.size)):
        a, b, c, d, e, f, g, h, total = _terms(y, x, grid, int(blocks[n]))
        if not total < _HUGE:
            a, e, odd = _NAN, _NAN, True
        terms[n], terms[n + _ALL], terms[n + 2 * _ALL], terms[n + 3 * _ALL] = a, b, c, d
        terms[n + 4 * _ALL], terms[n + 5 * _ALL] = e, f
        terms[n + 6 * _ALL], terms[n + 7 * _ALL] = g, h
    return odd


@lean
def _cast_one(
    y: NDArray[np.float32],
    x: NDArray[np.float32],
    grid: Lattice,
    block: int,
    is_thing: NDArray[np.uint8],
    votes: Tiles,
    kind: int,
    space: Room,
) -> None:
    """Casts the votes of a block that is not all numbers; of another one, none."""
    if _terms(y, x, grid, block)[8] < _HUGE:
        return
    i, j, near, line = around(grid, block)
    top, left, bottom, right = extent(grid, i, j)
    count, behind, first = 0, space.strong.size, hough.first_tile(votes, kind)
    for row in range(top, bottom):
        for column in range(left, right):
            if is_thing[row, column]:
                part = (
                    np.float32((row - top) / grid.ratio),
                    np.float32((column - left) / grid.ratio),
                )
                space.places[count] = blended(y, np.uint64(block), near, line, part)
                space.places[count + behind] = blended(x, np.uint64(block), near, line, part)
                space.strong[count], space.origin[count] = _ONE, first
                count += 1
    to, held = (np.uint64(0), np.uint64(behind)), space.ballots
    hough.share(votes, grid.ratio, space.places, *to, space.strong, space.origin, count, held)
    hough.cast(votes, hough.LONG, space.ballots, count)
