"""Pictures for people: a parse laid over its photo, with names, outlines and a legend."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont

from atrous.labels import LabelSpace
from atrous.types import Image, Parse, Segment

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (24, 26, 32)
GROUND = "background"


def overlay(
    image: Image, parse: Parse, labels: LabelSpace, *, alpha: float = 0.5, legend: bool = True
) -> Image:
    """The parse over its image: (h, w, 3), or taller by a strip with the legend of the stuff.

    Each thing has a colour of its own near that of its class, an outline, and its name and score
    where its mask has room for them. Stuff called "background" and void stay uncoloured and dim.
    Images too small for words get none.

    alpha   how opaque the colours of things are, in [0, 1]; those of stuff are lighter
    legend  whether to add the strip, if there is stuff to explain

    Raises: ValueError if image and parse differ in size.
    """
    if image.shape[:2] != parse.panoptic.shape:
        raise ValueError(f"image is {image.shape[:2]}, its parse {parse.panoptic.shape}: same size")
    colours = _segment_colours(parse.segments, labels)
    picture = _tinted(image, parse, colours, alpha)
    _outline(picture, parse, colours)
    picture = _named(picture, parse, colours)
    return _with_legend(picture, parse, colours) if legend else picture


def side_by_side(images: Sequence[Image], titles: Sequence[str]) -> Image:
    """One image or more in a row, top aligned and never scaled, each under its title."""
    size = _font_px(images[0].shape[:2])
    columns = []
    for image, title in zip(images, titles, strict=True):
        head = _written(_paper((2 * size, image.shape[1])), [_Word(title, size, 0, INK)], size)
        columns.append(np.concatenate([head, image]))
    return _grid(columns, columns=len(columns), gap=max(2, size // 2))


def contact_sheet(images: Sequence[Image], *, columns: int) -> Image:
    """One image or more in rows of `columns`; any beyond the median size is scaled down to it."""
    height, width = (int(np.median([image.shape[i] for image in images])) for i in range(2))
    cells = [_shrunk(image, (height, width)) for image in images]
    return _grid(cells, columns=columns, gap=max(2, round(0.015 * max(height, width))))


def _segment_colours(segments: Sequence[Segment], labels: LabelSpace) -> dict[int, Colour]:
    """Segment id -> colour, without ground; the instances of a class differ from each other."""
    seen: Counter[int] = Counter()
    colours = {}
    for segment in sorted(segments, key=lambda s: -s.area):
        colour = labels[segment.class_id].colour
        if segment.is_thing:
            colour = _shade(colour, seen[segment.class_id])
            seen[segment.class_id] += 1
        if segment.is_thing or segment.name != GROUND:
            colours[segment.id] = colour
    return colours


def _shade(colour: Colour, place: int) -> Colour:
    """The `place`-th relative of a colour: hues to both sides in turn, light and dark in turn."""
    hue, light, vivid = colorsys.rgb_to_hls(*(v / 255 for v in colour))
    step = (place + 1) // 2 * (1 if place % 2 else -1)
    light = min(max(light, 0.45), 0.6) + (0.0, 0.1, -0.08)[place % 3]
    vivid = max(vivid, 0.55) if vivid > 0.1 else vivid
    red, green, blue = colorsys.hls_to_rgb((hue + 0.055 * step) % 1, light, vivid)
    return round(255 * red), round(255 * green), round(255 * blue)


def _tinted(image: Image, parse: Parse, colours: dict[int, Colour], alpha: float) -> Image:
    """Image with the colours laid over it; what has none turns grey and dim."""
    places = _places(parse)
    paint = np.array([INK, *(colours.get(s.id, INK) for s in parse.segments)], dtype=np.float32)
    things = np.array([False, *(s.is_thing for s in parse.segments)])
    opaque = np.where(things, alpha, 0.75 * alpha).astype(np.float32)[:, None]
    ground = np.array([True, *(s.id not in colours for s in parse.segments)])[places]
    base = image.astype(np.float32)
    base[ground] = 0.4 * base[ground] + 0.6 * base[ground].mean(axis=1, keepdims=True)
    base *= (1 - opaque)[places]
    base += (paint * opaque + 0.5)[places]
    return np.clip(base, 0, 255).astype(np.uint8)


def _places(parse: Parse) -> NDArray[np.intp]:
    """(h, w) place of each pixel's segment in `parse.segments`, counted from 1; 0 = none."""
    table = np.zeros(int(parse.panoptic.max(initial=0)) + 1, dtype=np.intp)
    for place, segment in enumerate(parse.segments, start=1):
        if segment.id < len(table):
            table[segment.id] = place
    return table[parse.panoptic]


def _outline(picture: Image, parse: Parse, colours: dict[int, Colour]) -> None:
    """Draws smooth lines around segments, into `picture`: stuff first, then things, big to small.

    The map is continued beyond the frame, so that no line runs along it.
    """
    width = max(1, round(_font_px(picture.shape[:2]) / 8))
    rim = 4 + 2 * width
    ids = cv2.copyMakeBorder(parse.panoptic, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
    painted = (s for s in parse.segments if s.id in colours)
    for segment in sorted(painted, key=lambda s: (s.is_thing, -s.area)):
        y0, x0, y1, x1 = segment.box
        mask = ids[y0 : y1 + 2 * rim, x0 : x1 + 2 * rim] == segment.id
        lines = _borders(mask, corner_yx=(y0 - rim, x0 - rim))
        colour = _mixed(colours[segment.id], PAPER, 0.6 if segment.is_thing else 0.25)
        large = segment.is_thing and min(y1 - y0, x1 - x0) > 20 * width
        thick = width if large else max(1, width // 2)
        cv2.polylines(picture, lines, True, colour, thick, cv2.LINE_AA, shift=4)


def _borders(mask: NDArray[np.bool_], corner_yx: tuple[int, int]) -> list[NDArray[np.int32]]:
    """Closed lines (n, 2) of (x, y) around a mask and its holes, in sixteenths of a pixel.

    Each point is the mean of five neighbours: that rounds off the stairs of the pixels. Every
    second one is enough.
    """
    found, _ = cv2.findContours(
        np.pad(mask, 1).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    lines = []
    for line in found:
        points = line[:, 0] + np.array(corner_yx)[::-1] - 1.0
        if len(points) > 12:
            points = np.mean([np.roll(points, step, axis=0) for step in range(-2, 3)], axis=0)[::2]
        lines.append(np.round(16 * points).astype(np.int32))
    return lines


@dataclass(frozen=True, slots=True)
class _Word:
    """Text whose line is centred on row `y` and begins at column `x`."""

    text: str
    y: int
    x: int
    colour: Colour


def _named(picture: Image, parse: Parse, colours: dict[int, Colour]) -> Image:
    """Picture with name and score of each thing with room for them, small first; none touch."""
    size = _font_px(picture.shape[:2])
    words: list[_Word] = []
    taken: list[Box] = []
    for segment in sorted((s for s in parse.segments if s.is_thing), key=lambda s: s.area):
        for text in (f"{segment.name} {segment.score:.0%}", segment.name):
            pill_hw = (round(1.55 * size), round(_font(size).getlength(text) + 1.2 * size))
            box = _room(parse, segment, pill_hw, taken)
            if box is not None:
                taken.append(box)
                _pill(picture, box, _deep(colours[segment.id]))
                middle = (box[0] + box[2]) // 2
                words.append(_Word(text, middle, box[1] + round(0.6 * size), PAPER))
                break
    return _written(picture, words, size)


def _room(
    parse: Parse, segment: Segment, pill_hw: tuple[int, int], taken: Sequence[Box]
) -> Box | None:
    """Where in a segment a pill has most room, free of those already placed; None if nowhere.

    A pill must not hide more than half of the segment. On a grid where a pill is a square of 8
    cells, the chessboard distance to the border tells how much of it fits.
    """
    (y0, x0, y1, x1), (high, wide) = segment.box, pill_hw
    mask = (parse.panoptic[y0:y1, x0:x1] == segment.id).astype(np.uint8)
    if 2 * high * wide > mask.sum() or np.greater(pill_hw, parse.panoptic.shape).any():
        return None
    rows, columns = max(1, round(8 * (y1 - y0) / high)), max(1, round(8 * (x1 - x0) / wide))
    grid = np.pad(cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_NEAREST), 1)
    room = cv2.distanceTransform(grid, cv2.DIST_C, 3)[1:-1, 1:-1]
    tops = y0 + (np.arange(rows) + 0.5) * (y1 - y0) / rows - high / 2
    lefts = x0 + (np.arange(columns) + 0.5) * (x1 - x0) / columns - wide / 2
    tops = np.clip(np.round(tops), 0, parse.panoptic.shape[0] - high).astype(int)
    lefts = np.clip(np.round(lefts), 0, parse.panoptic.shape[1] - wide).astype(int)
    for top, left, bottom, right in taken:
        near_y = (tops <= bottom) & (tops + high >= top)
        near_x = (lefts <= right) & (lefts + wide >= left)
        room[np.ix_(near_y, near_x)] = 0
    best = room >= max(2.6, 0.95 * room.max())
    if not best.any():
        return None
    middle, spots = np.argwhere(grid[1:-1, 1:-1]).mean(axis=0), np.argwhere(best)
    y, x = spots[np.argmin(((spots - middle) ** 2).sum(axis=1))]
    top, left = int(tops[y]), int(lefts[x])
    return top, left, top + high, left + wide


def _pill(picture: Image, box: Box, colour: Colour) -> None:
    """Draws a filled pill with smooth edges into `picture`."""
    top, left, bottom, right = box
    radius = (bottom - top) / 2
    ys = np.abs(np.arange(top, bottom) + 0.5 - (top + bottom) / 2)
    xs = np.abs(np.arange(left, right) + 0.5 - (left + right) / 2) - (right - left) / 2 + radius
    cover = np.clip(radius + 0.5 - np.hypot(ys[:, None], np.maximum(xs, 0)), 0, 1)[..., None]
    patch = picture[top:bottom, left:right]
    patch[...] = np.round(patch + (np.array(colour) - patch) * 0.88 * cover)


def _with_legend(picture: Image, parse: Parse, colours: dict[int, Colour]) -> Image:
    """Picture above a strip that names the colours of its stuff, in as many rows as needed."""
    height, width = picture.shape[:2]
    size = _font_px((height, width))
    stuff = {s.name: colours[s.id] for s in parse.segments if not s.is_thing and s.id in colours}
    words, dots = [], []
    y, x = size, size // 2
    for name, colour in stuff.items():
        length = round(1.4 * size + _font(size).getlength(name))
        if x + length > width and x > size:
            y, x = y + round(1.6 * size), size // 2
        dots.append(((y - size // 2, x, y - size // 2 + size, x + size), colour))
        words.append(_Word(name, y, x + round(1.4 * size), INK))
        x += length + size
    if not words or width < 8 * size or height < 4 * size:
        return picture
    strip = _paper((y + size, width))
    for box, colour in dots:
        _pill(strip, box, colour)
    return np.concatenate([picture, _written(strip, words, size)])


def _written(picture: Image, words: Iterable[_Word], size: int) -> Image:
    canvas = PIL.Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    for word in words:
        draw.text((word.x, word.y), word.text, word.colour, _font(size), anchor="lm")
    return np.array(canvas)


def _font_px(size_hw: tuple[int, ...]) -> int:
    return max(11, round(0.026 * float(np.sqrt(size_hw[0] * size_hw[1]))))


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _mixed(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _deep(colour: Colour) -> Colour:
    """The colour, dark enough for white text."""
    scale = min(0.8, 105 / max(1.0, float(np.dot(colour, (0.3, 0.59, 0.11)))))
    red, green, blue = (round(scale * v) for v in colour)
    return red, green, blue


def _paper(size_hw: tuple[int, int]) -> Image:
    return np.full((*size_hw, 3), PAPER, dtype=np.uint8)


def _shrunk(image: Image, limit_hw: tuple[int, int]) -> Image:
    height, width = image.shape[:2]
    scale = min(1.0, limit_hw[0] / height, limit_hw[1] / width)
    small_wh = max(1, round(scale * width)), max(1, round(scale * height))
    return np.asarray(cv2.resize(image, small_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _grid(images: Sequence[Image], *, columns: int, gap: int) -> Image:
    rows = [images[i : i + columns] for i in range(0, len(images), columns)]
    heights = [max(image.shape[0] for image in row) for row in rows]
    widths = [max(image.shape[1] for image in images[i::columns]) for i in range(len(rows[0]))]
    sheet = _paper((sum(heights) + gap * (len(heights) + 1), sum(widths) + gap * (len(widths) + 1)))
    y = gap
    for row, height in zip(rows, heights, strict=True):
        x = gap
        for image, width in zip(row, widths, strict=False):
            left = x + (width - image.shape[1]) // 2
            sheet[y : y + image.shape[0], left : left + image.shape[1]] = image
            x += width + gap
        y += height + gap
    return sheet
