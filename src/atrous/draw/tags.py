"""Names on segments: each inside its mask, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.draw.colours import PAPER, Colour, deep
from atrous.draw.layers import Layer, Patch
from atrous.draw.words import LEAST_PX, Box, Word, font_px, length_px, pill, write
from atrous.types import Image

CELLS = 8
"""Room is looked for on a grid on which a pill is a square of so many cells."""
TRIES = 8
SMALL = 0.75
"""Words that have no room are tried at this share of the usual size."""


def named(picture: Image, layer: Layer, palette: Mapping[int, Colour]) -> frozenset[int]:
    """Writes a caption on each patch that has room for one, into `picture`.

    Returns the ids of those patches.
    """
    usual, found = font_px(picture.shape[:2]), set()
    for patch in layer.patches:
        tag = _tag(layer, patch, usual)
        if tag is not None:
            text, size, box = tag
            pill(picture, box, deep(palette[patch.id]))
            word = Word(text, (box[0] + box[2]) // 2, box[1] + round(0.6 * size), PAPER)
            write(picture, [word], size)
            found.add(patch.id)
    return frozenset(found)


def _tag(layer: Layer, patch: Patch, usual_px: int) -> tuple[str, int, Box] | None:
    """The first caption that has room, its size and its pill."""
    sizes = dict.fromkeys((usual_px, max(LEAST_PX, round(SMALL * usual_px))))
    for size in sizes:
        for text in patch.captions:
            high, wide = round(1.55 * size), round(length_px(text, size) + 1.2 * size)
            box = _room(layer, patch, (high, wide))
            if box is not None:
                return text, size, box
    return None


def _room(layer: Layer, patch: Patch, pill_hw: tuple[int, int]) -> Box | None:
    """Where a patch has most room for a pill, near its middle; None if none lies inside it whole.

    A pill must not hide more than half of the patch. On a grid of cells that are inside or not,
    the chessboard distance to the border tells how much room there is around each.
    """
    (y0, x0, y1, x1), (high, wide) = patch.box, pill_hw
    if high > y1 - y0 or wide > x1 - x0 or 2 * high * wide > patch.area:
        return None
    skip = max(1, high // (3 * CELLS))  # every third of a cell tells enough to look closer
    seen = layer.ids[y0:y1:skip, x0:x1:skip] == patch.id
    rows, columns = round(CELLS * (y1 - y0) / high), round(CELLS * (x1 - x0) / wide)
    for y, x in _spots(seen, (rows, columns)):
        top = y0 + round((y + 0.5) * (y1 - y0) / rows - high / 2)
        left = x0 + round((x + 0.5) * (x1 - x0) / columns - wide / 2)
        inside = layer.ids[max(0, top) : top + high, max(0, left) : left + wide]
        if inside.shape == pill_hw and (inside == patch.id).all():
            return top, left, top + high, left + wide
    return None


def _spots(mask: NDArray[np.bool_], grid_hw: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Cells with room for a pill around them, those with most room and near the middle first."""
    shares = cv2.resize(255 * mask.view(np.uint8), grid_hw[::-1], interpolation=cv2.INTER_AREA)
    is_in = np.pad((shares == 255).view(np.uint8), 1)
    room = cv2.distanceTransform(is_in, cv2.DIST_C, 3)[1:-1, 1:-1]
    enough = room > CELLS / 2
    best = enough & (room >= 0.95 * room.max())
    if not enough.any():
        return
    middle = np.argwhere(shares > 127).mean(axis=0)
    for cells in (best, enough & ~best):
        spots = np.argwhere(cells)
        near = np.argsort(((spots - middle) ** 2).sum(axis=1), kind="stable")[:TRIES]
        yield from ((int(y), int(x)) for y, x in spots[near])
