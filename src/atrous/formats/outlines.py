"""All polygons of a file in one array, exact, and small enough to go to every worker process.

A coordinate with two decimals, as COCO has them, is a whole number of hundredths: v is kept as
n = rint(100 v) where n / 100 is exactly v, and as it is where not.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_COORDINATE = 65536
"""The farthest a corner of a polygon may lie from the image's own."""

_MOST_HUNDREDTHS = 2**31 - 1
_BLOCK = 2**18
_IS_NUMBER = frozenset((int, float)).issuperset


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """The polygons of a file, each x, y, x, y, ... in pixels.

    ends      (n + 1,) where the outlines begin and end among the numbers
    numbers   what `unit` times a coordinate is
    places    (k,) of the numbers that are no whole hundredths, ascending
    odd       (k,) those coordinates
    """

    ends: NDArray[np.integer]
    numbers: NDArray[Any]
    unit: float
    places: NDArray[np.int64]
    odd: NDArray[np.float64]

    def __getitem__(self, place: int) -> NDArray[np.float64]:
        start, end = self.ends[place], self.ends[place + 1]
        found: NDArray[np.float64] = np.divide(self.numbers[start:end], self.unit, dtype=np.float64)
        first, last = np.searchsorted(self.places, (start, end))
        found[self.places[first:last] - start] = self.odd[first:last]
        return found

    def part(self, places: list[int]) -> Outlines:
        """These outlines alone, in this order."""
        taken = [self[i] for i in places]
        sizes = np.array([0, *(x.size for x in taken)], np.int64)
        return _small(np.concatenate([*taken, np.empty(0)]), sizes.cumsum())


@dataclass(frozen=True, slots=True, eq=False)
class Growing:
    """Outlines that are being read."""

    numbers: array[float] = field(default_factory=lambda: array("d"))
    ends: array[int] = field(default_factory=lambda: array("q", (0,)))

    def take(self, segmentation: object) -> object:
        """The places of its outlines, a range; what is no list of outlines comes back as it is."""
        if type(segmentation) is not list or not segmentation:
            return segmentation
        if not all(map(_is_outline, segmentation)):
            return segmentation
        first = len(self.ends) - 1
        try:
            for outline in segmentation:
                self.numbers.fromlist(outline)
                self.ends.append(len(self.numbers))
        except OverflowError:  # a whole number beyond all floats
            return segmentation
        return range(first, len(self.ends) - 1)

    def far(self) -> frozenset[int]:
        """The places of outlines with a corner beyond `MAX_COORDINATE`, or at nan."""
        numbers, found = np.asarray(self.numbers), []
        for start in range(0, numbers.size, _BLOCK):
            is_near = np.abs(numbers[start : start + _BLOCK]) <= MAX_COORDINATE
            found.extend((start + np.flatnonzero(~is_near)).tolist())
        places = np.searchsorted(np.asarray(self.ends), found, side="right") - 1
        return frozenset(places.tolist())

    def outline(self, place: int) -> list[float]:
        """The numbers of one outline."""
        return self.numbers[self.ends[place] : self.ends[place + 1]].tolist()

    def whole(self) -> Outlines:
        """All of them, made small."""
        return _small(np.asarray(self.numbers), np.asarray(self.ends))


def narrowed(numbers: NDArray[np.integer]) -> NDArray[np.integer]:
    """Whole numbers in the smallest type that holds them."""
    if not numbers.size:
        return numbers.astype(np.uint16)
    least, most = numbers.min(), numbers.max()
    for kind in (np.uint16, np.int32):
        if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max:
            return numbers.astype(kind)
    return numbers


def _small(numbers: NDArray[np.float64], ends: NDArray[np.integer]) -> Outlines:
    hundredths, odd = np.empty(numbers.size, np.int32), [np.empty(0, np.int64)]
    for start in range(0, numbers.size, _BLOCK):
        block = numbers[start : start + _BLOCK]
        with np.errstate(over="ignore", invalid="ignore"):  # rows with nan or inf are left out
            steps = np.rint(block * 100)
            is_exact = (steps / 100 == block) & (np.abs(steps) <= _MOST_HUNDREDTHS)
        hundredths[start : start + _BLOCK] = np.where(is_exact, steps, 0)
        odd.append(start + np.flatnonzero(~is_exact))
    places = np.concatenate(odd)
    if 4 * places.size > numbers.size:  # of some other number of decimals
        return Outlines(narrowed(ends), numbers, 1.0, places[:0], numbers[:0])
    return Outlines(narrowed(ends), narrowed(hundredths), 100.0, places, numbers[places])


def _is_outline(outline: object) -> bool:
    return (
        type(outline) is list
        and len(outline) >= 6
        and not len(outline) % 2
        and _IS_NUMBER(map(type, outline))
    )
