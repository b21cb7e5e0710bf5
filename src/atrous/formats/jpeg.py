"""The fast way to the pixels of usual JPEG files, whole or at a fraction of their size.

OpenCV's decoder gives the pixels that Pillow's does, to the last level, in half the time.
"""

from __future__ import annotations

import cv2
import numpy as np
import PIL.Image

from atrous.types import Image

SHRINKS = (8, 4, 2)
"""By how much a JPEG may shrink while it is decoded, the most first."""

_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_END = b"\xff\xd9"


def is_usual_jpeg(image: PIL.Image.Image, data: bytes) -> bool:
    """Whether `data`, opened as `image`, is a JPEG of grey or RGB that is not cut off.

    OpenCV fills up what is cut off; Pillow says so, and is left to do it.
    """
    return image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB") and _END in data[-32:]


def decode_jpeg(data: bytes, shrink: int = 1) -> Image | None:
    """(h, w, 3) RGB as it lies in the file, sides ceil(n / shrink); None where it is damaged.

    shrink  1 or one of `SHRINKS`
    """
    flags = _FLAGS[shrink] | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        return None
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, pixels), dtype=np.uint8)
