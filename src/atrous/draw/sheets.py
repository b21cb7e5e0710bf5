"""Pictures in rows, under titles."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.draw.colours import INK
from atrous.draw.layers import labelled_layer, ranks, ranks_like
from atrous.draw.overlays import labelled_overlay, painted
from atrous.draw.style import USUAL, Style
from atrous.draw.verdicts import errors, require_one_size
from atrous.draw.words import Word, font_px, length_px, paper, shortened, written
from atrous.labels import LabelSpace
from atrous.types import BadInput, Image, Labelled

_Number = TypeVar("_Number", np.uint8, np.int32)
COLUMN_PX = 240, 800
"""Longest side of an image in a comparison, at least about and at most."""
GREY = 128


def side_by_side(images: Sequence[Image], titles: Sequence[str]) -> Image:
    """One image or more in a row, top aligned and never scaled, each under its title."""
    size = font_px(images[0].shape[:2])
    pairs = zip(images, titles, strict=True)
    columns = [_under_title(image, title, size_px=size) for image, title in pairs]
    return _grid(columns, columns=len(columns), gap=max(2, size // 2))


def contact_sheet(images: Sequence[Image], *, columns: int, shrink: bool = True) -> Image:
    """One image or more in rows of `columns`.

    shrink  whether any beyond the median size is scaled down to it

    Raises: BadInput without images or columns.
    """
    if not images or columns < 1:
        what = f"a sheet of {len(images)} images in {columns} columns"
        raise BadInput(f"{what}: give at least one image and one column")
    height, width = (int(np.median([image.shape[i] for image in images])) for i in range(2))
    cells = [_shrunk(image, (height, width)) if shrink else image for image in images]
    return _grid(cells, columns=columns, gap=max(2, round(0.015 * max(height, width))))


def thumbnail(
    image: Image,
    labelled: Labelled,
    labels: LabelSpace,
    *,
    longest_px: int,
    title: str = "",
    style: Style = USUAL,
) -> Image:
    """`labelled_overlay` at a small size, under a title: words are as legible as in a large one.

    longest_px  what the longer side of the image is scaled down to

    Raises: BadInput if that is not a pixel; ValueError if image and label differ in size.
    """
    if image.shape[:2] != labelled.ids.shape:
        raise ValueError(f"image is {image.shape[:2]}, its label {labelled.ids.shape}: same size")
    size_hw = _small_hw(image, longest_px)
    small = Labelled(_nearest(labelled.ids, size_hw), labelled.regions)
    picture = labelled_overlay(_averaged(image, size_hw), small, labels, style=style)
    return _under_short_title(picture, title, size_px=font_px(size_hw))


def captioned(picture: Image, title: str, *, longest_px: int) -> Image:
    """A picture at a small size, under as much of a title as there is room for.

    longest_px  what its longer side is scaled down to

    Raises: BadInput if that is not a pixel.
    """
    small = _averaged(picture, _small_hw(picture, longest_px))
    return _under_short_title(small, title, size_px=font_px(small.shape))


def comparison(
    image: Image | None,
    truth: Labelled,
    prediction: Labelled,
    *,
    labels: LabelSpace,
    matches: Collection[tuple[int, int]],
    title: str,
    forgiven: Collection[int] = (),
) -> Image:
    """Photo, ground truth, prediction and errors in a row, under titles and one title for all.

    Segments that are matched have one colour on both sides. Images are scaled down to 800 pixels
    at the longest side, and tiny ones up; without an image the ground is grey.

    matches, forgiven  as for `errors`

    Raises: ValueError if image, truth and prediction differ in size.
    """
    ground = np.full((*truth.ids.shape, 3), GREY, dtype=np.uint8) if image is None else image
    require_one_size(ground, truth, prediction)
    size_hw = _column_hw(ground.shape[:2])
    photo = _fitted(ground, size_hw)
    truth, prediction = (
        Labelled(_nearest(side.ids, size_hw), side.regions) for side in (truth, prediction)
    )
    alpha = 0.5 if image is not None else 0.85
    row = [
        photo,
        *_overlays(photo, truth, prediction, labels=labels, matches=matches, alpha=alpha),
        errors(photo, truth, prediction, labels=labels, matches=matches, forgiven=forgiven),
    ]
    titles = ["photo" if image is not None else "no photo", "ground truth", "prediction", "errors"]
    size = font_px(size_hw)
    sheet = side_by_side(row, titles)
    return _under_title(sheet, title, size_px=round(1.4 * size), margin_px=size // 2)


def _overlays(
    photo: Image,
    truth: Labelled,
    prediction: Labelled,
    *,
    labels: LabelSpace,
    matches: Collection[tuple[int, int]],
    alpha: float,
) -> Iterator[Image]:
    """Truth and prediction over the photo; matched things look alike."""
    true, predicted = (labelled_layer(side, labels) for side in (truth, prediction))
    shared = ranks_like(predicted, true, {p: t for t, p in matches})
    for layer, places in ((true, ranks(true)), (predicted, shared)):
        yield painted(photo, layer, labels, style=Style(alpha=alpha), known_ranks=places)


def _column_hw(size_hw: tuple[int, ...]) -> tuple[int, int]:
    """The size at which a comparison shows an image: smaller, or a whole number of times as big."""
    (at_least, at_most), longest = COLUMN_PX, max(size_hw)
    scale = at_most / longest if longest > at_most else -(-at_least // longest)
    return max(1, round(scale * size_hw[0])), max(1, round(scale * size_hw[1]))


def _fitted(image: Image, size_hw: tuple[int, int]) -> Image:
    if max(size_hw) > max(image.shape):
        return _nearest(image, size_hw)
    return _averaged(image, size_hw)


def _nearest(pixels: NDArray[_Number], size_hw: tuple[int, int]) -> NDArray[_Number]:
    """Image or map (h, w, ...) at another size; each pixel is one that was there."""
    rows, columns = (
        ((np.arange(to) + 0.5) * (of / to)).astype(int)
        for of, to in zip(pixels.shape, size_hw, strict=False)
    )
    return pixels[np.ix_(rows, columns)]


def _small_hw(image: Image, longest_px: int) -> tuple[int, int]:
    """The size of an image whose longer side is scaled down to that, if it is longer."""
    if longest_px < 1:
        raise BadInput(f"longest_px is {longest_px}: give the pixels of an image's longer side")
    height, width = image.shape[:2]
    scale = min(1.0, longest_px / max(height, width))
    return max(1, round(scale * height)), max(1, round(scale * width))


def _under_short_title(image: Image, title: str, *, size_px: int) -> Image:
    short = shortened(title, image.shape[1], size_px)
    return _under_title(image, short, size_px=size_px) if short else image


def _under_title(image: Image, title: str, *, size_px: int, margin_px: int = 0) -> Image:
    """The image below its title, widened with paper where the title is longer."""
    height, width = image.shape[:2]
    long = max(width, round(length_px(title, size_px)) + 2 * margin_px)
    head = written(paper((2 * size_px, long)), [Word(title, size_px, margin_px, INK)], size_px)
    return np.concatenate([head, np.hstack([image, paper((height, long - width))])])


def _shrunk(image: Image, limit_hw: tuple[int, int]) -> Image:
    height, width = image.shape[:2]
    scale = min(1.0, limit_hw[0] / height, limit_hw[1] / width)
    return _averaged(image, (max(1, round(scale * height)), max(1, round(scale * width))))


def _averaged(image: Image, size_hw: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(image, size_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _grid(images: Sequence[Image], *, columns: int, gap: int) -> Image:
    rows = [images[i : i + columns] for i in range(0, len(images), columns)]
    heights = [max(image.shape[0] for image in row) for row in rows]
    widths = [max(image.shape[1] for image in images[i::columns]) for i in range(len(rows[0]))]
    sheet = paper((sum(heights) + gap * (len(heights) + 1), sum(widths) + gap * (len(widths) + 1)))
    y = gap
    for row, height in zip(rows, heights, strict=True):
        x = gap
        for image, width in zip(row, widths, strict=False):
            left = x + (width - image.shape[1]) // 2
            sheet[y : y + image.shape[0], left : left + image.shape[1]] = image
            x += width + gap
        y += height + gap
    return sheet
