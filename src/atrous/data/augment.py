"""What chance does to a sample in training: scale, rotation, blur, mirror, crop.

Every choice is a pure function of (seed, step, slot): counter-based, no hidden state. The crop
comes first: what it will not show is never resized, and where a small copy of the photo will do,
only that is decoded. Labels take the nearest pixel and are never blended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.data.source import Opened
from atrous.data.transforms import InputRule
from atrous.types import BadInput, IdMap, Image, Labelled, Sample

BLUR_KERNEL = 5
"""Side of the Gaussian kernel, as in the code of PSPNet's authors; its deviation is 1.1 px."""


@dataclass(frozen=True, slots=True)
class Augment:
    """What chance may do.

    crop        side of the square that the network sees; n * multiple + 1
    scales      (least, largest, step) of the factor; a step of 0 draws from the whole range
    scale_base  what the factor is of: "input", the image as the input rule would resize it, or
                "image", the image as it is
    flip        probability of a mirrored image
    rotation    (largest angle in degrees, probability); the corners are mean and void
    blur        probability of a Gaussian blur
    paste       probability that things of another sample are laid over it, see `pasting`

    Source: DeepLabv3, section 4.1; DeeperLab, section 4; PSPNet, section 4.
    """

    crop: int
    scales: tuple[float, float, float] = (0.5, 2.0, 0.25)
    flip: float = 0.5
    multiple: int = 16
    rotation: tuple[float, float] = (0.0, 0.0)
    blur: float = 0.0
    paste: float = 0.0
    scale_base: str = "input"

    def __post_init__(self) -> None:
        step = self.multiple
        if self.crop < 1 or (self.crop - 1) % step:
            near = max(1, round((self.crop - 1) / step)) * step + 1
            raise BadInput(f"train.crop is {self.crop}: it must be {step} n + 1, such as {near}")
        if self.scale_base not in ("input", "image"):
            raise BadInput(f"train.scale_base is {self.scale_base!r}: it can be input or image")
        if not 0 < self.scales[0] <= self.scales[1] or self.scales[2] < 0:
            raise BadInput(f"train.scales is {self.scales}: give least, largest and a step or 0")

    def drawn(self, random: np.random.Generator) -> Draw:
        """The choices for one sample, whatever its size; always as many numbers are drawn."""
        scale, row, column, mirror, angle, is_turned, blur = random.random(7).tolist()
        least, largest, step = self.scales
        steps = round((largest - least) / step) + 1 if step else 0
        factor = least + (step * int(scale * steps) if step else scale * (largest - least))
        degrees, probability = self.rotation
        return Draw(
            factor=factor,
            corner=(row, column),
            mirrored=mirror < self.flip,
            degrees=(2 * angle - 1) * degrees if is_turned < probability else 0.0,
            blurred=blur < self.blur,
        )


@dataclass(frozen=True, slots=True)
class Draw:
    """What chance has chosen for one sample; corner is the place of the crop, each in [0, 1)."""

    factor: float
    corner: tuple[float, float]
    mirrored: bool
    degrees: float
    blurred: bool


def generator(seed: int, *, step: int, slot: int) -> np.random.Generator:
    """The randomness of one sample, which its place in the run alone decides."""
    return np.random.Generator(np.random.Philox(key=np.uint64(seed), counter=[0, 0, step, slot]))


def augment(
    found: Opened, rule: InputRule, settings: Augment, random: np.random.Generator
) -> Sample:
    """A crop x crop sample: scaled, turned, cut, blurred, mirrored, padded with mean and void.

    # Deviates: a crop is cut along whole pixels of the photo, and then resized, so that its scale
    # is off by half a pixel in crop / scale at most; photo and label share the cut.
    """
    draw, ids = settings.drawn(random), found.truth.ids
    base = rule.ratio(ids.shape) if settings.scale_base == "input" else 1.0
    ratio = base * draw.factor
    image = found.pixels(ratio)
    if draw.degrees:
        turn = _turn(ids.shape, ratio, draw, settings.crop)
        image, ids = turn.image(image, rule.fill), turn.labels(ids)
    else:
        rows, columns = (
            _cut(n, ratio, settings.crop, at) for n, at in zip(ids.shape, draw.corner, strict=True)
        )
        image, ids = _resized(image, ids.shape, rows, columns), _nearest(ids, rows, columns)
    if draw.blurred:
        image = np.asarray(cv2.GaussianBlur(image, (BLUR_KERNEL, BLUR_KERNEL), 0), dtype=np.uint8)
    if draw.mirrored:
        image = np.asarray(cv2.flip(image, 1), dtype=np.uint8)
        ids = np.asarray(cv2.flip(ids.view(np.float32), 1)).view(np.int32)
    truth = Labelled(_padded(ids, settings.crop, 0), found.truth.regions)
    return Sample(found.name, _padded(image, settings.crop, rule.fill), truth)


@dataclass(frozen=True, slots=True)
class _Cut:
    """Pixels [start, stop) of an image's side, which become `size` pixels of the crop."""

    start: int
    stop: int
    size: int

    def of(self, whole: int, side: int) -> slice:
        """The same stretch of a smaller copy that has `side` pixels for `whole`."""
        start = min(round(self.start * side / whole), side - 1)
        return slice(start, max(start + 1, round(self.stop * side / whole)))


def _cut(side: int, ratio: float, crop: int, at: float) -> _Cut:
    """The stretch of a side that a crop shows; a smaller image is shown whole."""
    scaled = max(1, round(side * ratio))
    if scaled <= crop:
        return _Cut(0, side, scaled)
    length = min(side, max(1, round(crop / ratio)))
    start = min(round(int(at * (scaled - crop + 1)) / ratio), side - length)
    return _Cut(start, start + length, crop)


def _resized(image: Image, whole: tuple[int, ...], rows: _Cut, columns: _Cut) -> Image:
    """The part of an image, or of a smaller copy of it; area average to a half and less."""
    part = image[rows.of(whole[0], image.shape[0]), columns.of(whole[1], image.shape[1])]
    if part.shape[:2] == (rows.size, columns.size):
        return part
    is_far = 2 * rows.size <= part.shape[0] and 2 * columns.size <= part.shape[1]
    how = cv2.INTER_AREA if is_far else cv2.INTER_LINEAR
    small = cv2.resize(part, (columns.size, rows.size), interpolation=how)
    return np.asarray(small, dtype=np.uint8)


def _nearest(ids: IdMap, rows: _Cut, columns: _Cut) -> IdMap:
    part = ids[rows.start : rows.stop, columns.start : columns.stop]
    # OpenCV copies four bytes a pixel, whatever they are: floats are what it has a fast way for.
    size = columns.size, rows.size
    small = cv2.resize(part.view(np.float32), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(small).view(np.int32)


@dataclass(frozen=True, slots=True)
class _Turn:
    """A crop of an image that is scaled and then turned about its centre.

    matrix   (2, 3) from pixels of the crop (x, y) to those of the image; centres lie on centres
    whole    size of the image
    size_hw  size of what the crop shows
    """

    matrix: NDArray[np.float64]
    whole: tuple[int, ...]
    size_hw: tuple[int, int]

    def image(self, image: Image, fill: tuple[int, int, int]) -> Image:
        """Bilinear, of the image or a smaller copy of it."""
        matrix = self.matrix.copy()
        for axis, (n, m) in enumerate(
            zip(reversed(image.shape[:2]), self.whole[::-1], strict=True)
        ):
            matrix[axis] *= n / m
            matrix[axis, 2] += (n / m - 1) / 2
        return np.asarray(self._warped(image, matrix, cv2.INTER_LINEAR, fill), dtype=np.uint8)

    def labels(self, ids: IdMap) -> IdMap:
        """Nearest pixel; ids keep their bits."""
        warped = self._warped(ids.view(np.float32), self.matrix, cv2.INTER_NEAREST, (0, 0, 0))
        return warped.view(np.int32)

    def _warped(
        self, array: NDArray[Any], matrix: NDArray[np.float64], how: int, fill: tuple[int, ...]
    ) -> NDArray[Any]:
        return np.asarray(
            cv2.warpAffine(
                array,
                matrix,
                self.size_hw[::-1],
                flags=how | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=fill,
            )
        )


def _turn(whole: tuple[int, ...], ratio: float, draw: Draw, crop: int) -> _Turn:
    height, width = (max(1, round(n * ratio)) for n in whole)
    shown = min(height, crop), min(width, crop)
    top, left = (
        int(at * (n - m + 1)) for at, n, m in zip(draw.corner, (height, width), shown, strict=True)
    )
    cos, sin = math.cos(math.radians(draw.degrees)), math.sin(math.radians(draw.degrees))
    turn = np.array([[cos, -sin], [sin, cos]]) / ratio
    centre, middle = ((np.array([m, n]) - 1) / 2 for n, m in ((height, width), whole[:2]))
    shift = middle - turn @ (centre - (left, top))
    return _Turn(np.column_stack([turn, shift]), whole, shown)


def _padded(array: NDArray[Any], crop: int, fill: int | tuple[int, int, int]) -> NDArray[Any]:
    """The array at the top left, `fill` elsewhere."""
    below, right = crop - array.shape[0], crop - array.shape[1]
    if not below and not right:
        return np.ascontiguousarray(array)
    border = cv2.copyMakeBorder(array, 0, below, 0, right, cv2.BORDER_CONSTANT, value=fill)
    return np.asarray(border)
