"""Parses a data set and scores it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from atrous.data.source import Source
from atrous.labels import Label, LabelSpace
from atrous.metrics.covering import CoveringScore, ParsingCovering
from atrous.metrics.panoptic import PanopticQuality, PanopticScore, Quality
from atrous.metrics.semantic import ConfusionMatrix, SemanticScore
from atrous.types import Image, Labelled, Parse, Sample

COMMON = 5
"""True segments that a class needs for its IoU to say something; small data sets have classes
with one."""
THING_OR_STUFF = LabelSpace(
    (Label("thing", (220, 20, 60), True, 1), Label("stuff", (128, 64, 128), False, 2))
)


@dataclass(frozen=True, slots=True)
class Scores:
    """What a data set's parses are worth; fractions in [0, 1], nan where nothing can be said.

    agnostic  quality of things whose class is not asked for: how well instances are told apart
    """

    labels: LabelSpace
    panoptic: PanopticScore
    agnostic: Quality
    covering: CoveringScore
    semantic: SemanticScore
    images: int

    def to_json(self) -> dict[str, Any]:
        """The answer of `atrous eval`; what cannot be said is None."""
        answer = {
            "schema": 1,
            "panoptic": {
                part: _quality(getattr(self.panoptic, part)) for part in ("all", "things", "stuff")
            }
            | {"things_any_class": _quality(self.agnostic)},
            "covering": {"paper": self.covering.paper, "normalised": self.covering.normalised},
            "semantic": {
                "miou": self.semantic.miou,
                f"miou_{COMMON}": self._miou_of_common(),
                "pixel_accuracy": self.semantic.pixel_accuracy,
                "mean_accuracy": self.semantic.mean_accuracy,
            },
            "per_class": [self._row(class_id) for class_id in range(len(self.labels))],
            "images": self.images,
            "scorer": "atrous",
        }
        cleaned: dict[str, Any] = _said(answer)
        return cleaned

    def _miou_of_common(self) -> float:
        """Mean IoU of the classes with at least COMMON true segments."""
        rows = zip(self.panoptic.per_class, self.semantic.iou, strict=True)
        found = [float(iou) for row, iou in rows if row.tp + row.fn >= COMMON]
        return sum(found) / len(found) if found else math.nan

    def _row(self, class_id: int) -> dict[str, Any]:
        quality = self.panoptic.per_class[class_id]
        return {
            "name": self.labels[class_id].name,
            "thing": self.labels[class_id].is_thing,
            "pq": quality.pq,
            "sq": quality.sq,
            "rq": quality.rq,
            "tp": quality.tp,
            "fp": quality.fp,
            "fn": quality.fn,
            "covering": self.covering.per_class[class_id],
            "iou": float(self.semantic.iou[class_id]),
        }


class Scorer:
    """Adds up the scores of parses, image by image."""

    def __init__(self, labels: LabelSpace) -> None:
        self.labels = labels
        self.panoptic = PanopticQuality(labels)
        self.agnostic = PanopticQuality(THING_OR_STUFF)
        self.covering = ParsingCovering(labels)
        self.semantic = ConfusionMatrix(len(labels), labels.void)
        self.images = 0

    def update(self, sample: Sample, parse: Parse) -> None:
        """Counts one image; the pixels of a crowd keep their class in the semantic scores."""
        self.panoptic.update(sample.truth, parse.labelled)
        self.agnostic.update(self._merged(sample.truth), self._merged(parse.labelled))
        self.covering.update(sample.truth, parse.labelled)
        self.semantic.update(self.labels.semantic(sample.truth), parse.semantic)
        self.images += 1

    def _merged(self, labelled: Labelled) -> Labelled:
        stuff = (~self.labels.is_thing).astype(int)
        regions = (replace(r, class_id=int(stuff[r.class_id])) for r in labelled.regions)
        return Labelled(labelled.ids, tuple(regions))

    def compute(self) -> Scores:
        """The scores of all images so far."""
        return Scores(
            self.labels,
            self.panoptic.compute(),
            self.agnostic.compute().things,
            self.covering.compute(),
            self.semantic.compute(),
            self.images,
        )


def evaluate(
    parse: Callable[[Image], Parse],
    source: Source,
    *,
    labels: LabelSpace,
    progress: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Scores the parses of all images of a data set; `progress` hears how many are done."""
    scorer = Scorer(labels)
    for index in range(len(source)):
        sample = source[index]
        scorer.update(sample, parse(sample.image))
        progress(index + 1)
    return scorer.compute()


def _quality(quality: Quality) -> dict[str, float | int]:
    return {
        "pq": quality.pq,
        "sq": quality.sq,
        "rq": quality.rq,
        "classes": quality.classes,
    }


def _said(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _said(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_said(v) for v in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value
