"""What all scores of a data set say together, and how JSON says it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from atrous.labels import LabelSpace
from atrous.metrics.coco import MaskScore
from atrous.metrics.covering import CoveringScore
from atrous.metrics.instance import RegionScore
from atrous.metrics.panoptic import PanopticScore, Quality
from atrous.metrics.semantic import SemanticScore

COMMON = 5
"""True segments that a class needs for its IoU to say something; small data sets have classes
with one."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a data set's parses are worth; a part that cannot be said is None.

    agnostic  quality of things whose class is not asked for: how well instances are told apart
    instance  mAP^r of things
    masks     COCO's AP of things
    unranked  predicted things without a score where others have one: the reason why `instance`
              is None then
    """

    labels: LabelSpace
    images: int
    panoptic: PanopticScore | None = None
    agnostic: Quality | None = None
    covering: CoveringScore | None = None
    semantic: SemanticScore | None = None
    instance: RegionScore | None = None
    masks: MaskScore | None = None
    unranked: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain data; fractions in [0, 1], None where nothing can be said."""
        parts = {
            "panoptic": _panoptic(self.panoptic, self.agnostic),
            "covering": _named(self.covering, "paper", "normalised"),
            "semantic": self._semantic(),
            "instance": _named(self.instance, "map_50", "map_70", "map_vol"),
            "coco": _named(self.masks, *(n for n in MaskScore.__slots__ if n != "per_class")),
        }
        said = {name: part for name, part in parts.items() if part is not None}
        rows = [self._row(class_id) for class_id in range(len(self.labels))]
        answer = {"schema": 1, **said, "per_class": rows, "images": self.images}
        cleaned: dict[str, Any] = _without_nan(answer | {"scorer": "atrous"})
        return cleaned

    def summary(self) -> dict[str, float]:
        """The means over classes and the counts, by name; nan where nothing can be said."""
        row: dict[str, float] = {}
        if self.panoptic is not None:
            rows, quality = self.panoptic.per_class, self.panoptic.all
            row |= {"pq": quality.pq, "sq": quality.sq, "rq": quality.rq}
            row |= {name: sum(getattr(x, name) for x in rows) for name in ("tp", "fp", "fn")}
        if self.covering is not None:
            row["covering"] = self.covering.paper
        row |= _named(self.semantic, "miou", "pixel_accuracy") or {}
        row |= _named(self.instance, "map_50", "map_70", "map_vol") or {}
        if self.masks is not None:
            row["coco_ap"] = self.masks.ap
        return row

    def _semantic(self) -> dict[str, float] | None:
        names = ("miou", "pixel_accuracy", "mean_accuracy", "weighted_iou")
        said = _named(self.semantic, *names)
        if said is None or self.semantic is None:
            return None
        said["classes"] = len(self.labels) - self.semantic.absent
        if self.panoptic is not None:
            said[f"miou_{COMMON}"] = self._miou_of_common(self.panoptic)
        return said

    def _miou_of_common(self, panoptic: PanopticScore) -> float:
        """Mean IoU of the classes with at least COMMON true segments."""
        assert self.semantic is not None
        rows = zip(panoptic.per_class, self.semantic.iou, strict=True)
        found = [float(iou) for row, iou in rows if row.tp + row.fn >= COMMON]
        return sum(found) / len(found) if found else math.nan

    def _row(self, class_id: int) -> dict[str, Any]:
        label = self.labels[class_id]
        row: dict[str, Any] = {"name": label.name, "thing": label.is_thing}
        if self.panoptic is not None:
            row |= _named(self.panoptic.per_class[class_id], *_QUALITY) or {}
        if self.covering is not None:
            row["covering"] = self.covering.per_class[class_id]
            row["covering_paper"] = self.covering.per_class_paper[class_id]
        if self.semantic is not None:
            row["iou"] = float(self.semantic.iou[class_id])
        if self.instance is not None and label.is_thing:
            ap = self.instance.per_class[class_id]
            row |= {"ap_50": float(ap[4]), "ap_70": float(ap[6]), "ap_vol": float(ap.mean())}
        if self.masks is not None and label.is_thing:
            row["coco_ap"] = float(self.masks.per_class[class_id])
        return row


_QUALITY = ("pq", "sq", "rq", "tp", "fp", "fn")


def _panoptic(score: PanopticScore | None, agnostic: Quality | None) -> dict[str, Any] | None:
    if score is None:
        return None
    parts = {"all": score.all, "things": score.things, "stuff": score.stuff}
    if agnostic is not None:
        parts["things_any_class"] = agnostic
    return {name: _named(part, "pq", "sq", "rq", "classes") for name, part in parts.items()}


def _named(part: object, *names: str) -> dict[str, Any] | None:
    return None if part is None else {name: getattr(part, name) for name in names}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value
