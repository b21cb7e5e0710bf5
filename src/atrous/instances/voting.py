"""What boxes and keypoints share: the cells of a grid, and non-maximum suppression of boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled


def cells(size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """(2, h, w) row and column of every cell."""
    return np.indices(size_hw, dtype=np.float32)


def suppress_boxes(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], *, iou: float, most: int | None = None
) -> NDArray[np.int64]:
    """Indices of the boxes (y0, x0, y1, x1) that no better kept box overlaps by more than `iou`.

    Best first, and no more than `most`; equal scores keep their order.
    """
    order = np.argsort(-scores, kind="stable")
    kept = np.empty(len(order), np.int64)
    ranked = np.ascontiguousarray(boxes[order], np.float64)
    count = _suppress(ranked, iou, len(order) if most is None else most, kept)
    return order[kept[:count]]


@compiled
def _suppress(boxes: NDArray[np.float64], iou: float, most: int, kept: NDArray[np.int64]) -> int:
    count = 0
    for n in range(len(boxes)):
        if count == most:
            break
        y0, x0, y1, x1 = boxes[n]
        area, stays = (y1 - y0) * (x1 - x0), True
        for m in kept[:count]:
            high = min(y1, boxes[m, 2]) - max(y0, boxes[m, 0])
            if high <= 0:
                continue
            shared = high * max(min(x1, boxes[m, 3]) - max(x0, boxes[m, 1]), 0.0)
            rival = (boxes[m, 2] - boxes[m, 0]) * (boxes[m, 3] - boxes[m, 1])
            if shared > iou * (rival + area - shared):
                stays = False
                break
        if stays:
            kept[count] = n
            count += 1
    return count
