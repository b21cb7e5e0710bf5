"""Parses a data set and scores it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from atrous.data.source import Source
from atrous.labels import LabelSpace
from atrous.metrics.scorer import SegmentScorer
from atrous.metrics.scores import Scores
from atrous.types import Image, Parse


def evaluate(
    parse: Callable[[Image], Parse],
    source: Source,
    *,
    labels: LabelSpace,
    progress: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Scores the parses of all images of a data set; `progress` hears how many are done."""
    places = range(len(source))
    return scored(parse, source, places, labels=labels, progress=progress).compute()


def scored(
    parse: Callable[[Image], Parse],
    source: Source,
    places: Iterable[int],
    *,
    labels: LabelSpace,
    progress: Callable[[int], None] = lambda _: None,
) -> SegmentScorer:
    """A scorer that has seen some images of a data set; those of others can be merged.

    IoU is that of the classes before fusion.
    """
    scorer = SegmentScorer(labels)
    for done, index in enumerate(places, 1):
        sample = source[index]
        answer = parse(sample.image)
        scorer.update(sample.truth, answer.labelled, semantic=answer.semantic)
        progress(done)
    return scorer
