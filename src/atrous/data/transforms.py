"""How an image becomes a network's input: resized, normalised, padded."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from atrous.types import FloatMap, Image


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
        mean, scale = (np.array(n, dtype=np.float32)[:, None] for n in (self.mean, self.scale))
        tables = (np.arange(256, dtype=np.float32) - mean) / scale  # seven times as fast as pixels
        planes = np.empty((3, *image.shape[:2]), np.float32)
        for plane, table, level in zip(planes, tables, cv2.split(image), strict=True):
            cv2.LUT(level, table, plane)
        return planes

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
