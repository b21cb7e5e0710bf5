"""A contact sheet: photos with their labels laid over, under their names, faulty ones first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress

import cv2
import numpy as np

from atrous.doctor.kinds import FAULT, severity
from atrous.doctor.run import Diagnosis
from atrous.draw import contact_sheet, labelled_overlay
from atrous.draw.colours import INK, Colour
from atrous.draw.words import Word, length_px, paper, written
from atrous.formats import read_image
from atrous.types import BadInput, Fault, Image, Labelled

SIDE_PX = 480
"""The longest side of a picture."""
TITLE_PX = 16
WRONG: Colour = (190, 20, 20)
GREY = 128


def sheet(diagnosis: Diagnosis, *, images: int) -> Image | None:
    """The first images with faults, then others from all over the data set; None if there are none.

    What cannot be read is grey; a label that does not fit on its photo stands beside it.
    """
    chosen = list(_chosen(diagnosis, images))
    if not chosen:
        return None
    kinds: dict[int, str] = {}
    for _, found in diagnosis.told:
        if found.sample >= 0:
            kinds.setdefault(found.sample, found.kind)
    pictures = [_titled(diagnosis, sample, kinds.get(sample, "")) for sample in chosen]
    return contact_sheet(_level(pictures), columns=math.ceil(math.sqrt(len(pictures))))


def _chosen(diagnosis: Diagnosis, images: int) -> Iterator[int]:
    """Samples with faults, at most three of a kind before all kinds are shown, then even steps."""
    places: dict[str, list[int]] = {}
    for _, found in diagnosis.told:
        if found.sample >= 0 and severity(found.kind) == FAULT:
            places.setdefault(found.kind, []).append(found.sample)
    turns = max(map(len, places.values()), default=0)
    faulty = [x[i] for i in range(turns) for x in places.values() if i < len(x)]
    total = len(diagnosis.plan.samples)
    steps = [total * i // images for i in range(images)] if total > images else range(total)
    return iter(list(dict.fromkeys([*faulty, *steps]))[:images])


def _titled(diagnosis: Diagnosis, sample: int, kind: str) -> Image:
    """A sample's picture under what is wrong with it, and its split and name."""
    plan = diagnosis.plan
    entry, split = plan.samples[sample].entry, plan.splits[plan.samples[sample].splits[0]]
    picture = _picture(diagnosis, sample)
    width = max(picture.shape[1], SIDE_PX)
    lines = [(f"{split.name}/{entry.name}", INK)] + [(kind, WRONG)] * bool(kind)
    words = [
        Word(_fitting(text, width), TITLE_PX + round(1.4 * TITLE_PX * i), 0, colour)
        for i, (text, colour) in enumerate(lines)
    ]
    head = written(paper((4 * TITLE_PX, width)), words, TITLE_PX)
    page = paper((picture.shape[0], width))
    page[:, : picture.shape[1]] = picture
    return np.concatenate([head, page])


def _picture(diagnosis: Diagnosis, sample: int) -> Image:
    """A photo under its label, or both beside each other where that cannot be."""
    plan = diagnosis.plan
    source = plan.splits[plan.samples[sample].splits[0]].source
    assert source is not None  # it has this sample
    entry = plan.samples[sample].entry
    photo, label = _photo(entry.image), None
    with suppress(BadInput):
        label = source.read(entry, _passed)
    if label is None:
        return _beside(photo, _photo(entry.truth[0]))
    if photo is not None and photo.shape[:2] == label.ids.shape:
        return labelled_overlay(*_small_pair(photo, label, SIDE_PX), source.labels)
    side_px = SIDE_PX // 2 if photo is not None else SIDE_PX
    pair = _small_pair(_grey(label.ids.shape), label, side_px)
    drawn = labelled_overlay(*pair, source.labels)
    return drawn if photo is None else _beside(photo, drawn)


def _beside(photo: Image | None, label: Image | None) -> Image:
    """Photo and label, each half as wide as a picture; grey is what cannot be read."""
    half = SIDE_PX // 2
    sides = [_grey((half, half)) if x is None else _small(x, half) for x in (photo, label)]
    page = paper((max(side.shape[0] for side in sides), SIDE_PX))
    for left, side in zip((0, half), sides, strict=True):
        page[: side.shape[0], left : left + side.shape[1]] = side[:, :half]
    return page


def _passed(_: Fault) -> None:
    """What is wrong is told elsewhere."""


def _photo(path: object) -> Image | None:
    try:
        return read_image(str(path))
    except BadInput:
        return None


def _grey(size_hw: tuple[int, ...]) -> Image:
    return np.full((*size_hw, 3), GREY, dtype=np.uint8)


def _scale(size_hw: tuple[int, ...], side_px: int) -> tuple[int, int]:
    ratio = side_px / max(size_hw[:2])
    return max(1, round(ratio * size_hw[0])), max(1, round(ratio * size_hw[1]))


def _small(image: Image, side_px: int) -> Image:
    height, width = _scale(image.shape, side_px)
    way = cv2.INTER_AREA if height < image.shape[0] else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), np.uint8)


def _small_pair(image: Image, label: Labelled, side_px: int) -> tuple[Image, Labelled]:
    height, width = _scale(image.shape, side_px)
    ids = cv2.resize(label.ids, (width, height), interpolation=cv2.INTER_NEAREST)
    return _small(image, side_px), Labelled(np.asarray(ids, np.int32), label.regions)


def _fitting(text: str, width: int) -> str:
    """A text that is no longer than a picture is wide; its end is what tells it from others."""
    while len(text) > 8 and length_px(text, TITLE_PX) > width:
        text = f"...{text[4:]}"
    return text


def _level(pictures: list[Image]) -> list[Image]:
    """The pictures on white of one size, so that a sheet scales none of them down."""
    height, width = (max(picture.shape[i] for picture in pictures) for i in range(2))
    level = []
    for picture in pictures:
        page = paper((height, width))
        page[: picture.shape[0], : picture.shape[1]] = picture
        level.append(page)
    return level
