"""Parsing Covering: how well large segments are found, where a matched one counts no more."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from atrous.labels import LabelSpace
from atrous.metrics.exact import FRACTION_BITS, exact, mean, ratio, require_same, zeros
from atrous.metrics.overlaps import VOID, Comparison, compare
from atrous.types import Labelled, Region


@dataclass(frozen=True, slots=True)
class CoveringScore:
    """Parsing Covering of a data set; fractions in [0, 1], nan without any class.

    paper             areas in pixels, as the formula has it
    normalised        areas divided by the size of their image first, as the released code has it
    per_class         `normalised` of each class, nan for classes that the truth does not hold
    per_class_paper   `paper` of each class
    """

    paper: float
    normalised: float
    per_class: tuple[float, ...]
    per_class_paper: tuple[float, ...]


class ParsingCovering:
    """Mean IoU of true regions with their best predicted region, weighted by area.

    Cov = sum of |R| * max IoU(R, R') / sum of |R| over the true regions R of a class; PC is the
    mean over the classes that the truth holds. Only predicted regions of the same class compete,
    nothing is matched, one prediction may cover several regions. Void pixels of the truth are
    removed everywhere, from predicted areas too; so are crowds, unless `keep_crowds`. All sums
    are exact, so any order of `update` and `merge` gives the same result to the last bit.

    Source: DeeperLab, section 4.2, equations 3 to 5; tensorflow/models, parsing_covering.py.
    """

    def __init__(self, labels: LabelSpace, *, keep_crowds: bool = False) -> None:
        self.labels = labels
        self.keep_crowds = keep_crowds
        self.covered, self.area, self.covered_share, self.area_share = zeros(4, labels)

    def update(self, truth: Labelled, prediction: Labelled) -> None:
        """Adds one image.

        Raises: BadInput if the sizes differ, an id has no region or two, or a class is unknown.
        """
        self.add(compare(truth, prediction, classes=len(self.labels)))

    def add(self, image: Comparison) -> None:
        """Adds one image that has been compared already."""
        true = {i: r for i, r in image.true.items() if self.keep_crowds or not r.is_crowd}
        best = _best_overlaps(image, true)
        size = sum(image.shared.truth_area.values())
        for i, region in true.items():
            area, (pixels, union) = image.shared.truth_area[i], best.get(i, (0, 1))
            self.area[region.class_id] += area
            self.covered[region.class_id] += exact(area * pixels, union)
            self.area_share[region.class_id] += exact(area, size)
            self.covered_share[region.class_id] += exact(area * pixels, union * size)

    def merge(self, other: ParsingCovering) -> None:
        """Adds what another accumulator has seen; the order of merging does not matter."""
        require_same((self.labels, self.keep_crowds), (other.labels, other.keep_crowds))
        self.covered += other.covered
        self.area += other.area
        self.covered_share += other.covered_share
        self.area_share += other.area_share

    def compute(self) -> CoveringScore:
        """The scores of all images so far."""
        paper = tuple(map(ratio, self.covered, self.area << FRACTION_BITS))
        normalised = tuple(map(ratio, self.covered_share, self.area_share))
        return CoveringScore(mean(paper), mean(normalised), normalised, paper)


def _best_overlaps(image: Comparison, true: dict[int, Region]) -> dict[int, tuple[int, int]]:
    """True id -> (intersection, union) of the best prediction, both without ignored pixels."""
    kept = {ids: n for ids, n in image.shared.pairs.items() if ids[0] in true}
    predicted_area: Counter[int] = Counter()
    for (_, p), pixels in kept.items():
        predicted_area[p] += pixels
    best: dict[int, tuple[int, int]] = {}
    for (t, p), pixels in kept.items():
        if p == VOID or true[t].class_id != image.predicted[p].class_id:
            continue
        union = image.shared.truth_area[t] + predicted_area[p] - pixels
        before, before_union = best.get(t, (0, 1))
        if pixels * before_union > before * union:
            best[t] = pixels, union
    return best
