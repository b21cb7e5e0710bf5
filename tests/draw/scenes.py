"""What tests of pictures share: a few classes and scenes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atrous.labels import Label, LabelSpace
from atrous.types import Image, Labelled, Parse, Region, Segment

LABELS = LabelSpace(
    (
        Label("person", (220, 20, 60), True, 1),
        Label("sky", (70, 130, 180), False, 2),
        Label("background", (0, 0, 0), False, 3),
    )
)
PERSON, SKY, GROUND = range(3)
Slices = tuple[slice, slice]
LEFT, RIGHT = (slice(60, 140), slice(10, 140)), (slice(60, 140), slice(160, 290))


def parse(size_hw: tuple[int, int], *areas: tuple[int, Slices]) -> Parse:
    """Segments 1, 2, ... of a class each, painted one over the other."""
    ids = np.zeros(size_hw, dtype=np.int32)
    for place, (_, where) in enumerate(areas, start=1):
        ids[where] = place
    segments = []
    for place, (class_id, _) in enumerate(areas, start=1):
        ys, xs = np.nonzero(ids == place)
        box = int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1
        label = LABELS[class_id]
        segments.append(Segment(place, class_id, label.name, label.is_thing, 0.9, len(ys), box))
    return Parse(ids, LABELS.empty(size_hw), np.ones(size_hw, np.float32), tuple(segments))


def labelled(size_hw: tuple[int, int], *areas: tuple[Region, Slices]) -> Labelled:
    """Regions painted one over the other."""
    ids = np.zeros(size_hw, dtype=np.int32)
    for region, where in areas:
        ids[where] = region.id
    return Labelled(ids, tuple(region for region, _ in areas))


def whole(size_hw: tuple[int, int]) -> Slices:
    return slice(0, size_hw[0]), slice(0, size_hw[1])


def grey(size_hw: tuple[int, int]) -> Image:
    return np.full((*size_hw, 3), 128, dtype=np.uint8)


def changed(one: Image, other: Image) -> NDArray[np.bool_]:
    return np.asarray((one != other).any(axis=2))


SIZE = (200, 300)
TWO_PERSONS = parse(SIZE, (GROUND, whole(SIZE)), (PERSON, LEFT), (PERSON, RIGHT))
