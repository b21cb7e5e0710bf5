"""The cells around pixels: where pixels lie between them, and whose they are.

Source: ours; which cell decides for a pixel is said in `fuse.to_pixels`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled, lean

_NOBODY, _NO_THING = np.int32(-1), np.int32(-2)


class Axis(NamedTuple):
    """Where pixels lie between cells along a side.

    low   (n,) the cell before, and at or after it the second one, `high`
    part  (n,) how far behind it
    until (cells,) the first pixel that lies behind a later cell
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    part: NDArray[np.float64]
    until: NDArray[np.int64]


class Grid(NamedTuple):
    """Instance (-1 = none) and class of the cells of a grid, flat, and the width of the grid.

    is_same  whether the cells are the pixels
    """

    owner: NDArray[np.int32]
    classes: NDArray[Any]
    width: int
    is_same: bool


def axis(positions: NDArray[np.float64], cells: int) -> Axis:
    """Pixels at rising positions among `cells` cells."""
    low = np.minimum(np.floor(positions).astype(np.int64), cells - 1)
    until = np.searchsorted(low, np.arange(cells), side="right")
    return Axis(low, np.minimum(low + 1, cells - 1), positions - low, until)


class Around(NamedTuple):
    """Who is around the pixels between two rows of cells, for each cell on their left.

    owner  the one instance of all cells of things around; less than 0 if there is not one
    until  the first pixel with another one
    lower  whose the cells of the lower row are, and `seen` (1,) which row that is
    """

    owner: NDArray[np.int32]
    until: NDArray[np.int64]
    lower: NDArray[np.int32]
    seen: NDArray[np.int64]


@compiled
def around(cells: int) -> Around:
    """Room for a row of so many cells."""
    lower, seen = np.empty(cells, np.int32), np.full(1, -1)
    return Around(np.empty(cells, np.int32), np.empty(cells, np.int64), lower, seen)


@lean
def look(
    grid: Grid, is_thing: NDArray[np.bool_], above: int, below: int, columns: Axis, around: Around
) -> None:
    """Looks at two rows of cells. No cell that is no thing is the best one beside one that is."""
    owner, until, width = around.owner, around.until, grid.width
    if around.seen[0] != above:
        _see(grid, is_thing, above, around.lower)
    for j in range(np.uint64(width)):
        owner[j] = around.lower[j]
    if below != above:
        _see(grid, is_thing, below, around.lower)
    around.seen[0] = below
    for j in range(width):
        owner[j] = _one(owner[j], around.lower[j])
    for j in range(width - 1):
        owner[j] = _one(owner[j], owner[j + 1])
    for n in range(width):
        j = width - 1 - n
        is_same = n > 0 and owner[j] == owner[j + 1]
        until[j] = until[j + 1] if is_same else columns.until[j]


@lean
def _see(grid: Grid, is_thing: NDArray[np.bool_], row: int, found: NDArray[np.int32]) -> None:
    """Whose the things' cells of a row are."""
    first = np.uint64(row * grid.width)
    for j in range(np.uint64(grid.width)):
        at = first + j
        found[j] = grid.owner[at] if is_thing[grid.classes[at]] else _NO_THING


@lean
def _one(a: np.int32, b: np.int32) -> np.int32:
    """Who two of `Around.owner` are together."""
    if a == b or b == _NO_THING:
        return a
    return b if a == _NO_THING else _NOBODY
