"""What a parse keeps where it is unsure, and of segments that are too small: void in their place.

The papers use neither: by default nothing is taken away.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.labels import LabelSpace
from atrous.types import BadInput, FloatMap, IdMap, Parse, Segment

SCORE_DIGITS = 4
"""As of the scores that fusion gives."""


def check_cleaning(reject_below: float, least_area: int) -> None:
    """Raises BadInput for a bound that is no probability, or no number of pixels."""
    if not 0 <= reject_below <= 1:  # nan is not, either
        what = f"reject-below is {reject_below}: it is a probability"
        raise BadInput(f"{what}, from 0 (nothing is rejected) to 1")
    if isinstance(least_area, float) or least_area < 0:
        what = f"least-area is {least_area}: it is a whole number of pixels"
        raise BadInput(f"{what}, from 0 (no segment is too small)")


def cleaned(
    parse: Parse, *, labels: LabelSpace, reject_below: float = 0.0, least_area: int = 0
) -> Parse:
    """The parse without unsure pixels and small segments: they are void, also in `semantic`.

    Segments keep their ids, and vanish with their last pixel. Those that have lost pixels get
    their area, box and score anew, the score as the mean confidence of what is left. The maps of
    `parse` stay as they are; where nothing is asked for it comes back itself.

    reject_below  pixels of less confidence become void, and those whose confidence is NaN
    least_area    then segments of fewer pixels become void, things and stuff alike

    Raises: BadInput for a bound that makes no sense.
    """
    check_cleaning(reject_below, least_area)
    if reject_below <= 0 and least_area <= 1:
        return parse
    panoptic, semantic = parse.panoptic.copy(), parse.semantic.copy()
    if reject_below > 0:
        # In the type of the map: a bound of 0.9 must not reject a float32 of 0.9.
        bound, void = np.float32(reject_below), semantic.dtype.type(labels.void)
        _reject(panoptic.ravel(), semantic.ravel(), np.ravel(parse.confidence), bound, void)
        parse = replace(parse, panoptic=panoptic, semantic=semantic)
        parse = replace(parse, segments=_measured(parse))
    small = [segment for segment in parse.segments if segment.area < least_area]
    for segment in small:
        y0, x0, y1, x1 = segment.box
        mask = panoptic[y0:y1, x0:x1] == segment.id
        panoptic[y0:y1, x0:x1][mask] = 0
        semantic[y0:y1, x0:x1][mask] = labels.void
    kept = tuple(segment for segment in parse.segments if segment.area >= least_area)
    return Parse(panoptic, semantic, parse.confidence, kept)


def _measured(parse: Parse) -> tuple[Segment, ...]:
    """The segments that have pixels left; what has lost none stays as it is."""
    ids = np.array([segment.id for segment in parse.segments], dtype=np.int32)
    order = np.argsort(ids)
    confidence = np.ascontiguousarray(parse.confidence)
    extents, totals = _extents(parse.panoptic, confidence, ids[order])
    rows = zip(order.tolist(), extents.tolist(), totals.tolist(), strict=True)
    segments = parse.segments
    found = {at: _updated(segments[at], extent, total) for at, extent, total in rows if extent[0]}
    return tuple(found[at] for at in sorted(found))


def _updated(segment: Segment, extent: list[int], total: float) -> Segment:
    area, y0, x0, y1, x1 = extent
    if area == segment.area:
        return segment
    mean = total / area
    score = segment.score if math.isnan(mean) else round(mean, SCORE_DIGITS)
    return replace(segment, area=area, box=(y0, x0, y1, x1), score=score)


@compiled
def _reject(
    panoptic: NDArray[np.int32],
    semantic: NDArray[np.integer],
    confidence: NDArray[np.float32],
    bound: np.float32,
    void: np.integer,
) -> None:
    """Voids the unsure pixels of flat maps, without a branch: the loop is vectorised."""
    for i in range(panoptic.size):
        is_sure = confidence[i] >= bound  # nan is not
        panoptic[i] = panoptic[i] if is_sure else np.int32(0)
        semantic[i] = semantic[i] if is_sure else void


@compiled
def _extents(
    ids: IdMap, confidence: FloatMap, sorted_ids: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(n, 5) area and box, and (n,) the sum of the confidence, of each of the ids."""
    height, width = ids.shape
    extents = np.zeros((sorted_ids.size, 5), np.int64)
    totals = np.zeros(sorted_ids.size, np.float64)
    for y in range(height):
        start = 0
        while start < width:
            value, end, total = ids[y, start], start, 0.0
            while end < width and ids[y, end] == value:
                total += confidence[y, end]
                end += 1
            place = _place(sorted_ids, value)
            if place >= 0:
                is_first = extents[place, 0] == 0
                totals[place] += total
                extents[place, 0] += end - start
                extents[place, 1] = y if is_first else extents[place, 1]
                extents[place, 2] = start if is_first else min(extents[place, 2], start)
                extents[place, 3], extents[place, 4] = y + 1, max(extents[place, 4], end)
            start = end
    return extents, totals


@compiled
def _place(sorted_ids: NDArray[np.int32], value: np.int32) -> int:
    """Where an id stands; -1 = nowhere."""
    low, high = 0, sorted_ids.size
    while low < high:
        middle = (low + high) // 2
        if sorted_ids[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < sorted_ids.size and sorted_ids[low] == value else -1
