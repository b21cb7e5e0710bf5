"""A parser that needs no network, and cameras that need no camera."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from atrous.batch import Input, Journal, Made, Shelf
from atrous.formats import write_image
from atrous.labels import LabelSpace
from atrous.labels.space import Label
from atrous.result import Result, ResultFolder
from atrous.types import Image, Parse, Segment

GREY = LabelSpace(
    (Label("dark", (10, 10, 10), False, 3), Label("bright", (200, 200, 200), True, 7))
)


def parsed(image: Image) -> Parse:
    """What is bright is a thing each, and the rest is dark."""
    count, ids = cv2.connectedComponents((image[..., 0] > 127).astype(np.uint8))
    panoptic = np.where(ids == 0, count, ids).astype(np.int32)
    segments = []
    for number in np.unique(panoptic).tolist():
        y, x = np.nonzero(panoptic == number)
        box = (int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1)
        class_id = int(number != count)
        name = GREY[class_id].name
        segments.append(Segment(number, class_id, name, bool(class_id), 0.5, len(y), box))
    semantic = (ids > 0).astype(np.uint8)
    confidence = np.full(ids.shape, 0.5, np.float32)
    return Parse(panoptic, semantic, confidence, tuple(segments))


class GreyParser:
    """Parses in no time, and remembers what it was asked to parse together.

    most  images that it has memory for at a time
    """

    labels = GREY

    def __init__(self, *, most: int = 1000) -> None:
        self.batches: list[list[tuple[int, ...]]] = []
        self._most = most

    @property
    def count(self) -> int:
        return sum(map(len, self.batches))

    def input_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        return size_hw

    def stream(self, images: Iterable[Image], *, batch: int) -> Iterator[Result]:
        together = list(images)
        if len(together) > self._most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")
        self.batches.append([image.shape[:2] for image in together])
        return (Result(parsed(image), image, GREY) for image in together)


def shelf_in(
    folder: Path,
    *,
    rank: int | None = None,
    size: int = 1,
    overwrite: bool = False,
    **settings: object,
) -> Shelf:
    made = Made("grey", "0" * 64, settings)
    journal = Journal(folder, made, rank=rank, size=size, overwrite=overwrite)
    return Shelf(ResultFolder(folder, overlay="none"), journal)


def square(size: int = 16, *, at: int = 2) -> Image:
    """Dark, with a bright square of 6 pixels."""
    image = np.zeros((size, size, 3), np.uint8)
    image[4:10, at : at + 6] = 255
    return image


def photos(folder: Path, count: int) -> list[Input]:
    paths = [folder / f"p{number:02}.png" for number in range(count)]
    for number, path in enumerate(paths):
        write_image(path, square(at=number % 8))
    return [Input(path) for path in paths]


class Camera:
    """Stands for cv2.VideoCapture: so many frames, then none; then perhaps an error."""

    def __init__(self, frames: int, *, error: type[BaseException] | None = None) -> None:
        self.left, self.is_released, self._error = frames, False, error
        self._at = 0

    def __call__(self, *place: object) -> Camera:
        return self

    def get(self, what: int) -> float:
        return 10.0 if what == cv2.CAP_PROP_FPS else -1.0

    def read(self) -> tuple[bool, Image | None]:
        if not self.left:
            if self._error:
                raise self._error
            return False, None
        self.left, self._at = self.left - 1, self._at + 1
        return True, square(32, at=self._at % 24)

    def release(self) -> None:
        self.is_released = True
