"""mAP^r: how well the masks of things are found and ranked, each against the truth it may take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atrous.compiled import compiled
from atrous.labels import LabelSpace
from atrous.metrics.exact import mean, require_same
from atrous.metrics.masks import areas, class_ids, intersections, require_comparable, scores
from atrous.metrics.overlaps import Comparison
from atrous.types import BadInput, Instances, Region

TENTHS = np.arange(1, 10)
"""The nine IoU thresholds of mAP^r_vol, in tenths."""

_SEEN = np.dtype([("class_id", np.int32), ("score", np.float64), ("hits", np.uint16)])


@dataclass(frozen=True, slots=True, eq=False)
class RegionScore:
    """mAP^r of a data set; fractions in [0, 1], nan where nothing can be said.

    map_50, map_70  mean over the classes that the truth holds, at IoU above 0.5 and 0.7
    map_vol         the same, and over the nine thresholds 0.1, 0.2 ... 0.9
    per_class       (classes, 9) AP^r at those thresholds, nan for classes without truth
    """

    map_50: float
    map_70: float
    map_vol: float
    per_class: NDArray[np.float64]


class RegionAP:
    """Average precision of masks, for each class and IoU threshold t.

    In each image the detections of a class, by descending score, take the instance of the truth
    that no other has taken and that they share the largest IoU with; IoU > t is a hit, all else
    is none. Over all images, AP is the area under the precision that is made monotone from the
    right, drawn over recall. Each instance of the truth counts for recall, however small.

    Crowds of the truth are no truth: not to be found, and what lies on them is no hit. Nor does
    void forgive anything. The order of images, and of merging, changes nothing.

    Source: Hariharan et al. 2014 (SDS), section 5; bharath272/sds_eccv2014, evaluation.
    """

    # Deviates: detections of equal score in different images enter the curve together; SDS has
    # them one by one in the order of its images, which other orders change.

    def __init__(self, labels: LabelSpace) -> None:
        self.labels = labels
        self.truths: NDArray[np.int64] = np.zeros(len(labels), np.int64)
        self.seen: list[NDArray[np.void]] = []

    def update(self, truth: Instances, detections: Instances) -> None:
        """Adds one image; detections of equal score come in the order given.

        Raises: BadInput if sizes differ, a class is unknown or a detection has no score.
        """
        require_comparable(truth, detections, classes=len(self.labels))
        true = [x for x in truth.items if not x.is_crowd]
        self.update_overlaps(
            intersections(true, detections.items, height=truth.size_hw[0]),
            true_classes=class_ids(true),
            true_areas=areas(true),
            classes=class_ids(detections.items),
            areas=areas(detections.items),
            scores=scores(detections.items),
        )

    def update_regions(self, image: Comparison) -> None:
        """Adds the things of one image whose pixels have been counted.

        Raises: BadInput if a predicted thing has no score.
        """
        true = self._things(image.true.values())
        found = self._things(image.predicted.values())
        shared = [[image.shared.pairs.get((t.id, p.id), 0) for p in found] for t in true]
        self.update_overlaps(
            np.array(shared, np.int64).reshape(len(true), len(found)),
            true_classes=np.array([r.class_id for r in true], np.int64),
            true_areas=np.array([image.shared.truth_area[r.id] for r in true], np.int64),
            classes=np.array([r.class_id for r in found], np.int64),
            areas=np.array([image.shared.predicted_area[r.id] for r in found], np.int64),
            scores=_region_scores(found),
        )

    def update_overlaps(
        self,
        shared: NDArray[np.int64],
        *,
        true_classes: NDArray[np.int64],
        true_areas: NDArray[np.int64],
        classes: NDArray[np.int64],
        areas: NDArray[np.int64],
        scores: NDArray[np.float64],
    ) -> None:
        """Adds one image of n instances, no crowds, and m detections.

        shared                     (n, m) pixels that are in both
        true_classes, true_areas   (n,)
        classes, areas, scores     (m,)
        """
        order = np.argsort(-scores, kind="stable")
        seen = np.empty(len(scores), _SEEN)
        seen["class_id"], seen["score"] = classes, scores
        seen["hits"] = _hits(shared, true_classes, true_areas, classes, areas, order)
        self.seen.append(seen)
        self.truths += np.bincount(true_classes, minlength=len(self.labels))

    def merge(self, other: RegionAP) -> None:
        """Adds what another accumulator has seen; the order of merging does not matter."""
        require_same(self.labels, other.labels)
        self.seen += other.seen
        self.truths += other.truths

    def compute(self) -> RegionScore:
        """The scores of all images so far."""
        seen = np.concatenate([np.empty(0, _SEEN), *self.seen])
        per_class = np.stack(
            [
                average_precision(seen[seen["class_id"] == i], int(count))
                for i, count in enumerate(self.truths)
            ]
        )
        at_50, at_70 = per_class[:, 4].tolist(), per_class[:, 6].tolist()
        return RegionScore(mean(at_50), mean(at_70), mean(per_class.ravel().tolist()), per_class)

    def _things(self, regions: Iterable[Region]) -> list[Region]:
        return [r for r in regions if self.labels[r.class_id].is_thing and not r.is_crowd]


def average_precision(seen: NDArray[np.void], truths: int) -> NDArray[np.float64]:
    """(9,) AP of one class at the nine thresholds; nan without truth.

    seen  a `score` and `hits` for each detection, bit i of which is a hit at the i-th threshold
    """
    if truths == 0:
        return np.full(len(TENTHS), np.nan)
    ranked = seen[np.argsort(-seen["score"], kind="stable")]
    hits = (ranked["hits"][:, None] >> np.arange(len(TENTHS))) & 1
    last = np.flatnonzero(np.diff(ranked["score"], append=-np.inf))  # of each group of equals
    found = np.cumsum(hits, axis=0, dtype=np.int64)[last]
    precision = found / (last + 1)[:, None]
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    gained = np.diff(found, axis=0, prepend=0)
    return np.asarray((gained * envelope).sum(axis=0) / truths)


def _region_scores(regions: Sequence[Region]) -> NDArray[np.float64]:
    for region in regions:
        if region.score is None:
            what = f"predicted segment {region.id} has no score"
            raise BadInput(f"{what}: average precision ranks by it, add it")
    return np.array([region.score for region in regions], np.float64)


@compiled
def _hits(
    shared: NDArray[np.int64],
    true_classes: NDArray[np.int64],
    true_areas: NDArray[np.int64],
    classes: NDArray[np.int64],
    areas: NDArray[np.int64],
    order: NDArray[np.int64],
) -> NDArray[np.uint16]:
    """(m,) bit i is set where a detection is a hit at IoU above (i + 1) / 10; in whole numbers."""
    hits = np.zeros(classes.size, np.uint16)
    for tenths in range(1, 10):
        taken = np.zeros(true_classes.size, np.bool_)
        for d in order:
            best, both, either = -1, np.int64(0), np.int64(1)
            for t in range(true_classes.size):
                if taken[t] or true_classes[t] != classes[d]:
                    continue
                pixels = shared[t, d]
                union = true_areas[t] + areas[d] - pixels
                if pixels * either > both * union:
                    best, both, either = t, pixels, union
            if best >= 0 and 10 * both > tenths * either:
                taken[best] = True
                hits[d] |= np.uint16(1 << (tenths - 1))
    return hits
