"""The plain nouns that every room shares, on numpy alone.

Coordinates are (y, x), sizes (h, w), boxes (y0, x0, y1, x1) with the last row and column outside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(h, w, 3) RGB."""
IdMap = NDArray[np.int32]
"""(h, w) segment ids, 0 = void."""
ClassMap = NDArray[np.uint8] | NDArray[np.uint16]
"""(h, w) class ids; the largest value of the type = void."""
FloatMap = NDArray[np.float32]


class BadInput(ValueError):
    """The user gave something that cannot be used; the message says what, where and the mend.

    The command line prints it as one line and exits with 2.
    """


class Failed(RuntimeError):
    """Work that began well and cannot go on; the message says what happened and how to go on.

    The command line prints it as one line and exits with 1. An empty message leaves the word to
    another process of the same work.
    """


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in the user's files that a lenient reader can step over.

    kind     what it is, in the plural: faults are counted by it
    message  one line that names the file, the ids and the mend
    """

    kind: str
    message: str


Report = Callable[[Fault], None]
"""What a reader tells of each fault before it steps over it, if this returns."""


def refuse(fault: Fault) -> None:
    """The strict `Report`.

    Raises: BadInput, always.
    """
    raise BadInput(fault.message)


def as_array(values: object) -> NDArray[Any]:
    """An array, or what a tensor on any device holds; torch is not imported for it."""
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        values = values.detach().cpu()
    return np.asarray(values)


def require_positive(**numbers: int) -> None:
    """Raises ValueError for the first number that is below 1, with its name."""
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name} is {value}: it must be at least 1")


@dataclass(frozen=True, slots=True)
class Region:
    """What one id of an id map stands for: a class, and whether it is a crowd of things.

    score  how sure a prediction is of it, in [0, 1]; None for truth, and where nobody said
    """

    id: int
    class_id: int
    is_crowd: bool = False
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """An id map and its regions: ground truth and predictions meet the metrics in this form.

    ids      (h, w) int32, 0 = void
    regions  one for each id in `ids` but 0; a region need not have pixels left
    """

    ids: IdMap
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True, eq=False)
class IdRuns:
    """An id map as runs along its rows, top to bottom: small, for label maps are flat.

    np.asarray makes the map of it.

    shape   (h, w)
    starts  (n + 1,) where runs begin, counted over all pixels; last h * w
    ids     (n,) of the runs
    """

    shape: tuple[int, int]
    starts: NDArray[np.int32]
    ids: NDArray[np.int32]

    def __array__(self, dtype: object = None, copy: bool | None = None) -> IdMap:
        """(h, w) int32."""
        return np.repeat(self.ids, np.diff(self.starts)).reshape(self.shape)


Runs = NDArray[np.uint32]
"""(n,) lengths of a mask's runs down its columns, left to right: outside, inside, outside, ...

The first is 0 where the mask begins with its first pixel. This is COCO's order.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One thing of an image, alone: it may lie over others.

    id     what its file calls it
    runs   its mask
    score  how sure a prediction is of it, in [0, 1]; None for truth
    """

    id: int
    class_id: int
    runs: Runs
    score: float | None = None
    is_crowd: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """The things of one image, in the order of their file."""

    size_hw: tuple[int, int]
    items: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its ground truth; image and label have the same size."""

    name: str
    image: Image
    truth: Labelled


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a parsed image.

    area  in pixels; box (y0, x0, y1, x1) in pixels, half open; score in [0, 1]
    """

    id: int
    class_id: int
    name: str
    is_thing: bool
    score: float
    area: int
    box: tuple[int, int, int, int]


def in_words(segments: Sequence[Segment]) -> str:
    """What was found, in words: "person 2, dog 1; background"."""
    things = Counter(segment.name for segment in segments if segment.is_thing)
    stuff = sorted({segment.name for segment in segments if not segment.is_thing})
    counted = ", ".join(f"{name} {number}" for name, number in sorted(things.items()))
    return "; ".join(part for part in (counted, ", ".join(stuff)) if part) or "nothing"


@dataclass(frozen=True, slots=True)
class Parse:
    """What a system says about one image.

    panoptic    (h, w) int32 segment ids, 0 = void
    semantic    (h, w) class ids before fusion
    confidence  (h, w) float32 in [0, 1], the probability of the class in `semantic`
    segments    one for each id in `panoptic` but 0
    """

    panoptic: IdMap
    semantic: ClassMap
    confidence: FloatMap
    segments: tuple[Segment, ...]

    @property
    def labelled(self) -> Labelled:
        """The form that the metrics read."""
        regions = (Region(s.id, s.class_id, score=s.score) for s in self.segments)
        return Labelled(self.panoptic, tuple(regions))
