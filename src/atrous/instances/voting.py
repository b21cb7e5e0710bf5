"""Votes on a grid: following offsets, Hough maps, peaks, and non-maximum suppression of boxes.

Offsets are (2, h, w), (y, x), in pixels; cell (i, j) lies on pixel (stride * i, stride * j).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.types import FloatMap


def sample(values: FloatMap, at_yx: NDArray[np.float64]) -> NDArray[np.float32]:
    """Bilinear samples (c, n) of a map (c, h, w) at cell positions (n, 2); outside, the border."""
    height, width = values.shape[1:]
    y = np.clip(at_yx[:, 0], 0, height - 1)
    x = np.clip(at_yx[:, 1], 0, width - 1)
    i, j = np.minimum(y.astype(np.int64), max(height - 2, 0)), x.astype(np.int64)
    j = np.minimum(j, max(width - 2, 0))
    down: NDArray[np.float32] = (y - i).astype(np.float32)
    along: NDArray[np.float32] = (x - j).astype(np.float32)
    below, right = np.minimum(i + 1, height - 1), np.minimum(j + 1, width - 1)
    upper = values[:, i, j] * (1 - along) + values[:, i, right] * along
    lower = values[:, below, j] * (1 - along) + values[:, below, right] * along
    return np.asarray(upper * (1 - down) + lower * down, dtype=np.float32)


def cells(size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """(2, h, w) row and column of every cell."""
    return np.indices(size_hw, dtype=np.float32)


def goals(offsets: FloatMap, *, stride: int) -> NDArray[np.float64]:
    """(h * w, 2) positions, in cells, that the offsets of all cells point to."""
    here = cells((offsets.shape[1], offsets.shape[2]))
    return np.asarray((here + offsets / stride).reshape(2, -1).T, dtype=np.float64)


def follow(offsets: FloatMap, onward: FloatMap, *, stride: int) -> FloatMap:
    """Offsets plus the `onward` offsets found where they point to.

    Source: PersonLab, section 3.1 (recurrent offset refinement).
    """
    return offsets + sample(onward, goals(offsets, stride=stride)).reshape(offsets.shape)


def hough(offsets: FloatMap, weight: FloatMap, *, stride: int) -> NDArray[np.float64]:
    """(h, w) sums of the weights that each cell's offset casts, shared among four cells.

    Votes that leave the map are lost. Source: DeeperLab, section 3.3.
    """
    height, width = weight.shape
    voters = np.flatnonzero(weight)
    at = goals(offsets, stride=stride)[voters]
    low = np.floor(at).astype(np.int64)
    part = at - low
    votes = np.zeros(height * width)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        y, x = low[:, 0] + down, low[:, 1] + right
        share = np.abs(1 - down - part[:, 0]) * np.abs(1 - right - part[:, 1])
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        places = y[inside] * width + x[inside]
        cast = (share * weight.ravel()[voters])[inside]
        votes += np.bincount(places, weights=cast, minlength=height * width)
    return votes.reshape(height, width)


def peaks(votes: FloatMap, *, threshold: float, most: int) -> NDArray[np.int64]:
    """(n, 2) cells above the threshold that no neighbour exceeds, highest first.

    Cells of one height follow each other in row-major order.
    """
    height, width = votes.shape
    padded = np.pad(votes, 1, constant_values=-np.inf)
    windows = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    is_peak = (votes > threshold) & (votes >= np.maximum.reduce(windows))
    order = np.argsort(-votes[is_peak], kind="stable")[:most]
    return np.argwhere(is_peak)[order]


def centroid(votes: FloatMap, peaks_yx: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, 2) mean positions, in cells, of the votes in the 3x3 neighbourhood of each cell."""
    padded = np.pad(votes, 1).astype(np.float64)
    total = np.zeros(len(peaks_yx))
    moment = np.zeros((len(peaks_yx), 2))
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            height = padded[peaks_yx[:, 0] + 1 + down, peaks_yx[:, 1] + 1 + right]
            total += height
            moment += height[:, None] * np.array([down, right])
    return peaks_yx + moment / np.maximum(total, 1e-12)[:, None]


def suppress_boxes(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], *, iou: float
) -> NDArray[np.int64]:
    """Indices of the boxes (y0, x0, y1, x1) that no better kept box overlaps by more than `iou`.

    Best first; equal scores keep their order.
    """
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        rivals = boxes[kept]
        sides = np.minimum(rivals[:, 2:], boxes[index, 2:]) - np.maximum(
            rivals[:, :2], boxes[index, :2]
        )
        shared = np.prod(np.maximum(sides, 0), axis=1)
        if not (shared > iou * (area[kept] + area[index] - shared)).any():
            kept.append(int(index))
    return np.array(kept, dtype=np.int64)
