"""Panoptic Quality and Parsing Covering: how well segments, not pixels, are found.

Regions without pixels are no segments. All sums are exact, so any order of `update` and `merge`
gives the same result to the last bit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from atrous.labels import LabelSpace
from atrous.types import BadInput, IdMap, Labelled, Region

VOID = 0
_FRACTION_BITS = 96


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


def overlaps(truth: IdMap, prediction: IdMap) -> Overlaps:
    """Counts the pixels of every pair of a true and a predicted id; both maps are (h, w) int32.

    Raises: BadInput if the sizes differ.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape:
        sizes = f"the truth is {truth.shape} but the prediction {prediction.shape}"
        raise BadInput(f"{sizes}: resize the prediction, with nearest neighbour")
    keys = ((truth.astype(np.int64) << 32) | prediction.astype(np.uint32)).ravel()
    found, counts = np.unique(keys, return_counts=True)
    true_ids, predicted_ids = (found >> 32).tolist(), found.astype(np.int32).tolist()
    pairs = dict(zip(zip(true_ids, predicted_ids, strict=True), counts.tolist(), strict=True))
    return Overlaps(pairs, _areas(pairs, 0), _areas(pairs, 1))


@dataclass(frozen=True, slots=True)
class Quality:
    """PQ, SQ and RQ as means over `classes` classes; fractions in [0, 1], nan without a class."""

    pq: float
    sq: float
    rq: float
    classes: int


@dataclass(frozen=True, slots=True)
class ClassQuality:
    """PQ = SQ * RQ of one class, nan where there is nothing to count; sq is 0 without a match.

    tp, fp, fn  matched pairs, predicted segments too many, true segments not found
    """

    pq: float
    sq: float
    rq: float
    tp: int
    fp: int
    fn: int


@dataclass(frozen=True, slots=True)
class PanopticScore:
    """Panoptic Quality of a data set; `per_class` has one entry for each class, in class order."""

    all: Quality
    things: Quality
    stuff: Quality
    per_class: tuple[ClassQuality, ...]


class PanopticQuality:
    """Matches true and predicted segments of one class that overlap with IoU above 0.5.

    PQ = sum of IoU over matches / (TP + FP / 2 + FN / 2), for each class, then the mean over the
    classes that have any segment. The rules of panopticapi:

    * predicted pixels on void do not count for the union;
    * a crowd is never matched and never missed;
    * an unmatched prediction is forgiven if more than half of it lies on void and on the crowd of
      its own class; with several crowds of a class in an image, only the last one forgives.

    Source: Kirillov et al. 2019, section 4; cocodataset/panopticapi, evaluation.py.
    """

    def __init__(self, labels: LabelSpace) -> None:
        self.labels = labels
        self.iou, self.tp, self.fp, self.fn = _zeros(4, labels)

    def update(self, truth: Labelled, prediction: Labelled) -> None:
        """Adds one image.

        Raises: BadInput if the sizes differ, an id has no region or two, or a class is unknown.
        """
        shared = overlaps(truth.ids, prediction.ids)
        true = _segments(truth, len(self.labels), shared.truth_area, "truth")
        predicted = _segments(prediction, len(self.labels), shared.predicted_area, "prediction")
        matches = self._match(shared, true, predicted)
        found, used = {t for t, _ in matches}, {p for _, p in matches}
        for region in true.values():
            self.fn[region.class_id] += not region.is_crowd and region.id not in found
        crowds = {r.class_id: r.id for r in true.values() if r.is_crowd}
        for region in predicted.values():
            crowd = crowds.get(region.class_id, VOID)
            ignored = sum(shared.pairs.get((t, region.id), 0) for t in {VOID, crowd})
            forgiven = 2 * ignored > shared.predicted_area[region.id]
            self.fp[region.class_id] += not forgiven and region.id not in used

    def merge(self, other: PanopticQuality) -> None:
        """Adds what another accumulator has seen; the order of merging does not matter."""
        _same(self.labels, other.labels)
        self.iou += other.iou
        self.tp += other.tp
        self.fp += other.fp
        self.fn += other.fn

    def compute(self) -> PanopticScore:
        """The scores of all images so far."""
        rows = tuple(map(_class_quality, self.iou, self.tp, self.fp, self.fn))
        things, stuff = (compress(rows, self.labels.is_thing == thing) for thing in (True, False))
        return PanopticScore(_mean_quality(rows), _mean_quality(things), _mean_quality(stuff), rows)

    def _match(
        self, shared: Overlaps, true: dict[int, Region], predicted: dict[int, Region]
    ) -> list[tuple[int, int]]:
        matches = []
        for (t, p), pixels in shared.pairs.items():
            if VOID in (t, p) or true[t].is_crowd or true[t].class_id != predicted[p].class_id:
                continue
            on_void = shared.pairs.get((VOID, p), 0)
            union = shared.truth_area[t] + shared.predicted_area[p] - pixels - on_void
            if 2 * pixels > union:
                matches.append((t, p))
                self.tp[true[t].class_id] += 1
                self.iou[true[t].class_id] += _exact(pixels, union)
        return matches


@dataclass(frozen=True, slots=True)
class CoveringScore:
    """Parsing Covering of a data set; fractions in [0, 1], nan without any class.

    paper       areas in pixels, as the formula has it
    normalised  areas divided by the size of their image first, as the released code has it
    per_class   `normalised` of each class, nan for classes that the truth does not hold
    """

    paper: float
    normalised: float
    per_class: tuple[float, ...]


class ParsingCovering:
    """Mean IoU of true regions with their best predicted region, weighted by area.

    Cov = sum of |R| * max IoU(R, R') / sum of |R| over the true regions R of a class; PC is the
    mean over the classes that the truth holds. Only predicted regions of the same class compete,
    nothing is matched, one prediction may cover several regions. Void pixels of the truth are
    removed everywhere, from predicted areas too; so are crowds, unless `keep_crowds`.

    Source: DeeperLab, section 4.2, equations 3 to 5; tensorflow/models, parsing_covering.py.
    """

    def __init__(self, labels: LabelSpace, *, keep_crowds: bool = False) -> None:
        self.labels = labels
        self.keep_crowds = keep_crowds
        self.covered, self.area, self.covered_share, self.area_share = _zeros(4, labels)

    def update(self, truth: Labelled, prediction: Labelled) -> None:
        """Adds one image.

        Raises: BadInput if the sizes differ, an id has no region or two, or a class is unknown.
        """
        shared = overlaps(truth.ids, prediction.ids)
        true = _segments(truth, len(self.labels), shared.truth_area, "truth")
        predicted = _segments(prediction, len(self.labels), shared.predicted_area, "prediction")
        if not self.keep_crowds:
            true = {i: region for i, region in true.items() if not region.is_crowd}
        best = _best_overlaps(shared, true, predicted)
        size = sum(shared.truth_area.values())
        for i, region in true.items():
            area, (pixels, union) = shared.truth_area[i], best.get(i, (0, 1))
            self.area[region.class_id] += area
            self.covered[region.class_id] += _exact(area * pixels, union)
            self.area_share[region.class_id] += _exact(area, size)
            self.covered_share[region.class_id] += _exact(area * pixels, union * size)

    def merge(self, other: ParsingCovering) -> None:
        """Adds what another accumulator has seen; the order of merging does not matter."""
        _same((self.labels, self.keep_crowds), (other.labels, other.keep_crowds))
        self.covered += other.covered
        self.area += other.area
        self.covered_share += other.covered_share
        self.area_share += other.area_share

    def compute(self) -> CoveringScore:
        """The scores of all images so far."""
        paper = map(_ratio, self.covered, self.area << _FRACTION_BITS)
        normalised = tuple(map(_ratio, self.covered_share, self.area_share))
        return CoveringScore(_mean(paper), _mean(normalised), normalised)


def _segments(
    labelled: Labelled, classes: int, area: dict[int, int], whose: str
) -> dict[int, Region]:
    """Id -> region, in order, without the regions that have no pixels."""
    regions = {region.id: region for region in labelled.regions}
    if len(regions) < len(labelled.regions) or VOID in regions:
        raise BadInput(f"the {whose} has two regions of one id, or one of id 0: number them from 1")
    if strangers := sorted(set(area) - set(regions) - {VOID}):
        raise BadInput(f"the {whose} map holds ids {strangers[:5]} without a region: list them")
    if odd := sorted({r.class_id for r in regions.values()} - set(range(classes))):
        raise BadInput(
            f"the {whose} has regions of class {odd[:5]}, but there are {classes} classes: map the"
            " file's ids to class ids first"
        )
    return {i: region for i, region in regions.items() if i in area}


def _best_overlaps(
    shared: Overlaps, true: dict[int, Region], predicted: dict[int, Region]
) -> dict[int, tuple[int, int]]:
    """True id -> (intersection, union) of the best prediction, both without ignored pixels."""
    kept = {(t, p): n for (t, p), n in shared.pairs.items() if t in true}
    predicted_area = _areas(kept, 1)
    best: dict[int, tuple[int, int]] = {}
    for (t, p), pixels in kept.items():
        if p == VOID or true[t].class_id != predicted[p].class_id:
            continue
        union = shared.truth_area[t] + predicted_area[p] - pixels
        before, before_union = best.get(t, (0, 1))
        if pixels * before_union > before * union:
            best[t] = pixels, union
    return best


def _areas(pairs: dict[tuple[int, int], int], side: int) -> dict[int, int]:
    areas: Counter[int] = Counter()
    for ids, pixels in pairs.items():
        areas[ids[side]] += pixels
    return areas


def _class_quality(iou: int, tp: int, fp: int, fn: int) -> ClassQuality:
    halves = 2 * tp + fp + fn
    pq = _ratio(2 * iou, halves << _FRACTION_BITS)
    sq = _ratio(iou, tp << _FRACTION_BITS) if tp or not halves else 0.0
    return ClassQuality(pq, sq, _ratio(2 * tp, halves), tp, fp, fn)


def _mean_quality(rows: Iterable[ClassQuality]) -> Quality:
    seen = [(row.pq, row.sq, row.rq) for row in rows if row.tp + row.fp + row.fn]
    pq, sq, rq = (_mean(row[i] for row in seen) for i in range(3))
    return Quality(pq, sq, rq, len(seen))


def _exact(part: int, whole: int) -> int:
    """`part / whole` in units of 2^-96: sums of these do not depend on their order."""
    return (part << _FRACTION_BITS) // whole


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if value == value]
    return math.fsum(known) / len(known) if known else float("nan")


def _zeros(count: int, labels: LabelSpace) -> Iterable[NDArray[np.object_]]:
    """`count` arrays (classes,) of Python integers, which never overflow."""
    return (np.array([0] * len(labels), dtype=object) for _ in range(count))


def _same(ours: object, theirs: object) -> None:
    if ours != theirs:
        raise ValueError("accumulators of different label spaces or options cannot merge")
