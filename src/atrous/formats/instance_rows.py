"""The rows of a file of COCO instances in columns.

A file of COCO has 860,000 rows. As objects they take gigabytes in each worker process; in columns
they take little more than their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atrous.formats.listing import ImageId
from atrous.formats.outlines import Outlines, narrowed
from atrous.formats.segmentation import Stored


class Found(NamedTuple):
    """What a row says; `image` is a place, `mask` a text or the places of its outlines."""

    image: int
    id: int
    class_id: int
    mask: bytes | range
    is_crowd: bool = False
    area: float = math.nan
    score: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """Texts one after the other; `ends` (n + 1,) is where each begins and ends."""

    whole: bytes
    ends: NDArray[np.integer]

    def __getitem__(self, place: int) -> bytes:
        return self.whole[self.ends[place] : self.ends[place + 1]]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of a file, those of an image side by side, in the order of the file.

    firsts     (images + 1,) where the rows of each image begin and end
    areas      what the file claims, nan where it does not
    scores     nan for truth
    spans      (n, 2) places of the outlines of each, alike where its mask is a text
    texts      their runs, empty where a mask is outlines
    """

    firsts: NDArray[np.integer]
    ids: NDArray[Any]
    class_ids: NDArray[np.integer]
    is_crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    scores: NDArray[np.float64]
    spans: NDArray[np.integer]
    texts: Texts
    outlines: Outlines

    def of(self, image: int) -> Iterator[Row]:
        """The rows of an image, which is known by its place."""
        at = slice(int(self.firsts[image]), int(self.firsts[image + 1]))
        columns = (self.ids, self.class_ids, self.is_crowd, self.areas, self.scores)
        values = zip(*(column[at].tolist() for column in columns), strict=True)
        for place, (number, class_id, is_crowd, area, score) in enumerate(values, at.start):
            yield Row(number, class_id, is_crowd, _known(area), _known(score), self, place)

    def mask(self, place: int) -> Stored:
        """The mask of the row at a place."""
        first, last = self.spans[place].tolist()
        if first < last:
            return tuple(self.outlines[i] for i in range(first, last))
        return self.texts[place]

    def area_of(self, class_ids: Collection[int]) -> list[float]:
        """The areas of the rows of these classes, summed up for each image."""
        is_asked, count = np.isin(self.class_ids, list(class_ids)), self.firsts.size - 1
        images = np.searchsorted(self.firsts, np.flatnonzero(is_asked), side="right") - 1
        sums: list[float] = np.bincount(images, self.areas[is_asked], minlength=count).tolist()
        return sums

    def part(self, images: Iterable[int]) -> Rows:
        """The rows of these images alone, in this order."""
        of = [range(self.firsts[i], self.firsts[i + 1]) for i in images]
        rows = np.array([row for some in of for row in some], np.int64)
        spans = self.spans[rows].astype(np.int64)
        outlines = [i for first, last in spans.tolist() for i in range(first, last)]
        ends = _ends(spans[:, 1] - spans[:, 0])
        return Rows(
            firsts=narrowed(_ends([len(some) for some in of])),
            ids=self.ids[rows],
            class_ids=self.class_ids[rows],
            is_crowd=self.is_crowd[rows],
            areas=self.areas[rows],
            scores=self.scores[rows],
            spans=narrowed(np.stack((ends[:-1], ends[1:]), axis=1)),
            texts=_joined([self.texts[i] for i in rows.tolist()]),
            outlines=self.outlines.part(outlines),
        )


class Row(NamedTuple):
    """A row; its mask is made when it is asked for.

    area   what the file claims, None where it does not
    score  None for truth
    """

    id: int
    class_id: int
    is_crowd: bool
    area: float | None
    score: float | None
    rows: Rows
    place: int

    @property
    def mask(self) -> Stored:
        """Its text of runs, or its outlines."""
        return self.rows.mask(self.place)


@dataclass(frozen=True, slots=True, eq=False)
class Entries(Mapping[ImageId, tuple[Row, ...]]):
    """Image id -> its rows, in the order of the file, made when they are asked for."""

    places: Mapping[ImageId, int]
    rows: Rows

    def __getitem__(self, image_id: ImageId) -> tuple[Row, ...]:
        return tuple(self.rows.of(self.places[image_id]))

    def __iter__(self) -> Iterator[ImageId]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def columns(found: list[Found], images: int, outlines: Outlines) -> Rows:
    """The rows of so many images."""
    found.sort(key=lambda x: x.image)  # which leaves those of one image in order
    counts = np.bincount(np.array([x.image for x in found], np.int64), minlength=images)
    spans = [(x.mask.start, x.mask.stop) if isinstance(x.mask, range) else (0, 0) for x in found]
    return Rows(
        firsts=narrowed(_ends(counts)),
        ids=_whole_numbers([x.id for x in found]),
        class_ids=_whole_numbers([x.class_id for x in found]),
        is_crowd=np.array([x.is_crowd for x in found], np.bool_),
        areas=np.array([x.area for x in found], np.float64),
        scores=np.array([x.score for x in found], np.float64),
        spans=narrowed(np.array(spans, np.int64).reshape(-1, 2)),
        texts=_joined([x.mask if isinstance(x.mask, bytes) else b"" for x in found]),
        outlines=outlines,
    )


def _joined(texts: list[bytes]) -> Texts:
    return Texts(b"".join(texts), narrowed(_ends([len(text) for text in texts])))


def _ends(counts: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))


def _whole_numbers(values: list[int]) -> NDArray[Any]:
    try:
        return narrowed(np.array(values, np.int64))
    except OverflowError:  # JSON may have any
        return np.array(values, object)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
