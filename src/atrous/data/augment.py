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
from atrous.formats import SHRINKS
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
        least, largest, by = self.scales
        if not (0 < least <= largest and by >= 0 and math.isfinite(largest + by)):
            raise BadInput(f"train.scales is {self.scales}: give least, largest and a step or 0")
        if not 0 <= self.rotation[0] <= 180:
            raise BadInput(f"train.rotation is {self.rotation}: degrees, 0 to 180, come first")
        shares = ("flip", self.flip), ("rotation", self.rotation[1])
        for name, share in (*shares, ("blur", self.blur), ("paste", self.paste)):
            if not 0 <= share <= 1:
                raise BadInput(f"train.{name}: {share} is no probability: give 0 to 1")

    def drawn(self, random: np.random.Generator) -> Draw:
        """The choices for one sample, whatever its size; always as many numbers are drawn."""
        scale, row, column, mirror, angle, is_turned, blur = random.random(7).tolist()
        least, largest, step = self.scales
        steps = int((largest - least) / step + 1e-9) + 1 if step else 0
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

    # Deviates: a crop is cut along whole pixels of the photo as it is decoded, and then resized, so
    # that its scale is off by half of such a pixel in all; photo and label share the cut.
    """
    draw, ids = settings.drawn(random), found.truth.ids
    base = rule.ratio(ids.shape) if settings.scale_base == "input" else 1.0
    ratio = base * draw.factor
    image = found.pixels(ratio)
    shrink = _shrink(ids.shape, image.shape)
    if draw.degrees:
        turn = _turn(ids.shape, ratio, draw, settings.crop)
        image, ids = turn.image(*_closer(image, ratio, shrink), rule.fill), turn.labels(ids)
    else:
        rows, columns = (
            _cut(n, ratio, settings.crop, at=at, shrink=shrink)
            for n, at in zip(ids.shape, draw.corner, strict=True)
        )
        image, ids = _resized(image, rows, columns, shrink), _nearest(ids, rows, columns)
    if draw.blurred:
        image = np.asarray(cv2.GaussianBlur(image, (BLUR_KERNEL, BLUR_KERNEL), 0), dtype=np.uint8)
    if draw.mirrored:
        image = np.asarray(cv2.flip(image, 1), dtype=np.uint8)
        ids = np.asarray(cv2.flip(ids.view(np.float32), 1)).view(np.int32)
    truth = Labelled(_padded(ids, settings.crop, 0), found.truth.regions)
    return Sample(found.name, _padded(image, settings.crop, rule.fill), truth)


def _shrink(whole: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """By how much a photo was made smaller when it was decoded.

    Raises: BadInput if photo and label are of two sizes.
    """
    tried = (1, *reversed(SHRINKS))
    sizes = tuple(zip(whole, shape, strict=False))
    found = (s for s in tried if all(-(-n // s) == m for n, m in sizes))
    shrink = next(found, None)
    if shrink is None:
        what = " and ".join("x".join(map(str, size[:2])) for size in (shape, whole))
        raise BadInput(f"photo and label are {what} (height x width): give both the same size")
    return shrink


@dataclass(frozen=True, slots=True)
class _Cut:
    """Pixels [start, stop) of an image's side, which become `size` pixels of the crop."""

    start: int
    stop: int
    size: int


def _cut(side: int, ratio: float, crop: int, *, at: float, shrink: int) -> _Cut:
    """The stretch of a side that a crop shows; a smaller image is shown whole.

    It begins and ends between pixels of the photo as it was decoded, so that photo and label share
    it; of a side that `shrink` does not divide the last pixels are left out.
    """
    usable = side // shrink * shrink or side
    scaled = max(1, round(usable * ratio))
    if scaled <= crop:
        return _Cut(0, usable, scaled)
    length = min(usable, max(1, round(crop / ratio / shrink)) * shrink)
    start = int(at * ((usable - length) // shrink + 1)) * shrink
    return _Cut(start, start + length, crop)


def _resized(image: Image, rows: _Cut, columns: _Cut, shrink: int) -> Image:
    """The part of a photo as it was decoded; area average to a half and less."""
    top, left = (cut.start // shrink for cut in (rows, columns))
    height, width = (max(1, (cut.stop - cut.start) // shrink) for cut in (rows, columns))
    part = image[top : top + height, left : left + width]
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
    size_hw  size of what the crop shows
    """

    matrix: NDArray[np.float64]
    size_hw: tuple[int, int]

    def image(self, image: Image, shrink: int, fill: tuple[int, int, int]) -> Image:
        """Bilinear, of the image or a copy that is `shrink` times smaller."""
        matrix = self.matrix / shrink
        matrix[:, 2] += (1 / shrink - 1) / 2
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


def _closer(image: Image, ratio: float, shrink: int) -> tuple[Image, int]:
    """A copy nearer to its size in the crop, by means of whole blocks, and its shrink."""
    factor = min(int(1 / (ratio * shrink)), *image.shape[:2])
    if factor < 2:
        return image, shrink
    height, width = (n // factor for n in image.shape[:2])
    blocks = image[: height * factor, : width * factor]
    small = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8), shrink * factor


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
    return _Turn(np.column_stack([turn, shift]), shown)


def _padded(array: NDArray[Any], crop: int, fill: int | tuple[int, int, int]) -> NDArray[Any]:
    """The array at the top left, `fill` elsewhere."""
    below, right = crop - array.shape[0], crop - array.shape[1]
    if not below and not right:
        return np.ascontiguousarray(array)
    border = cv2.copyMakeBorder(array, 0, below, 0, right, cv2.BORDER_CONSTANT, value=fill)
    return np.asarray(border)
