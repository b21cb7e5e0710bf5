"""Text, the pills that it lies on, and legends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from atrous.draw.colours import INK, PAPER, Colour
from atrous.types import Image

Box = tuple[int, int, int, int]
"""(y0, x0, y1, x1) in pixels, half open."""


@dataclass(frozen=True, slots=True)
class Word:
    """Text whose line is centred on row `y` and begins at column `x`."""

    text: str
    y: int
    x: int
    colour: Colour


def written(picture: Image, words: Iterable[Word], size_px: int) -> Image:
    """Picture with the words; what leads beyond its edge is cut off."""
    canvas = PIL.Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    for word in words:
        draw.text((word.x, word.y), word.text, word.colour, _font(size_px), anchor="lm")
    return np.array(canvas)


def length_px(text: str, size_px: int) -> float:
    """How long a text is."""
    return float(_font(size_px).getlength(text))


def font_px(size_hw: tuple[int, ...]) -> int:
    """The size of text that suits a picture."""
    return max(11, round(0.026 * float(np.sqrt(size_hw[0] * size_hw[1]))))


@lru_cache(maxsize=32)
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)


def paper(size_hw: tuple[int, int]) -> Image:
    """An empty picture."""
    return np.full((*size_hw, 3), PAPER, dtype=np.uint8)


def pill(picture: Image, box: Box, colour: Colour | Image) -> None:
    """Draws a filled pill with smooth edges into `picture`.

    colour  or a pattern of the size of the box
    """
    top, left, bottom, right = box
    radius = (bottom - top) / 2
    ys = np.abs(np.arange(top, bottom) + 0.5 - (top + bottom) / 2)
    xs = np.abs(np.arange(left, right) + 0.5 - (left + right) / 2) - (right - left) / 2 + radius
    cover = np.clip(radius + 0.5 - np.hypot(ys[:, None], np.maximum(xs, 0)), 0, 1)[..., None]
    patch = picture[top:bottom, left:right]
    patch[...] = np.round(patch + (np.array(colour, float) - patch) * 0.88 * cover)


def with_legend(picture: Image, entries: Mapping[str, Colour | Image]) -> Image:
    """Picture above a strip that names its colours, in as many rows as needed.

    A pattern in place of a colour is a square of side `font_px`. Pictures too small for words stay
    as they are, and so do those without anything to explain.
    """
    height, width = picture.shape[:2]
    size = font_px((height, width))
    words, dots = [], []
    y, x = size, size // 2
    for name, colour in entries.items():
        length = round(1.4 * size + length_px(name, size))
        if x + length > width and x > size:
            y, x = y + round(1.6 * size), size // 2
        dots.append(((y - size // 2, x, y - size // 2 + size, x + size), colour))
        words.append(Word(name, y, x + round(1.4 * size), INK))
        x += length + size
    if not words or width < 8 * size or height < 4 * size:
        return picture
    strip = paper((y + size, width))
    for box, colour in dots:
        pill(strip, box, colour)
    return np.concatenate([picture, written(strip, words, size)])
