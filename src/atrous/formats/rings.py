"""Masks as closed outlines along the edges of their pixels: exact, both directions."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.formats.rle import Mask, encode_mask
from atrous.types import Runs

Ring = NDArray[np.int32]
"""(n, 2) corners (x, y); pixel (row y, column x) covers [x, x + 1] x [y, y + 1]. The last corner is
joined to the first, which does not stand twice."""

_DY = np.array([0, 1, 0, -1])
_DX = np.array([1, 0, -1, 0])


def trace_mask(mask: Mask, corner_yx: tuple[int, int] = (0, 0)) -> list[Ring]:
    """The outlines of an (h, w) mask: around each part clockwise as it is seen, around holes not.

    Pixels that meet at a corner alone are apart. Filled by the even-odd rule, or by the nonzero
    one, at the centres of pixels, the outlines give the mask back.

    corner_yx  where the mask's first pixel lies
    """
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
    padded[1:-1, 1:-1] = mask
    corners, ends = _trace(padded)
    corners += np.array(corner_yx[::-1], np.int32)
    return [corners[start:end] for start, end in pairwise(ends.tolist())]


def fill_rings(rings: Iterable[Ring], size_hw: tuple[int, int]) -> Mask:
    """The (h, w) mask of outlines along edges of pixels, by the even-odd rule.

    Raises: ValueError if an edge is slanted or a corner lies outside.
    """
    (height, width), none = size_hw, np.empty((0, 2), np.int32)
    listed = [none, *rings]
    starts = np.concatenate(listed)
    stops = np.concatenate([np.roll(ring, -1, axis=0) for ring in listed])
    if not (starts == stops).any(axis=1).all():
        raise ValueError("an edge is slanted: give outlines along the edges of pixels")
    if ((starts < 0) | (starts > (width, height))).any():
        raise ValueError(f"a corner lies outside of {height}x{width}: give the size of the image")
    flips = np.zeros((height + 1, width + 1), np.int32)
    upright = starts[:, 0] == stops[:, 0]
    for ends in (starts[upright], stops[upright]):
        np.add.at(flips, (ends[:, 1], ends[:, 0]), 1)
    crossed = (flips.cumsum(axis=0) & 1).cumsum(axis=1)
    return np.asarray(crossed[:-1, :-1] & 1 == 1)


def runs_within(mask: Mask, corner_yx: tuple[int, int], size_hw: tuple[int, int]) -> Runs:
    """The runs of a mask that is a part of an image of that size, void around it."""
    (height, width), (y0, x0) = size_hw, corner_yx
    columns = np.zeros((height, mask.shape[1]), np.bool_)
    columns[y0 : y0 + mask.shape[0]] = mask
    runs = encode_mask(columns)
    # Runs go down the columns: what lies left and right of the part lengthens both ends.
    left, right = x0 * height, (width - x0 - mask.shape[1]) * height
    ends = [right] if runs.size % 2 == 0 and right else []
    runs[0] += left
    runs[-1] += 0 if ends else right
    return np.append(runs, np.array(ends, np.uint32))


@compiled
def _trace(mask: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The corners of all rings, and where the rings end; `mask` has a rim of zeros.

    Invariant: the inside is on the right hand of who walks along. Each ring has an edge that leads
    to the right, with a pixel below and none above; it begins at the first of them, and marks all.
    """
    height, width = mask.shape
    corners, ends = [np.int32(0)], [np.int64(0)]
    for row in range(1, height):
        for column in range(1, width):
            if mask[row, column] != 1 or mask[row - 1, column]:
                continue
            y, x, way = row, column, 0
            while True:
                if way == 0:
                    if mask[y, x] == 2:
                        break
                    mask[y, x] = 2
                y, x = y + _DY[way], x + _DX[way]
                turn = _turn(mask, (y, x), way)
                if turn:
                    corners.append(np.int32(x - 1))
                    corners.append(np.int32(y - 1))
                    way = (way + turn) % 4
            ends.append(np.int64(len(corners) // 2))
    return np.array(corners[1:], np.int32).reshape(-1, 2), np.array(ends)


@compiled
def _turn(mask: NDArray[np.uint8], at_yx: tuple[int, int], way: int) -> int:
    """1 to the right, 0 straight on, 3 to the left, by the two pixels ahead of a corner."""
    y, x = at_yx
    right = mask[y - (way >= 2), x - (way == 1 or way == 2)]
    left = mask[y - (way == 0 or way == 3), x - (way >= 2)]
    if not right:
        return 1
    return 3 if left else 0
