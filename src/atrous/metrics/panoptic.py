"""Panoptic Quality: how well segments, not pixels, are found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import compress
from typing import Literal, get_args

from atrous.labels import LabelSpace
from atrous.metrics.exact import FRACTION_BITS, exact, mean, ratio, require_same, zeros
from atrous.metrics.overlaps import VOID, Comparison, compare
from atrous.types import Labelled

CrowdRule = Literal["panopticapi", "tensorflow"]
"""Which crowds forgive a false alarm that lies on them; see `PanopticQuality`."""


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

    With crowds="tensorflow" the last rule is that of TensorFlow's DeepLab: void and all crowds,
    of any class, forgive together. Regions without pixels are no segments. All sums are exact, so
    any order of `update` and `merge` gives the same result to the last bit.

    Source: Kirillov et al. 2019, section 4; cocodataset/panopticapi, evaluation.py;
    tensorflow/models, research/deeplab/evaluation/panoptic_quality.py.
    Raises: ValueError for an unknown rule.
    """

    def __init__(self, labels: LabelSpace, *, crowds: CrowdRule = "panopticapi") -> None:
        if crowds not in get_args(CrowdRule):
            raise ValueError(f"crowds is {crowds!r}: choose one of {get_args(CrowdRule)}")
        self.labels = labels
        self.crowds = crowds
        self.iou, self.tp, self.fp, self.fn = zeros(4, labels)

    def update(self, truth: Labelled, prediction: Labelled) -> None:
        """Adds one image.

        Raises: BadInput if the sizes differ, an id has no region or two, or a class is unknown.
        """
        self.add(compare(truth, prediction, classes=len(self.labels)))

    def add(self, image: Comparison) -> None:
        """Adds one image that has been compared already."""
        pairs = matches(image)
        found, used = {t for t, _ in pairs}, {p for _, p in pairs}
        for (t, _), iou in pairs.items():
            self.tp[image.true[t].class_id] += 1
            self.iou[image.true[t].class_id] += exact(*iou)
        for region in image.true.values():
            if region.id not in found and not region.is_crowd:
                self.fn[region.class_id] += 1
        lenient = forgiven(image, crowds=self.crowds)
        for region in image.predicted.values():
            if region.id not in used and region.id not in lenient:
                self.fp[region.class_id] += 1

    def merge(self, other: PanopticQuality) -> None:
        """Adds what another accumulator has seen; the order of merging does not matter."""
        require_same((self.labels, self.crowds), (other.labels, other.crowds))
        self.iou += other.iou
        self.tp += other.tp
        self.fp += other.fp
        self.fn += other.fn

    def compute(self) -> PanopticScore:
        """The scores of all images so far."""
        rows = tuple(map(_class_quality, self.iou, self.tp, self.fp, self.fn))
        things, stuff = (compress(rows, self.labels.is_thing == thing) for thing in (True, False))
        return PanopticScore(_mean_quality(rows), _mean_quality(things), _mean_quality(stuff), rows)


def matches(image: Comparison) -> dict[tuple[int, int], tuple[int, int]]:
    """(true id, predicted id) -> (intersection, union) of the segments that found each other."""
    matched = {}
    shared = image.shared
    for (t, p), pixels in shared.pairs.items():
        # The union is never below the area of the true segment: most pairs end here.
        if 2 * pixels <= shared.truth_area[t] or VOID in (t, p):
            continue
        on_void = shared.pairs.get((VOID, p), 0)
        union = shared.truth_area[t] + shared.predicted_area[p] - pixels - on_void
        true, predicted = image.true[t], image.predicted[p]
        if 2 * pixels > union and true.class_id == predicted.class_id and not true.is_crowd:
            matched[t, p] = pixels, union
    return matched


def forgiven(image: Comparison, *, crowds: CrowdRule = "panopticapi") -> set[int]:
    """The predicted ids that are no false alarms even if nothing matches them."""
    listed = [region for region in image.true.values() if region.is_crowd]
    pairs, lenient = image.shared.pairs, set()
    for region in image.predicted.values():
        ignored = pairs.get((VOID, region.id), 0)
        if listed:
            on = [c.id for c in listed if crowds == "tensorflow" or c.class_id == region.class_id]
            on = on if crowds == "tensorflow" else on[-1:]
            ignored += sum(pairs.get((i, region.id), 0) for i in on)
        if 2 * ignored > image.shared.predicted_area[region.id]:
            lenient.add(region.id)
    return lenient


def _class_quality(iou: int, tp: int, fp: int, fn: int) -> ClassQuality:
    halves = 2 * tp + fp + fn
    pq = ratio(2 * iou, halves << FRACTION_BITS)
    sq = ratio(iou, tp << FRACTION_BITS) if tp or not halves else 0.0
    return ClassQuality(pq, sq, ratio(2 * tp, halves), tp, fp, fn)


def _mean_quality(rows: Iterable[ClassQuality]) -> Quality:
    seen = [(row.pq, row.sq, row.rq) for row in rows if row.tp + row.fp + row.fn]
    pq, sq, rq = (mean(row[i] for row in seen) for i in range(3))
    return Quality(pq, sq, rq, len(seen))
