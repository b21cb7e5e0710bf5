"""One image on both sides: read, held against its own list, and scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np

from atrous.formats import rows_with_pixels
from atrous.formats.agreement import agrees
from atrous.formats.layers import instances_of
from atrous.metrics.overlaps import Comparison, matched_up, overlaps
from atrous.metrics.panoptic import CrowdRule
from atrous.metrics.scorer import ClassScorer, InstanceScorer, SegmentScorer
from atrous.score.faults import Tally
from atrous.score.masks import MaskSide
from atrous.score.pairing import Pair
from atrous.score.sides import Holds, Reading, Side, without
from atrous.types import BadInput, Fault, Instances, Report, refuse

Scorer = SegmentScorer | ClassScorer | InstanceScorer


@dataclass(frozen=True, slots=True)
class Rules:
    """How to score.

    crowds     see `PanopticQuality`
    flat       lay masks that may overlap in one map, and score them as segments
    coco       COCO's own AP too, where masks may overlap
    lenient    step over faults and count them, instead of stopping at the first
    per_image  keep the scores of each image
    """

    crowds: CrowdRule = "panopticapi"
    flat: bool = False
    coco: bool = False
    lenient: bool = False
    per_image: bool = False


@dataclass(frozen=True, slots=True)
class ImageScore:
    """One image: its places on both sides and its name, and its own scores by name."""

    pair: Pair
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Both:
    """One image, read and mended on both sides, and how these lie on each other."""

    truth: Reading
    prediction: Reading
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Job:
    """Pairs of images to score; they count places in the two sides."""

    truth: Side
    prediction: Side
    rules: Rules
    pairs: tuple[Pair, ...]

    def scorer(self) -> Scorer:
        """A new scorer for what the sides can be compared by."""
        kind, labels = comparable(self.truth, self.prediction, self.rules), self.truth.labels
        if kind == "instances":
            return InstanceScorer(labels, coco=self.rules.coco)
        if kind == "classes":
            return ClassScorer(labels)
        return SegmentScorer(labels, crowds=self.rules.crowds)


@dataclass(slots=True)
class Answer:
    """What came of some pairs."""

    scorer: Scorer
    images: list[ImageScore] = field(default_factory=list)
    skipped: Tally = field(default_factory=Tally)


def comparable(truth: Side, prediction: Side, rules: Rules) -> Holds:
    """What two sides can be compared by.

    Raises: BadInput if that is nothing.
    """
    sides = {truth.holds, prediction.holds}
    if sides >= {"classes", "instances"}:
        raise BadInput("one side has classes alone, the other masks of things: nothing to compare")
    if rules.coco and (truth.holds != "instances" or rules.flat):
        raise BadInput("COCO's AP needs COCO instances as truth, not laid flat: leave it out")
    if rules.flat and "instances" not in sides:
        raise BadInput("--flat lays masks in one map, but neither side has masks: leave it out")
    if "instances" in sides and not rules.flat:
        return "instances"
    return "classes" if "classes" in sides else "segments"


def scored(job: Job) -> Answer:
    """Scores all pairs of a job, image by image.

    Raises: BadInput at the first fault, unless the rules are lenient.
    """
    keep_freed_memory()
    answer = Answer(job.scorer())
    for pair in job.pairs:
        own = job.scorer() if job.rules.per_image else answer.scorer
        try:
            is_scored = _add(own, job, pair, answer.skipped if job.rules.lenient else refuse)
        except BadInput as error:
            if not job.rules.lenient:
                raise
            answer.skipped(Fault("images that cannot be read", str(error)))
            continue
        if is_scored and job.rules.per_image:
            answer.scorer.merge(own)  # type: ignore[arg-type]
            answer.images.append(ImageScore(pair, own.compute().summary()))
    return answer


def keep_freed_memory() -> None:
    """Has glibc hand freed maps to the next image, not back to the system.

    Taking fresh pages for each image costs as much as all the rest. glibc keeps what is below
    twice the largest block that it has seen freed, which may be 32 MiB; elsewhere this does
    nothing.
    """
    np.empty(2**25 - 2**16, np.uint8)


def both_sides(job: Job, pair: Pair, report: Report) -> Both | None:
    """One image of both sides as segments; None if the sizes differ, which `report` hears."""
    truth = job.truth.read(pair.truth, report)
    prediction = job.prediction.read(pair.prediction, report, truth.ids.shape)
    return compared(truth, prediction, classes=len(job.truth.labels), report=report)


def compared(
    truth: Reading, prediction: Reading, *, classes: int, report: Report = refuse
) -> Both | None:
    """Both sides of an image, each held against its own list first.

    report  hears of lists that are not what the pixels say; None if the sizes differ
    """
    if truth.ids.shape != prediction.ids.shape:
        sizes = ["x".join(map(str, side.ids.shape)) for side in (prediction, truth)]
        what = f"{prediction.source}: is {sizes[0]} but {truth.source} is {sizes[1]}"
        report(Fault("images of two sizes", f"{what}: resize it, with nearest neighbour"))
        return None
    shared = overlaps(truth.ids, prediction.ids)
    true = _agreed(truth, shared.truth_area, report)
    predicted = _agreed(prediction, shared.predicted_area, report)
    if true.ids is not truth.ids or predicted.ids is not prediction.ids:
        shared = overlaps(true.ids, predicted.ids)
    met = matched_up(shared, true.regions, predicted.regions, classes=classes)
    return Both(true, predicted, met)


def _add(scorer: Scorer, job: Job, pair: Pair, report: Report) -> bool:
    if isinstance(scorer, InstanceScorer):
        truth = _instances(job.truth, pair.truth, report)
        found = _instances(job.prediction, pair.prediction, report, truth.size_hw)
        sides = ((job.truth, pair.truth), (job.prediction, pair.prediction))
        true_areas, found_areas = (_areas(side, place) for side, place in sides)
        areas = {"true_areas": true_areas, "found_areas": found_areas}
        scorer.update(truth, found, place=pair.rank, **areas)
        return True
    both = both_sides(job, pair, report)
    if both is not None:
        scorer.add(both.comparison)
    return both is not None


def _instances(
    side: Side, place: int, report: Report, size_hw: tuple[int, int] | None = None
) -> Instances:
    if side.holds == "instances":
        return cast(MaskSide, side).instances(place, report, size_hw)
    reading = side.read(place, report)
    areas = overlaps(reading.ids, reading.ids).truth_area
    return instances_of(_agreed(reading, areas, report).labelled, side.labels.is_thing)


def _areas(side: Side, place: int) -> Mapping[int, float]:
    return cast(MaskSide, side).areas(place) if side.holds == "instances" else {}


def _agreed(reading: Reading, areas: dict[int, int], report: Report) -> Reading:
    """The image without what its list or its pixels alone have; itself if they agree."""
    if reading.claims is None or agrees(reading.claims, areas):
        return reading
    rows = rows_with_pixels(reading.claims, areas, source=reading.source, report=report)
    kept = set(rows[:, 0].tolist())
    strangers = areas.keys() - set(reading.claims[:, 0].tolist()) - {0}
    ids = without(reading.ids, strangers) if strangers else reading.ids
    return replace(reading, ids=ids, regions=tuple(r for r in reading.regions if r.id in kept))
