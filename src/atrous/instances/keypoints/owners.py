"""Which instance the cells of blocks belong to: most blocks need no search at all.

All goals of a block lie between those of the four cells of the maps around it. Where these are so
near to one instance that there is no rival, so are all between them.

Source: DeeperLab, section 3.3: least Euclidean distance over all keypoints at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean
from atrous.instances.keypoints.lattice import Lattice, blended, place_of
from atrous.instances.keypoints.nearest import MOST, Rivals, Search, search, searching
from atrous.instances.keypoints.patches import Patches, around, extent

_HUGE, _NO = np.float32(1e30), np.int32(-1)


class Held(NamedTuple):
    """Cells that wait to be searched: where they are, and how far down and along in their block."""

    place: NDArray[np.int64]
    down: NDArray[np.float32]
    along: NDArray[np.float32]
    goals: NDArray[np.float32]


@compiled
def assign_blocks(
    cells: NDArray[np.float32],
    patches: Patches,
    grid: Lattice,
    owner: NDArray[np.int32],
    is_sure: NDArray[np.uint8],
    among: Rivals,
    index: NDArray[np.int32],
) -> None:
    """Fills in the index (h, w) of the things' cells in blocks, -1 for those that point nowhere.

    cells           (2 * kinds, n) goals of the cells of the maps
    owner, is_sure  (n,) of these cells, as `nearest.assign` has them
    """
    channels, last = cells.shape[0], 0
    room, held = searching(channels), _held(channels)
    flat, flat_index = patches.is_thing.reshape(-1), index.reshape(-1)
    for n in range(patches.blocks.size):
        block = int(patches.blocks[n])
        _, _, near, line = around(grid, block)
        a = np.uint64(block)
        b, c, d = a + near, a + line, a + line + near
        first = owner[a]
        sure = is_sure[a] & is_sure[b] & is_sure[c] & is_sure[d]
        if sure and first == owner[b] and first == owner[c] and first == owner[d]:
            _fill(flat, grid, block, patches.is_whole[n], first, flat_index)
        else:
            last = _search(cells, patches.is_thing, grid, block, among, last, held, room, index)


@compiled
def _held(channels: int) -> Held:
    return Held(
        np.empty(MOST, np.int64),
        np.empty(MOST, np.float32),
        np.empty(MOST, np.float32),
        np.empty((channels, MOST), np.float32),
    )


@lean
def _fill(
    is_thing: NDArray[np.uint8],
    grid: Lattice,
    block: int,
    is_whole: np.uint8,
    owner: np.int32,
    index: NDArray[np.int32],
) -> None:
    """Gives all things' cells of a block to one owner; both maps are flat."""
    top, left, bottom, right = extent(grid, *place_of(grid, block))
    for row in range(top, bottom):
        first, stop = np.uint64(row * grid.width + left), np.uint64(row * grid.width + right)
        if is_whole:
            for at in range(first, stop):
                index[at] = owner
        else:
            for at in range(first, stop):
                index[at] = owner if is_thing[at] else _NO


@lean
def _search(
    cells: NDArray[np.float32],
    is_thing: NDArray[np.uint8],
    grid: Lattice,
    block: int,
    among: Rivals,
    last: int,
    held: Held,
    room: Search,
    index: NDArray[np.int32],
) -> int:
    """Searches the owners of the things' cells of a block; the last one that was found."""
    top, left, bottom, right = extent(grid, *place_of(grid, block))
    step, flat, count = np.float32(1 / grid.ratio), index.reshape(-1), 0
    for row in range(top, bottom):
        for column in range(left, right):
            if is_thing[row, column]:
                held.place[count] = row * grid.width + column
                held.down[count] = np.float32(row - top) * step
                held.along[count] = np.float32(column - left) * step
                count += 1
                if count == MOST:
                    last = _settle(cells, grid, block, among, last, held, count, room, flat)
                    count = 0
    return _settle(cells, grid, block, among, last, held, count, room, flat)


@lean
def _settle(
    cells: NDArray[np.float32],
    grid: Lattice,
    block: int,
    among: Rivals,
    last: int,
    held: Held,
    count: int,
    room: Search,
    index: NDArray[np.int32],
) -> int:
    """Finds the owners of the first `count` cells that wait."""
    _, _, near, line = around(grid, block)
    at = np.uint64(block)
    for channel in range(cells.shape[0]):
        a, b = cells[channel, at], cells[channel, at + near]
        c, d = cells[channel, at + line], cells[channel, at + line + near]
        if abs(a) + abs(b) + abs(c) + abs(d) < _HUGE:
            c, d = c - a, (d - c) - (b - a)
            b -= a
            for n in range(np.uint64(count)):
                along = held.along[n]
                held.goals[channel, n] = (a + b * along) + (c + d * along) * held.down[n]
        else:
            for n in range(count):
                part = held.down[n], held.along[n]
                held.goals[channel, n] = blended(cells[channel], at, near, line, part)
    last = search(held.goals, np.uint64(0), count, among, last, room)
    for n in range(count):
        index[held.place[n]] = room.owners[n]
    return last
