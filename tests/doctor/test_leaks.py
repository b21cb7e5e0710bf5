from __future__ import annotations

from pathlib import Path

import pytest

from atrous.data.source import Entry, FileSource
from atrous.doctor.findings import Found
from atrous.doctor.leaks import same_labels, twins
from atrous.doctor.opening import Plan, Sample, Split
from atrous.types import Labelled, Report

import drawn_sets as sets  # isort: skip


def unread(entry: Entry, report: Report) -> Labelled:
    raise NotImplementedError


def drawn(**splits: str) -> Plan:
    """Splits with photos named by letters; a photo of several splits stands once."""
    letters = sorted(set("".join(splits.values())))
    entries = {x: Entry(x, Path(x), (Path(f"{x}.png"),)) for x in letters}
    names = [name.replace("_", "-") for name in splits]
    made = tuple(
        Split(name, FileSource(sets.LABELS, tuple(entries[x] for x in members), unread))
        for name, members in zip(names, splits.values(), strict=True)
    )
    places = {
        x: sorted(
            (i for i, m in enumerate(splits.values()) if x in m),
            key=lambda i: len([*splits.values()][i]),
        )
        for x in letters
    }
    samples = tuple(Sample(entries[x], tuple(places[x])) for x in letters)
    return Plan("folder=x", Path("x"), made, samples)


def told(plan: Plan, *same: str) -> list[tuple[str, str]]:
    """What is told of photos of which those named together have the same pixels."""
    letters = [sample.entry.name for sample in plan.samples]
    left = [x for x in letters if x not in "".join(same)]
    groups = [tuple(map(letters.index, group)) for group in (*same, *left)]
    found = twins(plan, {bytes([i]): samples for i, samples in enumerate(groups)})
    return [(split, x.kind) for split, x in found]


LEAK = "photos in two splits"


@pytest.mark.parametrize(
    "splits",
    [
        {"train": "abc", "val": "de", "trainval": "abcde"},
        {"train": "ab", "train_aug": "abcd", "val": "e", "trainval": "abe"},
        {"train": "abc", "val": "de", "sbd_train": "abd", "sbd_val": "ce"},
        {"train": "ab", "coarse": "cd", "train+coarse": "abcd", "coarse_train": "ab"},
    ],
)
def test_official_splits_that_share_photos_are_no_leak(splits: dict[str, str]) -> None:
    assert told(drawn(**splits)) == []


@pytest.mark.parametrize(
    ("splits", "names"),
    [
        ({"train": "abc", "val": "cd"}, "train, val"),
        ({"train": "abc", "val": "cd", "trainval": "abcd"}, "train, val"),
        ({"train": "ab", "train_aug": "abc", "val": "cd"}, "train-aug, val"),
        ({"train": "ab", "val": "ab"}, "train, val"),
    ],
)
def test_a_photo_in_two_lists_is_a_leak(splits: dict[str, str], names: str) -> None:
    assert set(told(drawn(**splits))) == {(names, LEAK)}


def test_copies_in_two_splits_are_a_leak_told_once() -> None:
    assert told(drawn(train="ab", val="cd"), "ac") == [("train, val", LEAK)]
    assert told(drawn(train="ab", val="cd", trainval="abcd"), "ac") == [("train, val", LEAK)]
    assert told(drawn(train="abe", val="cd"), "abce")[0] == ("train", "photos twice in one split")


@pytest.mark.parametrize("names", [("val", "eval"), ("val", "val_hard"), ("train", "train2")])
def test_copies_in_splits_whose_names_hold_each_other_are_a_leak(names: tuple[str, str]) -> None:
    shown = ", ".join(names).replace("_", "-")
    assert told(drawn(**{names[0]: "ab", names[1]: "cd"}), "ac") == [(shown, LEAK)]


def test_a_photo_in_the_lists_of_val_and_eval_is_a_leak() -> None:
    assert told(drawn(val="abc", eval="cd")) == [("val, eval", LEAK)]


def test_copies_that_are_both_in_both_of_two_splits_are_twins() -> None:
    plan = drawn(train="ab", train_aug="abcd", val="e", trainval="abe")
    assert told(plan, "ab") == [("train", "photos twice in one split")]


def test_copies_in_one_split_are_twins() -> None:
    plan = drawn(train="ab", val="cd", trainval="abcd")
    assert told(plan, "ab") == [("train", "photos twice in one split")]


def test_one_label_for_two_photos_is_told_but_not_for_copies() -> None:
    plan = drawn(train="abc")
    photos = {b"x": (0, 1), b"y": (2,)}
    assert list(same_labels(plan, {b"l": (0, 1)}, photos)) == []
    ((split, found),) = same_labels(plan, {b"l": (0, 2)}, photos)
    assert isinstance(found, Found)
    assert (split, found.sample, found.file) == ("train", 2, "c.png")
