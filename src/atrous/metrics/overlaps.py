"""How true and predicted segments lie on each other: the one pass over pixels for all scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.metrics.counting import count_pairs, count_run_pairs, totals
from atrous.types import BadInput, IdMap, IdRuns, Labelled, Region, as_array

VOID = 0


@dataclass(frozen=True, slots=True)
class Overlaps:
    """How the segments of one image lie on each other, in pixels.

    pairs           (truth id, predicted id) -> pixels, only where there are any; 0 = void
    truth_area      truth id -> pixels, void among them
    predicted_area  predicted id -> pixels, void among them
    """

    pairs: dict[tuple[int, int], int]
    truth_area: dict[int, int]
    predicted_area: dict[int, int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The true and the predicted segments of one image, without those that have no pixels.

    true, predicted  id -> region, in the order in which they are listed
    """

    shared: Overlaps
    true: dict[int, Region]
    predicted: dict[int, Region]


def overlaps(truth: IdMap | IdRuns, prediction: IdMap | IdRuns) -> Overlaps:
    """Counts the pixels of every pair of a true and a predicted id; both maps are (h, w).

    They may be arrays or tensors of any type of integer, or runs.

    Raises: BadInput if the sizes differ, or a map holds no ids of 32 bits.
    """
    if truth.shape != prediction.shape:
        sizes = f"the truth is {tuple(truth.shape)} but the prediction {tuple(prediction.shape)}"
        raise BadInput(f"{sizes}: resize the prediction, with nearest neighbour")
    if isinstance(truth, IdRuns) and isinstance(prediction, IdRuns):
        keys, counts = count_run_pairs(truth, prediction)
    else:
        true, predicted = narrow(truth, "truth"), narrow(prediction, "prediction")
        keys, counts = count_pairs(true.ravel(), predicted.ravel())
    sides = (keys >> 32).astype(np.int32), keys.astype(np.int32)
    ids = zip(sides[0].tolist(), sides[1].tolist(), strict=True)
    pairs = dict(zip(ids, counts.tolist(), strict=True))
    order = np.argsort(sides[1], kind="stable")
    return Overlaps(pairs, totals(sides[0], counts), totals(sides[1][order], counts[order]))


def compare(truth: Labelled, prediction: Labelled, *, classes: int) -> Comparison:
    """What a truth and a prediction of the same image have in common.

    classes  number of classes

    Raises: BadInput if the sizes differ, an id has no region or two, or a class is unknown.
    """
    shared = overlaps(truth.ids, prediction.ids)
    return matched_up(shared, truth.regions, prediction.regions, classes=classes)


def matched_up(
    shared: Overlaps, true: tuple[Region, ...], predicted: tuple[Region, ...], *, classes: int
) -> Comparison:
    """`compare` where the pixels have been counted.

    Raises: BadInput if an id has no region or two, or a class is unknown.
    """
    return Comparison(
        shared,
        _segments(true, classes, shared.truth_area, "truth"),
        _segments(predicted, classes, shared.predicted_area, "prediction"),
    )


def narrow(values: object, whose: str) -> NDArray[np.int32]:
    """A map of ids, array or tensor, as contiguous int32.

    Raises: BadInput if it holds no integers, or one that 32 bits do not hold.
    """
    ids = as_array(values)
    if ids.dtype == np.int32:
        return np.ascontiguousarray(ids)
    if ids.dtype.kind not in "iu":
        raise BadInput(f"the {whose} map is {ids.dtype}: give ids as integers")
    ends = (ids.min(initial=0), ids.max(initial=0)) if ids.dtype.itemsize >= 4 else ()
    for odd in (int(end) for end in ends if not -(2**31) <= end < 2**31):
        raise BadInput(f"the {whose} map holds id {odd}: number segments below 2^31")
    return np.ascontiguousarray(ids, dtype=np.int32)


def _segments(
    listed: tuple[Region, ...], classes: int, area: dict[int, int], whose: str
) -> dict[int, Region]:
    """Id -> region, in order, without the regions that have no pixels."""
    regions = {region.id: region for region in listed}
    if len(regions) < len(listed) or VOID in regions:
        raise BadInput(f"the {whose} has two regions of one id, or one of id 0: number them from 1")
    if strangers := sorted(area.keys() - regions.keys() - {VOID}):
        raise BadInput(f"the {whose} map holds ids {strangers[:5]} without a region: list them")
    if odd := sorted({r.class_id for r in regions.values() if not 0 <= r.class_id < classes}):
        raise BadInput(
            f"the {whose} has regions of class {odd[:5]}, but there are {classes} classes: map the"
            " file's ids to class ids first"
        )
    return {i: region for i, region in regions.items() if i in area}
