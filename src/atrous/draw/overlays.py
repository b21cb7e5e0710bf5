"""Segments laid over their photo, with names, outlines and a legend."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.draw.colours import INK, PAPER, Colour, deep, mixed, stripes
from atrous.draw.layers import Layer, Patch, colours, labelled_layer, parse_layer, ranks
from atrous.draw.words import Box, Word, font_px, length_px, pill, with_legend, written
from atrous.labels import LabelSpace
from atrous.types import Image, Labelled, Parse


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
    layer = parse_layer(parse)
    palette = colours(layer, labels, ranks(layer))
    picture = painted(image, layer, palette, alpha=alpha)
    return with_legend(picture, stuff_colours(layer, palette)) if legend else picture


def labelled_overlay(image: Image, labelled: Labelled, labels: LabelSpace) -> Image:
    """The regions over their image, in the look of `overlay`, with a legend of the stuff.

    Names come with a score where the region has one; a crowd is hatched and called one.

    Raises: ValueError if image and label differ in size.
    """
    if image.shape[:2] != labelled.ids.shape:
        raise ValueError(f"image is {image.shape[:2]}, its label {labelled.ids.shape}: same size")
    layer = labelled_layer(labelled, labels)
    palette = colours(layer, labels, ranks(layer))
    picture = painted(image, layer, palette)
    return with_legend(picture, stuff_colours(layer, palette))


def painted(image: Image, layer: Layer, palette: dict[int, Colour], *, alpha: float = 0.5) -> Image:
    """Image under the colours of a layer, with outlines and the captions that have room."""
    picture = tinted(image, layer, palette, alpha=alpha)
    _hatch_crowds(picture, layer)
    _outline(picture, layer, palette)
    return named(picture, layer, palette)


def stuff_colours(layer: Layer, palette: dict[int, Colour]) -> dict[str, Colour]:
    """What the legend explains: names and colours of stuff, without ground."""
    stuff = (patch for patch in layer.patches if not patch.is_thing and patch.id in palette)
    return {patch.name: palette[patch.id] for patch in stuff}


def tinted(image: Image, layer: Layer, palette: dict[int, Colour], *, alpha: float) -> Image:
    """Image with the palette laid over it; what has none turns grey and dim."""
    places = layer.places
    paint = np.array([INK, *(palette.get(p.id, INK) for p in layer.patches)], dtype=np.float32)
    things = np.array([False, *(p.is_thing for p in layer.patches)])
    opaque = np.where(things, alpha, 0.75 * alpha).astype(np.float32)[:, None]
    ground = np.array([True, *(p.id not in palette for p in layer.patches)])[places]
    base = image.astype(np.float32)
    base[ground] = 0.4 * base[ground] + 0.6 * base[ground].mean(axis=1, keepdims=True)
    base *= (1 - opaque)[places]
    base += (paint * opaque + 0.5)[places]
    return np.clip(base, 0, 255).astype(np.uint8)


def _hatch_crowds(picture: Image, layer: Layer) -> None:
    """Draws light stripes over crowds, into `picture`."""
    crowds = np.array([False, *(p.is_crowd for p in layer.patches)])
    if crowds.any():
        where = crowds[layer.places] & stripes(layer.ids.shape, font_px(layer.ids.shape) // 2)
        picture[where] = 0.5 * picture[where] + 0.5 * np.array(PAPER)


def _outline(picture: Image, layer: Layer, palette: dict[int, Colour]) -> None:
    """Draws smooth lines around patches, into `picture`: stuff first, then things, big to small.

    The map is continued beyond the frame, so that no line runs along it.
    """
    width = max(1, round(font_px(picture.shape[:2]) / 8))
    rim = 4 + 2 * width
    ids = cv2.copyMakeBorder(layer.ids, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
    coloured = (patch for patch in layer.patches if patch.id in palette)
    for patch in sorted(coloured, key=lambda p: (p.is_thing, -p.area, p.box)):
        y0, x0, y1, x1 = patch.box
        mask = ids[y0 : y1 + 2 * rim, x0 : x1 + 2 * rim] == patch.id
        lines = _borders(mask, corner_yx=(y0 - rim, x0 - rim))
        colour = mixed(palette[patch.id], PAPER, 0.6 if patch.is_thing else 0.25)
        large = patch.is_thing and min(y1 - y0, x1 - x0) > 20 * width
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


def named(picture: Image, layer: Layer, palette: dict[int, Colour]) -> Image:
    """Picture with a caption of each patch that has room for one, small first; none touch."""
    size = font_px(picture.shape[:2])
    words: list[Word] = []
    taken: list[Box] = []
    for patch in sorted(layer.patches, key=lambda p: (p.area, p.box)):
        for text in patch.captions:
            pill_hw = (round(1.55 * size), round(length_px(text, size) + 1.2 * size))
            box = _room(layer, patch, pill_hw, taken)
            if box is not None:
                taken.append(box)
                pill(picture, box, deep(palette[patch.id]))
                middle = (box[0] + box[2]) // 2
                words.append(Word(text, middle, box[1] + round(0.6 * size), PAPER))
                break
    return written(picture, words, size)


def _room(layer: Layer, patch: Patch, pill_hw: tuple[int, int], taken: Sequence[Box]) -> Box | None:
    """Where in a patch a pill has most room, free of those already placed; None if nowhere.

    A pill must not hide more than half of the patch. On a grid where a pill is a square of 8
    cells, the chessboard distance to the border tells how much of it fits.
    """
    (y0, x0, y1, x1), (high, wide) = patch.box, pill_hw
    mask = (layer.ids[y0:y1, x0:x1] == patch.id).astype(np.uint8)
    if 2 * high * wide > mask.sum() or np.greater(pill_hw, layer.ids.shape).any():
        return None
    rows, columns = max(1, round(8 * (y1 - y0) / high)), max(1, round(8 * (x1 - x0) / wide))
    grid = np.pad(cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_NEAREST), 1)
    room = cv2.distanceTransform(grid, cv2.DIST_C, 3)[1:-1, 1:-1]
    tops = y0 + (np.arange(rows) + 0.5) * (y1 - y0) / rows - high / 2
    lefts = x0 + (np.arange(columns) + 0.5) * (x1 - x0) / columns - wide / 2
    tops = np.clip(np.round(tops), 0, layer.ids.shape[0] - high).astype(int)
    lefts = np.clip(np.round(lefts), 0, layer.ids.shape[1] - wide).astype(int)
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
