"""Verdicts on counts that no small set on disk would have."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import drawn_sets as sets
from atrous.data.source import Entry, FileSource
from atrous.doctor import kinds
from atrous.doctor.alignment import fit
from atrous.doctor.compare import unlike
from atrous.doctor.findings import Findings, Suspect
from atrous.doctor.judge import split_judged, values_judged
from atrous.doctor.opening import Plan, Split
from atrous.doctor.values import Meanings
from atrous.labels import CITYSCAPES, CITYSCAPES_IGNORED, Label, LabelSpace
from atrous.types import Labelled, Report

MEANT = Meanings(sets.LABELS, frozenset({255}))


def unread(entry: Entry, report: Report) -> Labelled:
    raise NotImplementedError


def judged_fits(count: int, *sharp: float) -> list[str]:
    """What is told of labels on whose borders photos change so many times as much as beside."""
    sums = [n for x in sharp for n in (round(1000 * count * x), 1000 * count)]
    found = Findings(images=30, pixels=Counter({0: 5, 1: 5}), fits=[count, *sums])
    return [x.kind for x in split_judged("train", found, MEANT, [])]


@pytest.mark.parametrize(
    ("fits", "kind"),
    [
        ((30, 1.3, 1.0, 1.0, 1.0), []),
        ((30, 1.05, 1.0, 1.0, 1.0), []),
        ((30, 1.02, 1.0, 1.0, 1.0), [kinds.UNFIT]),
        ((10, 1.0, 1.0, 1.0, 1.0), []),
        ((10, 1.0, 1.15, 1.0, 1.0), [kinds.MIRRORED]),
        ((10, 1.0, 1.0, 1.0, 1.15), [kinds.MIRRORED]),
        ((10, 1.1, 1.15, 1.0, 1.0), []),
        ((10, 0.9, 1.05, 1.0, 1.0), []),
        ((6, 1.0, 1.15, 1.0, 1.0), []),
        ((6, 1.0, 1.25, 1.0, 1.0), [kinds.MIRRORED]),
        ((5, 1.0, 3.0, 1.0, 1.0), []),
    ],
)
def test_labels_must_fit_their_photos_better_than_mirrors(
    fits: tuple[int, float, float, float, float], kind: list[str]
) -> None:
    assert judged_fits(*fits) == kind


def test_a_mirror_that_lies_where_photos_are_busy_is_no_better() -> None:
    """Label borders on the calm side of photos whose other side is all texture."""
    random = np.random.default_rng(0)
    photo = np.full((120, 160, 3), 80, np.uint8)
    photo[:, 90:] = random.integers(0, 256, (120, 70, 3))
    ids = np.zeros((120, 160), np.int32)
    ids[30:90, 20:60] = 1
    photo[30:90, 20:60] += 20
    fits = fit(photo, ids)
    assert fits is not None
    own, mirror = fits[0] / fits[1], fits[2] / fits[3]
    assert fits[2] > 2 * fits[0]
    assert own > 1.5 > 1.2 > mirror


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


@pytest.mark.parametrize(("ids", "ignored"), [((0, 255), {254}), ((0,), {255})])
def test_0_and_255_is_no_mask_where_255_is_a_class_or_0_the_only_one(
    ids: tuple[int, ...], ignored: set[int]
) -> None:
    space = LabelSpace(tuple(Label(str(i), (i, i, i), False, i) for i in ids))
    found = Findings(images=10, suspects=[mask(30)], valued=Counter({0: 10, 255: 10}))
    told = values_judged(found, Meanings(space, frozenset(ignored)))
    assert [x.kind for x in told] in ([], [kinds.VOID_MASKS])


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
