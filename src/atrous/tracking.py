"""Things keep their ids from frame to frame: each is found again by where its mask was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from atrous.types import IdMap, Parse, Segment

LEAST_IOU = 0.3
"""Of a thing's mask and that of the frame before; moving things overlap themselves that much."""
PATIENCE = 10
"""Frames for which a thing that is out of sight keeps its id."""


@dataclass(frozen=True, slots=True, eq=False)
class _Track:
    """A thing as it was last seen: its mask in its box."""

    id: int
    class_id: int
    box: tuple[int, int, int, int]
    mask: NDArray[np.bool_]
    area: int
    seen: int


class Tracker:
    """Gives the frames of one video ids that last; one for each video, frames in their order.

    classes    how many there are: stuff of class c always has the id c + 1, things come behind
    least_iou  overlap from which two masks of one class are one thing
    patience   frames for which a lost thing is remembered, where it was last seen
    """

    def __init__(
        self, classes: int, *, least_iou: float = LEAST_IOU, patience: int = PATIENCE
    ) -> None:
        self._classes, self._least, self._patience = classes, least_iou, patience
        self._tracks: dict[int, _Track] = {}
        self._size_hw: tuple[int, ...] = ()
        self._next, self._frame = classes + 1, 0

    def update(self, parse: Parse) -> Parse:
        """The same segments under ids that last; a thing never changes its class.

        Pairs of equal overlap are taken in the order of their ids. A thing that is not found
        gets an id that none has had. Frames of another size begin anew, with new ids.
        """
        self._frame += 1
        if parse.panoptic.shape != self._size_hw:
            self._tracks, self._size_hw = {}, parse.panoptic.shape
        places = _places(parse)
        new_ids = self._new_ids(parse.segments, self._pairs(parse.segments, places))
        panoptic = np.array([0, *new_ids], dtype=np.int32)[places]
        named = zip(parse.segments, new_ids, strict=True)
        segments = tuple(replace(segment, id=new) for segment, new in named)
        self._remember(segments, panoptic)
        return replace(parse, panoptic=panoptic, segments=segments)

    def _pairs(self, segments: tuple[Segment, ...], places: IdMap) -> dict[int, int]:
        """Place of a thing -> id of its track; those that overlap most first."""
        found = []
        for track in self._tracks.values():
            y0, x0, y1, x1 = track.box
            under = np.bincount(places[y0:y1, x0:x1][track.mask], minlength=len(segments) + 1)
            for place in np.flatnonzero(under[1:]).tolist():
                other = segments[place]
                shared = int(under[place + 1])
                overlap = shared / (track.area + other.area - shared)
                if (other.is_thing, other.class_id) == (True, track.class_id):
                    found.append((-overlap, self._frame - track.seen, track.id, place))
        pairs: dict[int, int] = {}
        for overlap, _, track_id, place in sorted(found):
            if -overlap >= self._least and place not in pairs and track_id not in pairs.values():
                pairs[place] = track_id
        return pairs

    def _new_ids(self, segments: tuple[Segment, ...], pairs: dict[int, int]) -> list[int]:
        ids: list[int] = []
        for place, segment in enumerate(segments):
            lasting = pairs.get(place) if segment.is_thing else segment.class_id + 1
            if lasting is None or lasting in ids:  # new, or a second segment of one kind of stuff
                lasting, self._next = self._next, self._next + 1
            ids.append(lasting)
        return ids

    def _remember(self, segments: Iterable[Segment], panoptic: IdMap) -> None:
        for segment in segments:
            if segment.is_thing:
                y0, x0, y1, x1 = segment.box
                mask = panoptic[y0:y1, x0:x1] == segment.id
                self._tracks[segment.id] = _Track(
                    segment.id, segment.class_id, segment.box, mask, segment.area, self._frame
                )
        oldest = self._frame - self._patience
        self._tracks = {t.id: t for t in self._tracks.values() if t.seen >= oldest}


def _places(parse: Parse) -> IdMap:
    """(h, w) place of each pixel's segment, counted from 1; 0 = none."""
    ids = np.array([0, *(segment.id for segment in parse.segments)])
    table = np.zeros(max(int(ids.max()), int(parse.panoptic.max(initial=0))) + 1, dtype=np.int32)
    table[ids] = np.arange(len(ids))
    return np.asarray(table[parse.panoptic], dtype=np.int32)
