from __future__ import annotations

import pytest

from atrous.score.faults import Tally
from atrous.score.pairing import pairs
from atrous.score.sides import Entry
from atrous.types import BadInput, refuse


def places(truth: list[Entry], prediction: list[Entry]) -> list[tuple[int, int]]:
    return [(p.truth, p.prediction) for p in pairs(truth, prediction, refuse)]


def listed(*ids: int | str, names: str = "") -> list[Entry]:
    return [Entry(i, None, f"{names}{i}.png") for i in ids]


def files(*names: str) -> list[Entry]:
    return [Entry(None, None, name) for name in names]


def test_image_ids_pair_images_in_any_order() -> None:
    assert places(listed(1, 2, 3), listed(3, 1, 2)) == [(0, 1), (1, 2), (2, 0)]


def test_image_ids_decide_where_files_are_called_anything() -> None:
    assert places(listed(1, 2), listed(2, 1, names="answer_")) == [(0, 1), (1, 0)]


def test_file_names_decide_where_ids_count_another_order() -> None:
    truth = [Entry(1, "cat.jpg"), Entry(2, "dog.jpg")]
    prediction = [Entry(1, "dog.png"), Entry(2, "cat.png")]
    assert places(truth, prediction) == [(0, 1), (1, 0)]


def test_file_names_decide_where_one_side_has_no_ids() -> None:
    truth = [Entry(7, "a/cat.jpg", "cat.png"), Entry(9, "a/dog.jpg", "dog.png")]
    assert places(truth, files("dog.png", "cat.png")) == [(0, 1), (1, 0)]


def test_a_file_may_bear_the_id_of_its_image() -> None:
    key = "aachen_000000_000019"
    truth = [Entry(key, None, f"{key}_gtFine_panoptic.png")]
    assert places(truth, files(key)) == [(0, 0)]
    assert places(files(key), truth) == [(0, 0)]


def test_ids_hold_whatever_label_files_are_called() -> None:
    truth = [Entry(i, f"{name}.jpg", f"{name}.png") for i, name in enumerate("2031")]
    prediction = [Entry(i, None, f"{i}.png") for i in range(4)]
    assert places(truth, prediction) == [(i, i) for i in range(4)]


def test_an_id_is_no_file_name_where_file_names_are_at_hand() -> None:
    truth = [Entry(i + 1, f"{i}.jpg") for i in range(3)]
    with pytest.raises(BadInput, match=r"image 1 \(0.jpg\) has no prediction"):
        places(truth, files("1.png", "2.png"))


def test_ranks_are_those_of_the_sorted_ids() -> None:
    found = pairs(listed(30, 4, 200), listed(200, 4, 30), refuse)
    assert [pair.rank for pair in found] == [1, 0, 2]


@pytest.mark.parametrize(
    ("truth", "prediction", "words"),
    [
        (listed(1, 2), listed(1), "image 2 .* has no prediction"),
        (listed(1), listed(1, 2), "image 2 .* is predicted but not among the truth"),
        (listed(1), listed(1, 1), "two predictions are of image 1"),
        (listed(1), files("1.png", "b/1.png"), "two predictions are of image '1'"),
        (files("a/7.jpg", "b/7.jpg"), files("7.png"), "of the truth have one prediction"),
        (files("cat"), files("dog"), "no image of the prediction is one of the truth"),
    ],
)
def test_images_of_one_side_alone_are_refused(
    truth: list[Entry], prediction: list[Entry], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        pairs(truth, prediction, refuse)


def test_a_lenient_report_hears_of_each_image_and_the_others_are_paired() -> None:
    tally = Tally()
    found = pairs(listed(1, 2, 3), listed(3, 4, 5, 6), tally)
    assert [(p.truth, p.prediction) for p in found] == [(2, 0)]
    assert tally.counts == {"images without a prediction": 2, "predictions of unknown images": 3}
