"""What boxes and keypoints share: where instances are, grids, and suppression of boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.types import IdMap


def locate(ids: IdMap, wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """Keypoints (n, 5, 2) of the ids `wanted`: box corners and mean pixel of what is visible.

    Source: DeeperLab, section 3.3. Raises: ValueError if a wanted id has no pixel.
    """
    points = np.empty((len(wanted), 5, 2), dtype=np.float32)
    order = np.argsort(ids, axis=None, kind="stable")
    ordered = ids.ravel()[order]
    starts = np.searchsorted(ordered, wanted, side="left")
    stops = np.searchsorted(ordered, wanted, side="right")
    for row, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        if start == stop:
            raise ValueError(f"id {wanted[row]} has no pixel: leave it out")
        yx = np.stack(np.divmod(order[start:stop], ids.shape[1]), axis=1)
        (y0, x0), (y1, x1) = yx.min(axis=0), yx.max(axis=0)
        points[row] = ((y0, x0), (y0, x1), (y1, x0), (y1, x1), yx.mean(axis=0))
    return points


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
