from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from atrous.formats import decode_mask, encode_mask, flatten, instances_from_masks, instances_of
from atrous.types import BadInput, Fault, Instance, Instances, Labelled, Region

SIZE = (2, 4)
THINGS = np.array([True, False, True])


def bar(start: int, end: int) -> NDArray[np.bool_]:
    """A mask of whole columns."""
    mask = np.zeros(SIZE, np.bool_)
    mask[:, start:end] = True
    return mask


def instance(i: int, start: int, end: int, score: float | None = None, **more: Any) -> Instance:
    return Instance(i, 0, encode_mask(bar(start, end)), score, **more)


def first_row(*items: Instance) -> tuple[list[int], int, list[Fault]]:
    """The first row of the map, the pixels given up, and the faults."""
    faults: list[Fault] = []
    labelled, given_up = flatten(Instances(SIZE, items), source="a", report=faults.append)
    return labelled.ids[0].tolist(), given_up, faults


def test_instances_are_numbered_by_their_places() -> None:
    things = Instances(SIZE, (instance(10**12, 2, 4, 0.5), instance(7, 0, 1, is_crowd=True)))
    labelled, given_up = flatten(things, source="a.json")
    assert labelled.ids.tolist() == [[2, 0, 1, 1]] * 2
    assert labelled.ids.dtype == np.int32
    assert labelled.regions == (Region(1, 0, False, 0.5), Region(2, 0, True, None))
    assert given_up == 0


def test_overlap_is_refused_with_both_ids_and_the_shared_pixels() -> None:
    things = Instances(SIZE, (instance(31, 0, 3), instance(30, 2, 4)))
    with pytest.raises(BadInput, match=r"^a\.json: instances 31 and 30 share 2 pixels"):
        flatten(things, source="a.json")


def test_higher_score_wins() -> None:
    row, given_up, faults = first_row(instance(1, 0, 3, 0.4), instance(2, 1, 4, 0.6))
    assert row == [1, 2, 2, 2]
    assert given_up == 4
    assert [fault.kind for fault in faults] == ["images with masks over each other"]
    assert "instances 1 and 2 share 4 pixels" in faults[0].message


def test_earlier_of_equal_scores_wins() -> None:
    assert first_row(instance(1, 0, 3), instance(2, 1, 4))[0] == [1, 1, 1, 2]


def test_crowd_lies_below_all() -> None:
    assert first_row(instance(1, 0, 4, 0.9, is_crowd=True), instance(2, 1, 2, 0.1))[0] == [
        *(1, 2, 1, 1)
    ]


def test_pixels_of_three_are_given_up_twice_and_reported_once() -> None:
    row, given_up, faults = first_row(*(instance(i, 0, 2) for i in (1, 2, 3)))
    assert row == [1, 1, 0, 0]
    assert given_up == 8
    assert len(faults) == 1
    assert "instances 1 and 2 share 4 pixels, all instances 8" in faults[0].message


def test_runs_of_another_size_are_refused() -> None:
    with pytest.raises(BadInput, match="sum up to 8 pixels but 2x3"):
        flatten(Instances((2, 3), (instance(1, 0, 4),)), source="a")


maps = arrays(np.int32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 5))


@given(maps)
def test_id_maps_survive_instances(ids: NDArray[np.int32]) -> None:
    regions = tuple(Region(i, i % 2, i == 3, i / 8) for i in range(5, 0, -1))
    kept = instances_of(Labelled(ids, regions), np.array([True, True]))
    assert [x.id for x in kept.items] == [r.id for r in regions if (ids == r.id).any()]
    for x in kept.items:
        np.testing.assert_array_equal(decode_mask(x.runs, ids.shape), ids == x.id)
        np.testing.assert_array_equal(x.runs, encode_mask(ids == x.id))
        assert (x.class_id, x.is_crowd, x.score) == (x.id % 2, x.id == 3, x.id / 8)
    labelled, given_up = flatten(kept, source="a")
    numbers = np.array([0, *(x.id for x in kept.items)])
    np.testing.assert_array_equal(numbers[labelled.ids], ids)
    assert given_up == 0


def test_stuff_is_no_instance() -> None:
    labelled = Labelled(np.array([[1, 2, 3]], np.int32), tuple(Region(i, i - 1) for i in (1, 2, 3)))
    assert [x.id for x in instances_of(labelled, THINGS).items] == [1, 3]


@given(arrays(np.bool_, (3, 2, 5)))
def test_masks_become_instances(masks: NDArray[np.bool_]) -> None:
    made = instances_from_masks(masks, [4, 0, 1], scores=[0.5, 0.25, 1])
    assert made.size_hw == (2, 5)
    assert [(x.id, x.class_id, x.score) for x in made.items] == [
        (1, 4, 0.5),
        (2, 0, 0.25),
        (3, 1, 1),
    ]
    for x, mask in zip(made.items, masks, strict=True):
        np.testing.assert_array_equal(decode_mask(x.runs, (2, 5)), mask)


def test_no_masks_are_no_instances() -> None:
    assert instances_from_masks(np.zeros((0, 2, 5)), []).items == ()


def test_masks_without_their_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 2, 5\) of 2 classes"):
        instances_from_masks(np.zeros((3, 2, 5)), [1, 2])
