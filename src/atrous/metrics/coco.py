"""COCO's average precision of masks, by pycocotools itself, image by image."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from copy import copy
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrous.formats.rle import area, runs_to_text
from atrous.labels import LabelSpace
from atrous.metrics.exact import require_same
from atrous.metrics.masks import require_comparable, scores
from atrous.types import BadInput, Instance, Instances

_MOST_DETECTIONS = 100  # of a class in an image; COCO's own limit


@dataclass(frozen=True, slots=True, eq=False)
class MaskScore:
    """COCO's AP of masks; fractions in [0, 1], nan where nothing can be said.

    ap                             mean over classes and IoU 0.50, 0.55 ... 0.95
    ap_50, ap_75                   mean over classes at one IoU
    ap_small, ap_medium, ap_large  `ap` of truth below 32^2 pixels, up to 96^2, above
    per_class                      (classes,) `ap` of each, nan for classes without truth
    """

    ap: float
    ap_50: float
    ap_75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    per_class: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """What pycocotools says of one class in one image, for its four ranges of area.

    place    the image's
    scores   (m,)
    matched  (4, ious, m) each detection has some truth; `ignored` likewise: it counts for nothing
    spared   (4, n) truth that need not be found
    """

    place: int
    scores: NDArray[np.float64]
    matched: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    spared: NDArray[np.bool_]


class MaskAP:
    """Runs COCO's evaluation; crowds of the truth forgive what lies on them, as COCO has it.

    pycocotools breaks ties in score by image id. So does this by `place`; without it, the order
    of updates and merges decides between equal scores, and nothing else.

    Source: cocodataset/cocoapi, COCOeval with its own settings, 100 detections a class and image.
    Raises: BadInput if pycocotools is missing.
    """

    def __init__(self, labels: LabelSpace) -> None:
        _evaluation()
        self.labels = labels
        self.judged: list[list[_Judged]] = [[] for _ in range(len(labels))]

    def update(
        self,
        truth: Instances,
        detections: Instances,
        *,
        place: int = 0,
        true_areas: Mapping[int, float] = MappingProxyType({}),
        found_areas: Mapping[int, float] = MappingProxyType({}),
    ) -> None:
        """Adds one image.

        place        of the image among all, in the order of image ids
        true_areas   instance id -> what the truth's file claims, by which COCO sorts truth into
                     small, medium and large; the mask's own pixels where it is missing
        found_areas  the same of detections: the areas of their boxes, if the file has boxes

        Raises: BadInput if sizes differ, a class is unknown or a detection has no score.
        """
        require_comparable(truth, detections, classes=len(self.labels))
        scores(detections.items)
        true = [_row(x, truth.size_hw, true_areas.get(x.id)) for x in truth.items]
        found = [_row(x, truth.size_hw, found_areas.get(x.id)) for x in detections.items]
        for i in {row["category_id"] for row in true + found}:
            of_class = ([row for row in side if row["category_id"] == i] for side in (true, found))
            self.judged[i].append(_judge(*of_class, place=place))

    def merge(self, other: MaskAP) -> None:
        """Adds what another accumulator has seen; with places, the order does not matter."""
        require_same(self.labels, other.labels)
        for ours, theirs in zip(self.judged, other.judged, strict=True):
            ours += theirs

    def compute(self) -> MaskScore:
        """The scores of all images so far."""
        precision = _precision(self.judged)
        per_class = np.array([_mean(precision[:, :, i, 0]) for i in range(len(self.labels))])
        ap, small, medium, large = (_mean(precision[..., a]) for a in range(4))
        ap_50, ap_75 = _mean(precision[0, ..., 0]), _mean(precision[5, ..., 0])
        return MaskScore(ap, ap_50, ap_75, small, medium, large, per_class)


def _evaluation() -> Any:
    """A new COCOeval with COCO's settings and no data."""
    try:
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        what = "COCO's mask AP needs pycocotools"
        raise BadInput(f"{what}: pip install 'atrous[coco]', or use mAP^r") from None
    evaluation = COCOeval(iouType="segm")
    evaluation.params.maxDets = [_MOST_DETECTIONS]
    return evaluation


def _row(x: Instance, size_hw: tuple[int, int], claimed: float | None) -> dict[str, Any]:
    """An instance as COCOeval keeps it."""
    return {
        "category_id": x.class_id,
        "segmentation": {"size": list(size_hw), "counts": runs_to_text(x.runs).encode()},
        "area": area(x.runs) if claimed is None else claimed,
        "score": x.score,
        "iscrowd": int(x.is_crowd),
        "ignore": int(x.is_crowd),
    }


def _judge(true: list[dict[str, Any]], found: list[dict[str, Any]], *, place: int) -> _Judged:
    """COCOeval's verdict on one class of one image."""
    # Ids are from 1, because COCOeval takes a match with an instance of id 0 for none.
    for side in (true, found):
        for number, row in enumerate(side, 1):
            row["id"] = number
    evaluation = _evaluation()
    evaluation._gts[0, 0], evaluation._dts[0, 0] = true, found
    evaluation.ious = {(0, 0): evaluation.computeIoU(0, 0)}
    ranges = evaluation.params.areaRng
    verdicts = [evaluation.evaluateImg(0, 0, wanted, _MOST_DETECTIONS) for wanted in ranges]
    return _Judged(
        place,
        np.array(verdicts[0]["dtScores"], np.float64),
        np.stack([v["dtMatches"] > 0 for v in verdicts]),
        np.stack([v["dtIgnore"].astype(np.bool_) for v in verdicts]),
        np.stack([v["gtIgnore"].astype(np.bool_) for v in verdicts]),
    )


def _precision(judged: list[list[_Judged]]) -> NDArray[np.float64]:
    """COCOeval's precision (ious, recalls, classes, areas), -1 where there is no truth."""
    evaluation = _evaluation()
    evaluation.params.imgIds, evaluation.params.catIds = [0], list(range(len(judged)))
    # All images of a class are handed over as one, each of them cut to its 100 before.
    evaluation.params.maxDets = [2**62]
    evaluation._paramsEval = copy(evaluation.params)
    evaluation.evalImgs = [verdict for of_class in judged for verdict in _verdicts(of_class)]
    with redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    return np.asarray(evaluation.eval["precision"][..., 0])


def _verdicts(judged: Iterable[_Judged]) -> list[dict[str, Any] | None]:
    """One class over all images, as COCOeval keeps it for each of the four ranges of area."""
    ordered = sorted(judged, key=lambda x: x.place)
    if not ordered:
        return [None] * 4
    ranked = np.concatenate([x.scores for x in ordered])
    matched, ignored, spared = (
        np.concatenate(parts, axis=-1)
        for parts in zip(*((x.matched, x.ignored, x.spared) for x in ordered), strict=True)
    )
    return [
        {"dtScores": ranked, "dtMatches": m, "dtIgnore": i, "gtIgnore": s}
        for m, i, s in zip(matched, ignored, spared, strict=True)
    ]


def _mean(precision: NDArray[np.float64]) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else math.nan
