"""Text, the pills that it lies on, and legends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from atrous.draw.colours import INK, PAPER, Colour, stripes
from atrous.types import Image

LEAST_PX = 11
"""Smaller text cannot be read."""
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
    copy = picture.copy()
    write(copy, words, size_px)
    return copy


def write(picture: Image, words: Iterable[Word], size_px: int) -> None:
    """Writes into `picture`; only where words stand does it become another kind of image."""
    for word in words:
        top, left = max(0, word.y - size_px), max(0, word.x - size_px)
        right = word.x + round(length_px(word.text, size_px)) + size_px
        part = picture[top : max(0, word.y + size_px), left : max(0, right)]
        if part.size:
            canvas = PIL.Image.fromarray(part)
            place = word.x - left, word.y - top
            ImageDraw.Draw(canvas).text(place, word.text, word.colour, _font(size_px), anchor="lm")
            part[...] = np.asarray(canvas)


@lru_cache(maxsize=4096)
def length_px(text: str, size_px: int) -> float:
    """How long a text is."""
    return float(_font(size_px).getlength(text))


def shortened(text: str, most_px: int, size_px: int) -> str:
    """The text, or its beginning and an ellipsis where it is longer than that."""
    if length_px(text, size_px) <= most_px:
        return text
    kept = (text[:n].rstrip() + "…" for n in range(len(text) - 1, 0, -1))
    return next((short for short in kept if length_px(short, size_px) <= most_px), "")


def font_px(size_hw: tuple[int, ...]) -> int:
    """The size of text that suits a picture."""
    return max(LEAST_PX, round(0.026 * float(np.sqrt(size_hw[0] * size_hw[1]))))


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
    ys = np.abs(np.arange(top, bottom, dtype=np.float32) + 0.5 - (top + bottom) / 2)
    xs = np.arange(left, right, dtype=np.float32) + 0.5 - (left + right) / 2
    xs = np.maximum(np.abs(xs) - (right - left) / 2 + radius, 0)
    cover = np.clip(radius + 0.5 - np.hypot(ys[:, None], xs), 0, 1)[..., None] * np.float32(0.88)
    patch = picture[top:bottom, left:right]
    patch[...] = np.round(patch + (np.array(colour, np.float32) - patch) * cover)


def bands(colours: Sequence[Colour], size_px: int) -> Colour | Image:
    """What a legend shows for colours that share a name: one, or upright bands of all."""
    if len(colours) == 1:
        return colours[0]
    places = np.arange(size_px) * len(colours) // size_px
    return np.broadcast_to(np.array(colours, np.uint8)[places], (size_px, size_px, 3))


def hatching(size_px: int) -> Image:
    """What a legend shows for void."""
    where = stripes((size_px, size_px), max(4, size_px // 2))[..., None]
    return np.where(where, np.uint8(170), np.uint8(84)).repeat(3, axis=2)


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
        text = shortened(name, width - 3 * size, size)
        length = round(1.4 * size + length_px(text, size))
        if x + length > width and x > size:
            y, x = y + round(1.6 * size), size // 2
        dots.append(((y - size // 2, x, y - size // 2 + size, x + size), colour))
        words.append(Word(text, y, x + round(1.4 * size), INK))
        x += length + size
    if not words or width < 8 * size or height < 4 * size:
        return picture
    strip = paper((y + size, width))
    for box, colour in dots:
        pill(strip, box, colour)
    write(strip, words, size)
    return np.concatenate([picture, strip])
