"""The fast way to the pixels of usual JPEG files, whole or at a fraction of their size.

simplejpeg (extra `fast`) takes half of Pillow's time, OpenCV a little more. All three stand on
libjpeg-turbo and give the same pixels, to the last level, so that it does not matter which is used.
"""

from __future__ import annotations

import cv2
import numpy as np
import PIL.Image

from atrous.types import Image

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

SHRINKS = (8, 4, 2)
"""By how much a JPEG may shrink while it is decoded, the most first."""

_FLAGS = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
}
_END = b"\xff\xd9"


def is_usual_jpeg(image: PIL.Image.Image, data: bytes) -> bool:
    """Whether `data`, opened as `image`, is a JPEG of grey or RGB that is not cut off.

    Pillow says of others what is wrong with them, and is left to do it.
    """
    return image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB") and _END in data[-32:]


def decode_jpeg(data: bytes, size_hw: tuple[int, int], shrink: int = 1) -> Image | None:
    """(h, w, 3) RGB as it lies in the file, sides ceil(n / shrink); None where it cannot be had.

    Of a damaged file simplejpeg gives nothing, and OpenCV what there is, as Pillow does.

    size_hw  of the image as it lies in the file
    shrink   1 or one of `SHRINKS`
    """
    if simplejpeg is None:
        flags = _FLAGS[shrink] | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        return None if pixels is None else np.asarray(pixels, dtype=np.uint8)
    height, width = (-(-n // shrink) for n in size_hw)
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, min_height=height, min_width=width))
    except ValueError:
        return None
