from __future__ import annotations

import json
from pathlib import Path

import pytest

from atrous.labels import CITYSCAPES, Label, LabelSpace
from atrous.score.classes import classes_of, shared_classes
from atrous.score.faults import Tally
from atrous.types import BadInput, refuse


def space(*names: str, things: str = "") -> LabelSpace:
    return LabelSpace(
        tuple(Label(n, (i, i, i), n in things.split(), i + 10) for i, n in enumerate(names))
    )


def test_classes_are_shared_by_name_in_any_order() -> None:
    assert shared_classes(space("b", "a"), space("a", "b"), source="x", report=refuse) == {
        0: 1,
        1: 0,
    }


@pytest.mark.parametrize(
    ("own", "truth", "words"),
    [
        (space("a", "c"), space("a"), "x: 'c' only in the prediction"),
        (space("a"), space("a", "c"), "x: 'c' only in the truth"),
        (space("a", things="a"), space("a"), "class 'a' is a thing but stuff in the truth"),
        (space("a"), space("a", things="a"), "class 'a' is stuff but a thing in the truth"),
    ],
)
def test_lists_that_differ_are_refused(own: LabelSpace, truth: LabelSpace, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        shared_classes(own, truth, source="x", report=refuse)


def test_a_lenient_report_keeps_what_is_shared() -> None:
    tally = Tally()
    shared = shared_classes(space("a", "c"), space("b", "a"), source="x", report=tally)
    assert shared == {0: 1}
    assert sum(tally.counts.values()) == 1


def test_names_of_data_sets_stand_for_their_classes() -> None:
    found = classes_of("cityscapes")
    assert found.labels == CITYSCAPES
    assert 0 in found.ignored


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"--classes citiscapes: .* cityscapes"):
        classes_of("citiscapes")


@pytest.mark.parametrize(
    ("data", "names", "ignored"),
    [
        ({"classes": [{"id": 3, "name": "road"}], "ignore_label": 9}, ["road"], {9}),
        ({"categories": [{"id": 3, "name": "road", "isthing": 0}]}, ["road"], {0}),
        (
            {
                "labels": [
                    {"name": n, "readable": n, "color": [1, 2, 3], "instances": False}
                    | {"evaluate": n != "void"}
                    for n in ("road", "void")
                ]
            },
            ["road"],
            {1},
        ),
    ],
    ids=["classes.json", "coco", "mapillary"],
)
def test_files_list_classes(
    tmp_path: Path, data: object, names: list[str], ignored: set[int]
) -> None:
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(data))
    found = classes_of(str(path))
    assert [label.name for label in found.labels.labels] == names
    assert found.ignored == ignored


def test_a_name_that_stands_twice_is_refused_unless_the_lists_are_the_same() -> None:
    twice = space("a", "b", "b")
    assert shared_classes(twice, twice, source="x", report=refuse) == {0: 0, 1: 1, 2: 2}
    with pytest.raises(BadInput, match="x: two classes are called 'b'"):
        shared_classes(twice, space("a", "b"), source="x", report=refuse)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"classes": [{"id": 0, "name": "a"}], "ignore_label": "x"}, "ignore_label is 'x'"),
        ({"classes": [{"id": 0, "name": "a"}], "ignore_label": 0}, "is the class 'a'"),
        ({"classes": [{"id": 1e400, "name": "a"}]}, "a class has an id"),
        ({"classes": [{"id": 0, "name": "a"}] * 2}, "stand for more than one class"),
    ],
)
def test_lists_that_make_no_sense_are_refused(tmp_path: Path, data: object, words: str) -> None:
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(data))
    with pytest.raises(BadInput, match=f"classes.json: .*{words}"):
        classes_of(str(path))
