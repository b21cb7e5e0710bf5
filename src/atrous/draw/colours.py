"""Colours that stand apart, ink and paper, and hatching."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""

PAPER: Colour = (255, 255, 255)
INK: Colour = (24, 26, 32)
SLATE = 0.58, 0.35
"""Hue and saturation of things whose class is grey: grey over a photo looks like nothing."""
MOST_VIVID = 0.8
"""Saturation of a thing's colour at most: pure red over a whole photo glares."""


def shade(colour: Colour, rank: int) -> Colour:
    """The `rank`-th relative of a colour: hues to both sides in turn, light and dark in turn."""
    hue, light, vivid = colorsys.rgb_to_hls(*(v / 255 for v in colour))
    step = (rank + 1) // 2 * (1 if rank % 2 else -1)
    light = min(max(light, 0.45), 0.6) + (0.0, 0.1, -0.08)[rank % 3]
    if vivid <= 0.1:
        hue, vivid = SLATE
    else:
        vivid = min(max(vivid, 0.55), MOST_VIVID)
    red, green, blue = colorsys.hls_to_rgb((hue + 0.055 * step) % 1, light, vivid)
    return round(255 * red), round(255 * green), round(255 * blue)


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """The colour with a share in [0, 1] of the other one."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def deep(colour: Colour) -> Colour:
    """The colour, dark enough for white text."""
    scale = min(0.8, 105 / max(1.0, float(np.dot(colour, (0.3, 0.59, 0.11)))))
    red, green, blue = (round(scale * v) for v in colour)
    return red, green, blue


def stripes(size_hw: tuple[int, ...], period_px: int) -> NDArray[np.bool_]:
    """(h, w) true on thin stripes that rise to the right."""
    rising = np.add.outer(np.arange(size_hw[0]), np.arange(size_hw[1]))
    return np.asarray(rising % period_px < period_px // 4)
