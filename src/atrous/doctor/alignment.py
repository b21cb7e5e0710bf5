"""Whether the borders of labels lie where photos change: mirrored labels fit as a mirror does."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.types import IdMap, Image

MIRRORS = ("as it is", "mirrored left to right", "mirrored up and down", "turned by 180 degrees")
LEAST_BORDER = 20
"""Pixels of border that say something, on a map of half the size."""


def fit(pixels: Image, ids: IdMap) -> tuple[int, int, int, int] | None:
    """How much more a photo changes on the borders of its label than elsewhere, in thousandths.

    The label is taken as each of `MIRRORS`; 1000 = no more than anywhere. None if sizes differ or
    there are hardly any borders. Whole numbers, so that sums are the same in any order.
    """
    if pixels.shape[:2] != ids.shape or min(ids.shape) < 8:
        return None
    grey = cv2.cvtColor(np.ascontiguousarray(pixels[::2, ::2]), cv2.COLOR_RGB2GRAY)
    change = cv2.blur(_change(np.asarray(grey, np.float32)), (3, 3))
    border = _change(np.asarray(ids[::2, ::2], np.float32)) > 0
    if border.sum() < LEAST_BORDER:
        return None
    usual = float(change.mean()) or 1.0
    found = [
        round(1000 * float(change[mirror].mean()) / usual)
        for mirror in (border, border[:, ::-1], border[::-1], border[::-1, ::-1])
    ]
    return found[0], found[1], found[2], found[3]


def _change(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each pixel is from the one to the left and the one above."""
    change = np.zeros_like(values)
    change[:, 1:] = np.abs(values[:, 1:] - values[:, :-1])
    change[1:] += np.abs(values[1:] - values[:-1])
    return change
