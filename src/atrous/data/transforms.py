"""How an image becomes a network's input: resized, normalised, padded."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from atrous.types import BadInput, FloatMap, Image


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

    Raises: BadInput for a scale of 0, and for what is not three numbers.
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
            elif not isinstance(value, tuple) or len(value) != 3:
                raise BadInput(f"input.{name} is {value}: give a number, or three")
        if 0 in self.scale:
            raise BadInput(f"input.scale is {self.scale}: levels are divided by it: give no 0")

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

    def sized(self, size_hw: tuple[int, int], *, scale: float = 1.0) -> tuple[int, int]:
        """Size at which an image is seen, each side at least 1.

        A scale goes from the first pixel's centre to the last one's, so that 513 at 1.5 is 769.

        Source: PSPNet, section 5.1 and the authors' code.
        """
        ratio = self.ratio(size_hw)
        height, width = (max(1, round((max(1, round(n * ratio)) - 1) * scale) + 1) for n in size_hw)
        return height, width

    def padded(self, size_hw: tuple[int, int], *, scale: float = 1.0) -> tuple[int, int]:
        """The smallest n * multiple + 1 that holds each side of an image at a scale."""
        least = round((self.longest_side - 1) * scale) + 1 if self.square else 0
        height, width = (
            -(-(max(n, least) - 1) // self.multiple) * self.multiple + 1 for n in size_hw
        )
        return height, width


def resized(image: Image, size_hw: tuple[int, int]) -> Image:
    """The image at another size; area average to shrink.

    # Deviates: pixel centres map on pixel centres, and `tensors.Frame` maps back exactly; the
    # authors' code aligns corners without any smoothing.
    """
    height, width = size_hw
    if image.shape[:2] == size_hw:
        return image
    how = cv2.INTER_AREA if height * width < image.shape[0] * image.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), dtype=np.uint8)


def pad(image: Image, size_hw: tuple[int, int], rule: InputRule) -> Image:
    """The image at the top left, the mean pixel elsewhere; a part of an image may be empty."""
    if image.size == 0:
        return np.full((*size_hw, 3), rule.fill, dtype=np.uint8)
    bottom, right = (n - m for n, m in zip(size_hw, image.shape[:2], strict=True))
    whole = np.ascontiguousarray(image)
    filled = cv2.copyMakeBorder(whole, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=rule.fill)
    return np.asarray(filled, dtype=np.uint8)
