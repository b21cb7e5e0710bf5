"""Drawn label maps for benchmarks: as flat, and as rough at the edges, as real ones."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.labels import LabelSpace, unnamed
from atrous.types import Labelled, Region

CLASSES = 19


def scene(size_hw: tuple[int, int], *, segments: int, seed: int) -> NDArray[np.int32]:
    """(h, w) ids of polygons over each other and over void, as annotators draw them."""
    random = np.random.default_rng(seed)
    height, width = size_hw
    ids = np.zeros(size_hw, np.int32)
    for segment in range(1, segments + 1):
        centre = random.uniform((0, 0), (width, height))
        corners = int(random.integers(8, 40))
        angles = np.sort(random.uniform(0, 2 * np.pi, corners))
        spread = random.uniform(0.02, 0.2) * np.array([width, height])
        radii = random.uniform(0.6, 1.0, (corners, 1)) * spread
        outline = centre + radii * np.stack([np.cos(angles), np.sin(angles)], -1)
        cv2.fillPoly(ids, [outline.astype(np.int32)], int(segment * 1013 + seed))
    return ids


def moved(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """A prediction: the map moved by some pixels, so that most segments still match."""
    return np.roll(ids, (3, 5), (0, 1))


def labelled(ids: NDArray[np.int32]) -> Labelled:
    """Each segment with a class that depends on its id."""
    present = (int(i) for i in np.unique(ids) if i)
    return Labelled(ids, tuple(Region(i, i % CLASSES) for i in present))


def labels() -> LabelSpace:
    """Nineteen classes of things."""
    return unnamed(CLASSES)
