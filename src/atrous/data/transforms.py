"""How an image becomes a network's input: for prediction, and with chance for training.

Every random choice is a pure function of (seed, step, slot): counter-based, no hidden state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from atrous.types import BadInput, FloatMap, Image, Labelled, Sample


@dataclass(frozen=True, slots=True)
class InputRule:
    """What a network expects of its input; it travels in the checkpoint.

    mean, scale   normalised = (pixel - mean) / scale for red, green and blue, in levels of 0..255;
                  one number, as in older models, stands for all three
    longest_side  images are resized so that their longer side has this many pixels; 0 = never
    enlarge       whether smaller images are enlarged to it
    multiple      inputs are padded at bottom and right to n * multiple + 1
    square        they are padded to longest_side x longest_side at least, as some public networks
                  with image pooling were trained
    """

    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    scale: tuple[float, float, float] = (127.5, 127.5, 127.5)
    longest_side: int = 513
    enlarge: bool = False
    multiple: int = 16
    square: bool = False

    def __post_init__(self) -> None:
        for name in ("mean", "scale"):
            value = getattr(self, name)
            if isinstance(value, int | float):
                object.__setattr__(self, name, (float(value),) * 3)

    @property
    def fill(self) -> tuple[int, int, int]:
        """The pixel that padding is made of: the mean."""
        red, green, blue = (round(value) for value in self.mean)
        return red, green, blue

    def ratio(self, size_hw: tuple[int, int]) -> float:
        """Factor from image to network input, before any chance."""
        if self.longest_side == 0:
            return 1.0
        ratio = self.longest_side / max(size_hw)
        return ratio if self.enlarge else min(ratio, 1.0)

    def normalise(self, image: Image) -> FloatMap:
        """(3, h, w) float32 network input."""
        mean, scale = (np.array(n, dtype=np.float32) for n in (self.mean, self.scale))
        scaled = (image.astype(np.float32) - mean) / scale
        return np.ascontiguousarray(scaled.transpose(2, 0, 1))

    def padded(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """The smallest n * multiple + 1 that holds each side."""
        least = self.longest_side if self.square else 0
        height, width = (
            -(-(max(n, least) - 1) // self.multiple) * self.multiple + 1 for n in size_hw
        )
        return height, width


def resized(image: Image, rule: InputRule) -> Image:
    """The image at the size that the rule asks for, each side at least 1; area average to shrink.

    # Deviates: pixel centres map on pixel centres, and `tensors.Frame` maps back exactly; the
    # authors' code aligns corners without any smoothing.
    """
    height, width = image.shape[:2]
    ratio = rule.ratio((height, width))
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    if size == (width, height):
        return image
    how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)


def pad(image: Image, size_hw: tuple[int, int], rule: InputRule) -> Image:
    """The image at the top left, the mean pixel elsewhere."""
    bottom, right = (n - m for n, m in zip(size_hw, image.shape[:2], strict=True))
    filled = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=rule.fill)
    return np.asarray(filled, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Augment:
    """Random scale, crop and mirror.

    scales  (least, largest, step) of the factor; a step of 0 draws from the whole range
    flip    probability of a mirrored image
    multiple  the crop is n * multiple + 1

    Source: DeepLabv3, section 4.1; DeeperLab, section 4.
    """

    crop: int
    scales: tuple[float, float, float] = (0.5, 2.0, 0.25)
    flip: float = 0.5
    multiple: int = 16

    def __post_init__(self) -> None:
        step = self.multiple
        if self.crop < 1 or (self.crop - 1) % step:
            near = max(1, round((self.crop - 1) / step)) * step + 1
            raise BadInput(f"train.crop is {self.crop}: it must be {step} n + 1, such as {near}")


def generator(seed: int, *, step: int, slot: int) -> np.random.Generator:
    """The randomness of one sample, which its place in the run alone decides."""
    return np.random.Generator(np.random.Philox(key=np.uint64(seed), counter=[0, 0, step, slot]))


def augment(
    sample: Sample, rule: InputRule, settings: Augment, random: np.random.Generator
) -> Sample:
    """A crop x crop sample: scaled, cut at a random place, mirrored, padded with mean and void.

    Only what the crop shows is resampled. Labels take the nearest pixel and are never blended.
    """
    least, largest, step = settings.scales
    draws = round((largest - least) / step) + 1 if step else 0
    factor = least + step * random.integers(draws) if step else random.uniform(least, largest)
    ratio = rule.ratio(sample.truth.ids.shape) * factor
    corner = [_corner(n * ratio, settings.crop, random) for n in sample.truth.ids.shape]
    mirrored = random.random() < settings.flip
    affine = _affine(corner, ratio, settings.crop, mirrored=mirrored)
    image = _warp(sample.image, affine, settings.crop, how=cv2.INTER_LINEAR, fill=rule.fill)
    ids = _warp(
        sample.truth.ids.astype(np.float32), affine, settings.crop, how=cv2.INTER_NEAREST, fill=(0,)
    )
    truth = Labelled(ids.astype(np.int32), sample.truth.regions)
    return replace(sample, image=image.astype(np.uint8), truth=truth)


def _corner(size: float, crop: int, random: np.random.Generator) -> float:
    """Start of the crop along one side; an image that is smaller stays at the start."""
    return float(random.integers(max(0, round(size) - crop) + 1))


def _affine(corner: list[float], ratio: float, crop: int, *, mirrored: bool) -> NDArray[np.float64]:
    """(2, 3) matrix from crop pixels (x, y) to image pixels; pixel centres map on centres."""
    matrix = np.zeros((2, 3))
    for axis, start in enumerate(reversed(corner)):
        matrix[axis, axis] = 1 / ratio
        matrix[axis, 2] = (start + 0.5) / ratio - 0.5
    if mirrored:
        matrix[0] = -matrix[0, 0], 0, matrix[0, 2] + (crop - 1) * matrix[0, 0]
    return matrix


def _warp(
    array: NDArray[np.uint8] | FloatMap,
    affine: NDArray[np.float64],
    crop: int,
    *,
    how: int,
    fill: tuple[int, ...],
) -> NDArray[np.generic]:
    return np.asarray(
        cv2.warpAffine(
            array,
            affine,
            (crop, crop),
            flags=how | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=fill,
        )
    )
