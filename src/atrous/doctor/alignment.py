"""Whether the borders of labels lie where photos change: mirrored labels fit as a mirror does."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.types import IdMap, Image

MIRRORS = ("as it is", "mirrored left to right", "mirrored up and down", "turned by 180 degrees")
LEAST_BORDER, LEAST_SIDE = 20, 32
"""Pixels of border that say something on a map of half the size, and the shortest side of a map."""
BESIDE = 6
"""How far beside a border its photo is looked at too, in pixels of half the size."""


def fit(pixels: Image, ids: IdMap) -> tuple[int, ...] | None:
    """How much a photo changes on the borders of its label, and beside them.

    Two numbers for each of `MIRRORS` that the label is taken as, in thousandths of a level: on the
    borders, and on the same borders moved a little. The places of a scene are busy or calm, so
    that only beside each other the two say something. None if sizes differ or there are hardly
    any borders. Whole numbers, so that sums are the same in any order.
    """
    if pixels.shape[:2] != ids.shape or min(ids.shape) < LEAST_SIDE:
        return None
    grey = cv2.cvtColor(np.ascontiguousarray(pixels[::2, ::2]), cv2.COLOR_RGB2GRAY)
    change = cv2.blur(_change(np.asarray(grey, np.float32)), (3, 3))
    moved = (np.roll(change, by, axis) for axis in (0, 1) for by in (-BESIDE, BESIDE))
    beside = np.asarray(np.mean(list(moved), axis=0), np.float32)
    border = (_change(np.asarray(ids[::2, ::2], np.float32)) > 0).astype(np.uint8)
    if border.sum() < LEAST_BORDER:
        return None
    mirrors = (border, border[:, ::-1], border[::-1], border[::-1, ::-1])
    masks = [np.ascontiguousarray(mirror) for mirror in mirrors]
    return tuple(round(1000 * cv2.mean(x, mask)[0]) for mask in masks for x in (change, beside))


def _change(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each pixel is from the one to the left and the one above."""
    change = np.zeros_like(values)
    change[:, 1:] = np.abs(values[:, 1:] - values[:, :-1])
    change[1:] += np.abs(values[1:] - values[:-1])
    return change
