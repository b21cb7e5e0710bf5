"""A photo whose pixels are decoded when they are asked for, smaller where that will do.

What a crop shows is known from the size alone, which stands in the file's header: a JPEG of which a
small copy is wanted need never be decoded whole.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

from atrous.formats.images import contents, opened, orientation, read_opened, turned
from atrous.formats.jpeg import SHRINKS, decode_jpeg, is_usual_jpeg
from atrous.types import Image

TALL = (5, 6, 7, 8)
"""The orientations of EXIF that swap height and width."""


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """The bytes of an image file, and what its header says.

    source          named in errors
    size_hw         size of the upright image
    orientation     1 to 8, as EXIF has it; pixels come upright
    can_be_smaller  whether it can be decoded at a fraction of its size
    """

    source: str
    data: bytes
    size_hw: tuple[int, int]
    orientation: int
    can_be_smaller: bool

    def pixels(self, ratio: float = 1.0) -> Image:
        """(h, w, 3) RGB, each side at least `ratio` of the image's; usually the whole image.

        A side of the smaller image is ceil(n / 2), n / 4 or n / 8: its pixels are means of blocks.

        Raises: BadInput, one line, if the file is damaged.
        """
        shrink = next((s for s in SHRINKS if s * ratio <= 1), 1) if self.can_be_smaller else 1
        size = self.size_hw[::-1] if self.orientation in TALL else self.size_hw
        stored = decode_jpeg(self.data, size, shrink) if shrink > 1 else None
        if stored is not None:
            return turned(stored, self.orientation)
        return read_opened(opened(self.data, name=self.source), self.data, name=self.source)


def read_photo(source: str | os.PathLike[str] | BinaryIO) -> Photo:
    """Reads a file whole, but of the image in it the header alone.

    Raises: BadInput if it is no image that `read_image` reads.
    """
    name, data = contents(source)
    image = opened(data, name=name)
    turn = orientation(image)
    width, height = image.size
    size = (width, height) if turn in TALL else (height, width)
    return Photo(name, data, size, turn, is_usual_jpeg(image, data))
