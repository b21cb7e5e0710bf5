"""Verdicts on counts that no small set on disk would have."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import drawn_sets as sets
from atrous.data.source import Entry, FileSource
from atrous.doctor import kinds
from atrous.doctor.compare import unlike
from atrous.doctor.findings import Findings, Suspect
from atrous.doctor.judge import split_judged, values_judged
from atrous.doctor.opening import Plan, Split
from atrous.doctor.values import Meanings
from atrous.labels import CITYSCAPES, CITYSCAPES_IGNORED
from atrous.types import Labelled, Report

MEANT = Meanings(sets.LABELS, frozenset({255}))


def unread(entry: Entry, report: Report) -> Labelled:
    raise NotImplementedError


def judged_fits(*fits: int) -> list[str]:
    found = Findings(images=30, pixels=Counter({0: 5, 1: 5}), fits=list(fits))
    return [x.kind for x in split_judged("train", found, MEANT, [])]


@pytest.mark.parametrize(
    ("fits", "kind"),
    [
        ((30, 60000, 40000, 40000, 40000), []),
        ((30, 31000, 30000, 30000, 30000), [kinds.UNFIT]),
        ((10, 10000, 10000, 10000, 10000), []),
        ((10, 12000, 20000, 12000, 12000), [kinds.MIRRORED]),
        ((10, 12000, 12000, 12000, 20000), [kinds.MIRRORED]),
        ((10, 7000, 10000, 9000, 9000), []),
        ((3, 3000, 9000, 3000, 3000), []),
    ],
)
def test_labels_must_fit_their_photos_better_than_mirrors(
    fits: tuple[int, ...], kind: list[str]
) -> None:
    assert judged_fits(*fits) == kind


def mask(share: int) -> Suspect:
    return Suspect(0, "file", ((0, 100 - share), (255, share)), ())


@pytest.mark.parametrize(
    ("share", "beside", "classes", "kind"),
    [
        (30, 0, 1, [kinds.MASKS]),
        (30, 8, 4, [kinds.MASKS]),
        (30, 8, 2, [kinds.VOID_MASKS]),
        (1, 8, 4, []),
    ],
)
def test_0_and_255_is_a_mask_unless_255_means_void_elsewhere(
    share: int, beside: int, classes: int, kind: list[str]
) -> None:
    found = Findings(images=10, beside=beside, suspects=[mask(share)])
    found.valued = Counter(dict.fromkeys(range(classes), 10))
    assert [x.kind for x in values_judged(found, MEANT)] == kind


def test_void_255_in_label_ids_is_no_train_id() -> None:
    meant = Meanings(CITYSCAPES, CITYSCAPES_IGNORED)
    told = Suspect(0, "file", ((7, 50), (11, 30), (255, 20)), ((255, "y 0, x 0"),), ())
    assert values_judged(Findings(suspects=[told]), meant) == []


def test_a_class_that_one_split_has_far_more_of_is_told() -> None:
    source = FileSource(sets.LABELS, (), unread)
    plan = Plan("folder=x", Path("x"), (Split("train", source), Split("val", source)), ())
    usual = Findings(images=50, pixels=Counter({0: 900, 1: 100}))
    other = Findings(images=50, pixels=Counter({0: 999, 1: 1}))
    ((splits, found),) = unlike(plan, {0: usual, 1: other})
    assert (splits, found.kind, found.place) == ("train, val", kinds.UNLIKE, "class 'sky'")
    assert found.what == "10.00 % of train, 0.10 % of val"
    few = Findings(images=9, pixels=Counter({0: 999, 1: 1}))
    assert list(unlike(plan, {0: usual, 1: few})) == []
