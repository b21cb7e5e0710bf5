"""Cells of things, blocks of the decoding's cells that hold any, and the maps' cells around these.

A block is what lies between four cells of the maps, with its first row and column. At the lower and
the right border of the maps there is nothing beyond: a block there is a row, or a column.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean
from atrous.instances.keypoints.lattice import Lattice, place_of


class Patches(NamedTuple):
    """Blocks with things in them.

    blocks    (n,) their first cell among those of the maps, counted row by row
    is_whole  (n,) 1 if all cells of a full block are things
    is_thing  (h, w) 1 for the cells of things
    """

    blocks: NDArray[np.int32]
    is_whole: NDArray[np.uint8]
    is_thing: NDArray[np.uint8]


def thing_cells(
    classes: NDArray[np.uint8] | NDArray[np.uint16], is_thing: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which cells of a class map are things; void is none."""
    known = np.zeros(1 << 8 * classes.itemsize, np.bool_)
    known[: len(is_thing)] = is_thing
    cells = np.ascontiguousarray(classes).reshape(-1)
    found, whole = np.empty(cells.size, np.bool_), cells.size // 8 * 8 if cells.itemsize == 1 else 0
    words = cells[:whole].view(np.uint64), found[:whole].view(np.uint64)
    _look_up_words(cells, known, found, *words)
    _look_up(cells[whole:], known, found[whole:])
    return found.reshape(classes.shape)


@lean
def _look_up(classes: NDArray[Any], known: NDArray[np.bool_], found: NDArray[np.bool_]) -> None:
    for n in range(np.uint64(classes.size)):
        found[n] = known[classes[n]]


@lean
def _look_up_words(
    classes: NDArray[Any],
    known: NDArray[np.bool_],
    found: NDArray[np.bool_],
    words: NDArray[np.uint64],
    found_words: NDArray[np.uint64],
) -> None:
    """`_look_up` of eight classes at once: most often they are those of the eight before."""
    last = -1
    for n in range(words.size):
        if last < 0 or words[n] != words[last]:
            for at in range(np.uint64(8 * n), np.uint64(8 * n + 8)):
                found[at] = known[classes[at]]
            last = n
        else:
            found_words[n] = found_words[last]


def patches(is_thing: NDArray[np.bool_], grid: Lattice) -> tuple[Patches, NDArray[np.bool_]]:
    """The blocks of a mask (h, w), and the cells (rows, columns) of the maps around them."""
    mask = np.ascontiguousarray(is_thing).view(np.uint8)
    room = grid.rows * grid.columns
    blocks, is_whole = np.empty(room, np.int32), np.empty(room, np.uint8)
    needed = np.zeros((grid.rows, grid.columns), np.bool_)
    count = _find(mask, grid, blocks, is_whole, needed.view(np.uint8))
    return Patches(blocks[:count].copy(), is_whole[:count].copy(), mask), needed


@compiled
def _find(
    mask: NDArray[np.uint8],
    grid: Lattice,
    blocks: NDArray[np.int32],
    is_whole: NDArray[np.uint8],
    needed: NDArray[np.uint8],
) -> int:
    sums, ratio, count = np.zeros(grid.columns * grid.ratio, np.uint8), grid.ratio, 0
    for i in range(min(grid.rows, -(-grid.height // ratio))):
        sums[:] = 0
        for row in range(i * ratio, min((i + 1) * ratio, grid.height)):
            for x in range(np.uint64(grid.width)):
                sums[x] += mask[row, x]
        for j in range(-(-grid.width // ratio)):
            total = 0
            for x in range(j * ratio, (j + 1) * ratio):
                total += sums[np.uint64(x)]
            if total:
                blocks[count], is_whole[count] = i * grid.columns + j, total == ratio * ratio
                below, right = min(i + 1, grid.rows - 1), min(j + 1, grid.columns - 1)
                needed[i, j] = needed[i, right] = needed[below, j] = needed[below, right] = 1
                count += 1
    return count


@lean
def around(grid: Lattice, block: int) -> tuple[int, int, np.uint64, np.uint64]:
    """Row and column of a block, and how far the next cell of the maps is along and down."""
    i, j = place_of(grid, block)
    near = np.uint64(1 if j + 1 < grid.columns else 0)
    return i, j, near, np.uint64(grid.columns if i + 1 < grid.rows else 0)


@lean
def extent(grid: Lattice, i: int, j: int) -> tuple[int, int, int, int]:
    """First row and column of a block in the decoding, and those behind its last."""
    ratio = grid.ratio
    bottom, right = min((i + 1) * ratio, grid.height), min((j + 1) * ratio, grid.width)
    return i * ratio, j * ratio, bottom, right
