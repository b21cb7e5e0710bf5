from __future__ import annotations

from collections import Counter

import pytest

from atrous.doctor.findings import Findings, Suspect
from atrous.doctor.shifts import drift, looks_shifted, shift
from atrous.doctor.values import Meanings
from atrous.labels import Label, LabelSpace

FROM_0 = (range(5), {255})
FROM_1 = (range(1, 6), {0})
FROM_1_VOID_255 = (range(1, 6), {255})


def found_shift(ids: set[int], classes: range, ignored: set[int]) -> int | None:
    space = LabelSpace(tuple(Label(str(i), (i, i, i), False, i) for i in classes))
    meant = Meanings(space, frozenset(ignored))
    unknown = tuple((i, "y 0, x 0") for i in sorted(ids - meant.known))
    suspect = Suspect(0, "file", tuple((i, 9) for i in sorted(ids)), unknown)
    found = shift([suspect], Findings(), meant)
    return None if found is None else found.by


@pytest.mark.parametrize(
    ("ids", "meant", "by"),
    [
        ({1, 2, 3, 4, 5}, FROM_0, 1),
        ({1, 3, 5, 255}, FROM_0, 1),
        ({2, 3, 6, 255}, FROM_0, 2),
        ({0, 1, 2, 3, 254, 255}, FROM_0, -1),
        ({0, 1, 2, 253, 254}, FROM_0, -2),
        ({0, 1, 2, 3, 4, 255}, FROM_1, -1),
        ({0, 1, 2, 3, 255}, FROM_1, -2),
        ({0, 1, 2, 254, 255}, FROM_1, -2),
        ({0, 1, 2, 3, 4, 255}, FROM_1_VOID_255, -1),
        ({0, 1, 5}, FROM_0, None),
        ({1, 2, 7}, FROM_0, None),
        ({1, 2, 3, 4, 5, 255}, FROM_1, None),
        ({0, 2, 5, 255}, FROM_1, None),
        ({0, 1, 2, 3, 4}, FROM_0, None),
        ({9}, FROM_0, None),
    ],
)
def test_a_shift_explains_all_ids_or_is_none(
    ids: set[int], meant: tuple[range, set[int]], by: int | None
) -> None:
    assert found_shift(ids, *meant) == by


def test_one_file_without_the_highest_class_is_moved_once_not_twice() -> None:
    """The one file of ten has neither the lowest class nor the two highest, and void is 255."""
    space = LabelSpace(tuple(Label(str(i), (i, i, i), False, i) for i in range(1, 6)))
    suspect = Suspect(0, "file", ((1, 9), (2, 9), (255, 9)), ((255, "y 0, x 0"),))
    usual = Findings(valued=Counter(dict.fromkeys(range(6), 10)))
    found = shift([suspect], usual, Meanings(space, frozenset({0})))
    assert found is not None
    assert found.by == -1


@pytest.mark.parametrize(
    ("pixels", "by"),
    [
        ({1: 61, 2: 14, 3: 25}, 1),
        ({0: 13, 1: 55, 2: 32}, None),
        ({0: 60, 2: 30, 3: 10}, None),
        ({1: 10, 2: 80, 3: 10}, None),
    ],
)
def test_one_label_looks_shifted_if_that_makes_its_shares_usual(
    pixels: dict[int, int], by: int | None
) -> None:
    space = LabelSpace(tuple(Label(str(i), (i, i, i), False, i) for i in range(4)))
    usual = Findings(values=Counter({0: 60, 1: 14, 2: 24, 3: 2}))
    suspect = Suspect(0, "file", tuple(pixels.items()), ())
    assert looks_shifted(suspect, usual, Meanings(space, frozenset({255}))) == by


def test_a_split_drifts_if_its_shares_are_those_of_another_once_moved() -> None:
    usual = {0: 60, 1: 5, 2: 25, 3: 10}
    assert drift({1: 59, 2: 6, 3: 25}, usual, range(4)) == 1
    assert drift({0: 5, 1: 25, 2: 10}, usual, range(4)) == -1
    assert drift(usual, usual, range(4)) is None
    assert drift({0: 10, 1: 25, 2: 5, 3: 60}, usual, range(4)) is None
    assert drift({0: 90, 1: 10}, usual, range(4)) is None
