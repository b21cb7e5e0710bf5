"""All scores at once, image by image, each from the same count of shared pixels."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from atrous.labels import Label, LabelSpace
from atrous.metrics.coco import MaskAP
from atrous.metrics.covering import ParsingCovering
from atrous.metrics.exact import require_same
from atrous.metrics.instance import RegionAP
from atrous.metrics.overlaps import Comparison, compare
from atrous.metrics.panoptic import CrowdRule, PanopticQuality
from atrous.metrics.scores import Scores
from atrous.metrics.semantic import ConfusionMatrix
from atrous.types import ClassMap, Instances, Labelled, Region

THING_OR_STUFF = LabelSpace(
    (Label("thing", (220, 20, 60), True, 1), Label("stuff", (128, 64, 128), False, 2))
)


class SegmentScorer:
    """Scores of sides that give every pixel one segment: PQ, covering, IoU, and mAP^r of things.

    mAP^r is left out once a predicted thing has no score.
    """

    def __init__(self, labels: LabelSpace, *, crowds: CrowdRule = "panopticapi") -> None:
        self.labels = labels
        self.panoptic = PanopticQuality(labels, crowds=crowds)
        # With one class for all things, the last crowd alone would forgive for all of them.
        self.agnostic = PanopticQuality(THING_OR_STUFF, crowds="tensorflow")
        self.covering = ParsingCovering(labels)
        self.semantic = ConfusionMatrix(len(labels), labels.void)
        self.instance = RegionAP(labels)
        self.images, self.ranked, self.unranked = 0, 0, 0

    def update(
        self, truth: Labelled, prediction: Labelled, *, semantic: ClassMap | None = None
    ) -> None:
        """Adds one image; the pixels of a crowd keep their class in the semantic scores.

        semantic  (h, w) predicted classes, where they are not those of the segments

        Raises: BadInput if the sizes differ, an id has no region or two, or a class is unknown.
        """
        self.add(
            compare(truth, prediction, classes=len(self.labels)), with_classes=semantic is None
        )
        if semantic is not None:
            self.semantic.update(self.labels.semantic(truth), semantic)

    def add(self, image: Comparison, *, with_classes: bool = True) -> None:
        """Adds one image that has been compared already."""
        self.panoptic.add(image)
        self.agnostic.add(self._merged(image))
        self.covering.add(image)
        if with_classes:
            self.semantic.add(image)
        self._rank(image)
        self.images += 1

    def merge(self, other: SegmentScorer) -> None:
        """Adds what another scorer has seen; the order of merging does not matter."""
        self.panoptic.merge(other.panoptic)
        self.agnostic.merge(other.agnostic)
        self.covering.merge(other.covering)
        self.semantic.merge(other.semantic)
        self.instance.merge(other.instance)
        self.images += other.images
        self.ranked += other.ranked
        self.unranked += other.unranked

    def compute(self) -> Scores:
        """The scores of all images so far."""
        return Scores(
            self.labels,
            self.images,
            self.panoptic.compute(),
            self.agnostic.compute().things,
            self.covering.compute(),
            self.semantic.compute(),
            None if self.unranked else self.instance.compute(),
            unranked=self.unranked if self.ranked else 0,
        )

    def _rank(self, image: Comparison) -> None:
        things = [r for r in image.predicted.values() if self.labels[r.class_id].is_thing]
        unranked = sum(region.score is None for region in things)
        self.unranked += unranked
        self.ranked += len(things) - unranked
        if not self.unranked:
            self.instance.update_regions(image)

    def _merged(self, image: Comparison) -> Comparison:
        sides = (
            {i: self._thing_or_stuff(region) for i, region in side.items()}
            for side in (image.true, image.predicted)
        )
        return Comparison(image.shared, *sides)

    def _thing_or_stuff(self, region: Region) -> Region:
        stuff = 0 if self.labels[region.class_id].is_thing else 1
        return Region(region.id, stuff, region.is_crowd)


class ClassScorer:
    """Scores of sides that give every pixel a class and tell no instances apart."""

    def __init__(self, labels: LabelSpace) -> None:
        self.labels = labels
        self.semantic = ConfusionMatrix(len(labels), labels.void)
        self.images = 0

    def add(self, image: Comparison) -> None:
        """Adds one image that has been compared already."""
        self.semantic.add(image)
        self.images += 1

    def merge(self, other: ClassScorer) -> None:
        """Adds what another scorer has seen; the order of merging does not matter."""
        self.semantic.merge(other.semantic)
        self.images += other.images

    def compute(self) -> Scores:
        """The scores of all images so far."""
        return Scores(self.labels, self.images, semantic=self.semantic.compute())


class InstanceScorer:
    """Scores of sides whose masks may lie over each other: mAP^r, and COCO's AP if wanted.

    Raises: BadInput if COCO's AP is wanted and pycocotools is missing.
    """

    def __init__(self, labels: LabelSpace, *, coco: bool = False) -> None:
        self.labels = labels
        self.instance = RegionAP(labels)
        self.masks = MaskAP(labels) if coco else None
        self.images = 0

    def update(
        self,
        truth: Instances,
        detections: Instances,
        *,
        place: int = 0,
        true_areas: Mapping[int, float] = MappingProxyType({}),
        found_areas: Mapping[int, float] = MappingProxyType({}),
    ) -> None:
        """Adds one image; `place` and the areas as `MaskAP` has them.

        Raises: BadInput if sizes differ, a class is unknown or a detection has no score.
        """
        self.instance.update(truth, detections)
        if self.masks is not None:
            areas = {"true_areas": true_areas, "found_areas": found_areas}
            self.masks.update(truth, detections, place=place, **areas)
        self.images += 1

    def merge(self, other: InstanceScorer) -> None:
        """Adds what another scorer has seen; the order of merging does not matter."""
        require_same(self.masks is None, other.masks is None)
        self.instance.merge(other.instance)
        if self.masks is not None and other.masks is not None:
            self.masks.merge(other.masks)
        self.images += other.images

    def compute(self) -> Scores:
        """The scores of all images so far."""
        masks = None if self.masks is None else self.masks.compute()
        return Scores(self.labels, self.images, instance=self.instance.compute(), masks=masks)
