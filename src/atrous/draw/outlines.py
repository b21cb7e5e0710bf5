"""Smooth lines around segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.draw.colours import PAPER, Colour, mixed
from atrous.draw.layers import Layer, Patch
from atrous.draw.words import font_px
from atrous.types import IdMap, Image

EPSILON = 1.6
"""How far a line may leave its points, in sixteenths of a pixel a step."""
Line = NDArray[np.int32]
"""(n, 2) of (x, y), in sixteenths of a pixel; closed."""


def outline(picture: Image, layer: Layer, palette: Mapping[int, Colour]) -> None:
    """Draws lines around patches, into `picture`: stuff first, then things, large to small.

    Small things, and small islands of large ones, have thin lines. No line runs along the frame.
    """
    width = max(1, round(font_px(picture.shape[:2]) / 8))
    thin = max(1, width // 2)
    coloured = (patch for patch in layer.patches if patch.id in palette and patch.area)
    for patch in sorted(coloured, key=lambda p: (p.is_thing, -p.area, p.box)):
        colour = mixed(palette[patch.id], PAPER, 0.6 if patch.is_thing else 0.25)
        groups: dict[int, list[Line]] = {thin: [], width: []}
        for line in _borders(layer.ids, patch, rim=4 + 2 * width, step=max(2, width)):
            is_bold = patch.is_thing and np.ptp(line, axis=0).min() > 16 * 20 * width
            groups[width if is_bold else thin].append(line)
        for thick, lines in groups.items():
            cv2.polylines(picture, lines, True, colour, thick, cv2.LINE_AA, shift=4)


def _borders(ids: IdMap, patch: Patch, *, rim: int, step: int) -> Iterator[Line]:
    """The lines around a patch and its holes.

    Each point is the mean of its neighbours up to `step` away: that rounds off the stairs of the
    pixels. Few of them are enough then. The map is continued beyond the frame by `rim` pixels.
    """
    mask, corner_xy = _rimmed(ids, patch, rim)
    found, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for contour in found:
        points = (contour[:, 0] + corner_xy).astype(np.float64)
        reach = min(step, len(points) // 6)
        if reach > 1:
            points = _smooth(points, reach)[:: max(2, reach // 2)]
        fine = np.round(16 * points).astype(np.int32)
        yield np.asarray(cv2.approxPolyDP(fine, EPSILON * step, True)[:, 0], dtype=np.int32)


def _rimmed(ids: IdMap, patch: Patch, rim: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A patch's mask with a rim, where it goes on beyond the frame, and the rim's corner (x, y)."""
    (height, width), (y0, x0, y1, x1) = ids.shape, patch.box
    top, left, bottom, right = (
        max(0, y0 - 1),
        max(0, x0 - 1),
        min(height, y1 + 1),
        min(width, x1 + 1),
    )
    mask = (ids[top:bottom, left:right] == patch.id).view(np.uint8)
    at_frame = top == y0, bottom == y1, left == x0, right == x1
    up, down, west, east = (rim if is_at else 1 for is_at in at_frame)
    grown = cv2.copyMakeBorder(mask, up, down, west, east, cv2.BORDER_REPLICATE)
    return np.asarray(grown, dtype=np.uint8), np.array((left - west, top - up))


def _smooth(points: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Each point of a closed line as the mean of those up to `reach` away."""
    around = np.concatenate((points[-reach - 1 :], points, points[:reach]))
    sums = np.cumsum(around, axis=0)
    return (sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1)
