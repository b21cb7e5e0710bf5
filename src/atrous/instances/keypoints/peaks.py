"""The highest places of Hough maps, and where their votes lie around them.

Source: DeeperLab, section 3.3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import lean
from atrous.instances.keypoints.hough import LONG, ROW, SIDE, TILE, Tiles, height_at


@lean
def find(
    votes: Tiles, threshold: float, found: NDArray[np.int64], heights: NDArray[np.float32]
) -> int:
    """Fills in (kind, row, column) and height of the maxima of fused votes; how many there are.

    A maximum is above the threshold, and none of its eight neighbours is higher.
    """
    count, least, each = 0, np.float32(threshold), votes.down * votes.across
    for place in range(votes.number.size):
        if votes.number[place] < 0:
            continue
        start = np.int64(votes.number[place]) * TILE + LONG
        kind, top = place // each, place % each // votes.across * SIDE - 1
        left = place % votes.across * SIDE - 1
        for i in range(SIDE):
            line = np.uint64(start + i * ROW)
            for j in range(SIDE if _rises(votes.pool, line, least) else 0):
                value = votes.pool[line + np.uint64(j)]
                if value > least and _tops(votes, kind, top + i, left + j, value):
                    if count < heights.size:
                        found[count, 0], found[count, 1] = kind, top + i
                        found[count, 2], heights[count] = left + j, value
                    count += 1
    return count


@lean
def _rises(pool: NDArray[np.float32], line: np.uint64, least: np.float32) -> bool:
    """Whether any vote in a row of a tile is above `least`."""
    count = np.int32(0)
    for n in range(np.uint64(SIDE)):
        count += np.int32(pool[line + n] > least)
    return bool(count)


@lean
def _tops(votes: Tiles, kind: int, i: int, j: int, value: np.float32) -> bool:
    """Whether a cell is on the grid and no neighbour is higher."""
    if i < 0 or j < 0 or i >= votes.height or j >= votes.width:
        return False
    for down in range(-1, 2):
        for right in range(-1, 2):
            if height_at(votes, kind, LONG, i + down, j + right) > value:
                return False
    return True


@lean
def centroids(votes: Tiles, found: NDArray[np.int64], places: NDArray[np.float64]) -> None:
    """Fills in (n, 2) mean positions, in cells, of fused votes in the 3x3 cells around peaks."""
    for n in range(len(found)):
        total, down_moment, right_moment = 0.0, 0.0, 0.0
        for down in range(-1, 2):
            for right in range(-1, 2):
                i, j = found[n, 1] + down, found[n, 2] + right
                height = np.float64(height_at(votes, found[n, 0], LONG, i, j))
                total += height
                down_moment += height * down
                right_moment += height * right
        places[n, 0] = found[n, 1] + down_moment / max(total, 1e-12)
        places[n, 1] = found[n, 2] + right_moment / max(total, 1e-12)
