from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from atrous.formats import label_classes, read_classes, write_class_map
from atrous.formats.classes import runs_of
from atrous.formats.values import looked_up, numbered, painted, values_in
from atrous.labels import Label, LabelSpace
from atrous.types import BadInput, Fault, Labelled, Region

LABELS = LabelSpace((Label("sky", (1, 2, 3), False, 5), Label("dog", (4, 5, 6), True, 7)))
MAP = np.array([[0, 5, 5], [7, 7, 0]], np.uint8)

stored_maps = arrays(
    np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 2**16 - 1)
)


@given(stored_maps)
def test_values_and_their_table_are_those_of_plain_numpy(stored: NDArray[np.uint16]) -> None:
    table = np.random.default_rng(0).integers(-9, 9, 2**16).astype(np.int32)
    assert values_in(stored) == np.unique(stored).tolist()
    assert np.array_equal(looked_up(stored, table), table[stored])
    runs = runs_of(stored.astype(np.int32))
    assert np.array_equal(np.asarray(runs), stored)
    assert values_in(runs) == values_in(stored)
    assert np.array_equal(looked_up(runs, table), table[stored])


def test_a_view_with_gaps_is_read_as_it_looks() -> None:
    stored = np.arange(24, dtype=np.uint16).reshape(4, 6)[::2, 1::3]
    assert values_in(stored) == [1, 4, 13, 16]
    assert looked_up(stored, np.arange(2**16, dtype=np.int32)).tolist() == [[1, 4], [13, 16]]


def test_a_class_map_has_a_region_for_each_class(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_class_map(path, MAP)
    truth = read_classes(path, LABELS, ignored={0})
    assert truth.ids.tolist() == [[0, 1, 1], [2, 2, 0]]
    assert truth.regions == (Region(1, 0), Region(2, 1))
    assert LABELS.semantic(truth).tolist() == [[255, 0, 0], [1, 1, 255]]


def test_what_is_ignored_is_void_though_it_has_a_class() -> None:
    truth = label_classes(MAP, LABELS, ignored={0, 7}, source="a.png")
    assert truth.ids.tolist() == [[0, 1, 1], [0, 0, 0]]


def test_ids_of_no_class_are_named_with_their_file() -> None:
    with pytest.raises(BadInput, match=r"^a\.png: holds \[0, 7\], neither ids of its 1 classes"):
        label_classes(MAP, LabelSpace(LABELS.labels[:1]), ignored={255}, source="a.png")
    many = np.arange(20, dtype=np.int32)[None]
    with pytest.raises(BadInput, match="and 12 more"):
        label_classes(many, LABELS, ignored=(), source="a.png")


def test_ids_of_no_class_are_void_to_who_steps_over_them() -> None:
    faults: list[Fault] = []
    truth = label_classes(MAP, LABELS, ignored=(), source="a.png", report=faults.append)
    assert truth.ids.tolist() == [[0, 1, 1], [2, 2, 0]]
    assert [fault.kind for fault in faults] == ["ids of no class"]


def labelled(*regions: Region) -> Labelled:
    return Labelled(np.array([[0, 4, 9]], np.int32), regions)


def test_things_are_numbered_and_regions_without_pixels_are_left_out() -> None:
    truth = labelled(Region(2, 1), Region(9, 1), Region(4, 1))
    assert numbered(truth, LABELS, has_crowds=False) == [(Region(9, 1), 0), (Region(4, 1), 1)]
    assert painted(truth, {9: 700, 4: 3}, void=8).tolist() == [[8, 3, 700]]


@pytest.mark.parametrize(
    ("truth", "told"),
    [
        (labelled(Region(4, 0)), r"ids \[9\] have no region"),
        (labelled(Region(4, 0), Region(9, 1), Region(9, 1)), "0 or twice"),
        (labelled(Region(0, 0), Region(4, 0), Region(9, 1)), "0 or twice"),
        (labelled(Region(4, 0), Region(9, 2)), "class 2 is none of 2"),
        (labelled(Region(4, 0), Region(9, -1)), "class -1 is none of 2"),
        (labelled(Region(4, 0), Region(9, 0)), "sky has two regions"),
        (labelled(Region(4, 1, True), Region(9, 1, True)), "dog has two regions"),
        (labelled(Region(4, 0, True), Region(9, 1)), "sky is stuff"),
        (Labelled(np.array([[-1]], np.int32), ()), "ids run from -1 to -1"),
        (Labelled(np.array([[2**24]], np.int32), ()), "number regions within"),
    ],
)
def test_what_no_form_can_hold_is_refused(truth: Labelled, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        numbered(truth, LABELS, has_crowds=True)


def test_a_form_without_crowds_refuses_one() -> None:
    truth = labelled(Region(4, 0), Region(9, 1, True))
    with pytest.raises(ValueError, match="region 9 of dog is a crowd, which this form cannot say"):
        numbered(truth, LABELS, has_crowds=False)
