"""Colours laid over a photo, in one pass over its pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.draw.colours import INK, PAPER, Colour
from atrous.draw.layers import Layer
from atrous.types import IdMap, Image

_ONE = 1 << 16
"""Shares are whole numbers of 1 / 65536; with levels up to 255 they fit into 32 bits."""
_OWN, _GREY, _RED, _GREEN, _BLUE, _STRIPES = range(6)
STUFF_SHARE = 0.75
"""Of the opacity of things."""
STRIPE_SHARE = 0.5
VOID_SHARE = 0.3


def tinted(
    image: Image,
    layer: Layer,
    palette: Mapping[int, Colour],
    *,
    alpha: float,
    hatch_px: int = 0,
) -> Image:
    """A copy of the image with the palette laid over it; what has none turns grey and dim.

    hatch_px  period of light stripes over void and crowds; 0 = none
    """
    ids = np.array([patch.id for patch in layer.patches], dtype=np.int32)
    order = np.argsort(ids)
    void = _row(None, STUFF_SHARE * alpha, VOID_SHARE)
    table = np.array([void, *_rows(layer, palette, alpha)], dtype=np.int32)
    table[1:] = table[1:][order]
    if hatch_px <= 0:
        table[:, _STRIPES] = 0
    picture = np.empty(image.shape, dtype=np.uint8)
    pixels, places = np.ascontiguousarray(image), np.ascontiguousarray(layer.ids, dtype=np.int32)
    _tint(pixels.ravel(), places, ids[order], table, (picture.ravel(), max(4, hatch_px)))
    return picture


def _rows(layer: Layer, palette: Mapping[int, Colour], alpha: float) -> list[list[int]]:
    return [
        _row(
            palette.get(patch.id),
            alpha if patch.is_thing else STUFF_SHARE * alpha,
            STRIPE_SHARE if patch.is_crowd else 0.0,
        )
        for patch in layer.patches
    ]


def _row(colour: Colour | None, opaque: float, stripes: float) -> list[int]:
    """What a pixel keeps of its colour and of its grey, what is added, and the share of stripes.

    Without a colour it keeps two fifths of its own and three of its grey, under ink.
    """
    keep = round(_ONE * (1 - opaque))
    added = [level * (_ONE - keep) + _ONE // 2 for level in colour or INK]
    shares = [keep, 0] if colour is not None else [2 * keep // 5, keep // 5]
    return [*shares, *added, round(_ONE * stripes)]


@compiled
def _tint(
    pixels: NDArray[np.uint8],
    ids: IdMap,
    sorted_ids: NDArray[np.int32],
    table: NDArray[np.int32],
    into: tuple[NDArray[np.uint8], int],
) -> None:
    """Paints run by run: what is the same of a run's pixels is looked up once."""
    height, width = ids.shape
    picture, period = into
    for y in range(height):
        start = 0
        while start < width:
            value, end = ids[y, start], start + 1
            while end < width and ids[y, end] == value:
                end += 1
            row = table[_row_of(sorted_ids, value)]
            run = np.uint64(3 * (y * width + start)), np.uint64(3 * (y * width + end))
            _lay(pixels, picture, run, row)
            if row[_STRIPES]:
                _stripe(picture, run, (y + start, period, row[_STRIPES]))
            start = end


@compiled
def _row_of(sorted_ids: NDArray[np.int32], value: np.int32) -> int:
    """Where an id stands in the table; 0 where no patch has it."""
    low, high = 0, sorted_ids.size
    while low < high:
        middle = (low + high) // 2
        if sorted_ids[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low + 1 if low < sorted_ids.size and sorted_ids[low] == value else 0


@compiled
def _lay(
    pixels: NDArray[np.uint8],
    picture: NDArray[np.uint8],
    run: tuple[np.uint64, np.uint64],
    row: NDArray[np.int32],
) -> None:
    own, grey, red, green, blue = row[_OWN], row[_GREY], row[_RED], row[_GREEN], row[_BLUE]
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    at = run[0]
    while at < run[1]:
        r, g, b = np.int32(pixels[at]), np.int32(pixels[at + one]), np.int32(pixels[at + two])
        shared = (r + g + b) * grey
        picture[at] = (r * own + shared + red) >> 16
        picture[at + one] = (g * own + shared + green) >> 16
        picture[at + two] = (b * own + shared + blue) >> 16
        at += three


@compiled
def _stripe(
    picture: NDArray[np.uint8],
    run: tuple[np.uint64, np.uint64],
    hatch: tuple[int, int, int],
) -> None:
    """Lays light stripes over a run whose first pixel lies at y + x = `hatch[0]`."""
    rising, period, share = hatch
    for at in range(run[0], run[1]):
        if (rising + np.int64((at - run[0]) // np.uint64(3))) % period < period // 4:
            level = np.int64(picture[at])
            picture[at] = level + (((np.int64(PAPER[0]) - level) * share + 32768) >> 16)
