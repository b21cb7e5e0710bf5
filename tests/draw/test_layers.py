"""What is drawn of a parse and of a labelled image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scenes import GROUND, LABELS, PERSON, SKY, labelled

from atrous.draw.layers import (
    Layer,
    Patch,
    colours,
    labelled_layer,
    lasting_ranks,
    measured,
    ranks,
    ranks_like,
)
from atrous.types import IdMap, Region

ID_MAPS = arrays(np.int32, (4, 5), elements=st.sampled_from([0, 1, 7, 2**24, 2**31 - 1]))
SIZE = (10, 100)


@given(ID_MAPS)
def test_areas_and_boxes_are_those_of_the_masks(ids: IdMap) -> None:
    extents = measured(ids)
    assert set(extents) == set(ids.ravel().tolist())
    for i, (area, (y0, x0, y1, x1)) in extents.items():
        mask = ids == i
        assert area == mask.sum() == mask[y0:y1, x0:x1].sum()
        inside = mask[y0:y1, x0:x1]
        assert inside[[0, -1]].any(axis=1).all()
        assert inside[:, [0, -1]].any(axis=0).all()


def test_a_layer_knows_whether_some_pixel_is_of_no_patch() -> None:
    ids = np.ones((2, 3), np.int32)
    patch = Patch(1, PERSON, "person", True, 6, (0, 0, 2, 3))
    assert not Layer(ids, (patch,)).has_void
    assert Layer(ids, ()).has_void


def test_all_things_of_a_class_can_have_one_colour() -> None:
    layer = people(10, 30, 20)
    assert len(set(colours(layer, LABELS, ranks(layer), by="class").values())) == 1


@pytest.mark.parametrize(
    ("region", "captions"),
    [
        (Region(1, PERSON), ("person",)),
        (Region(1, PERSON, score=0.876), ("person 88%", "person")),
        (Region(1, PERSON, score=0.0), ("person 0%", "person")),
        (Region(1, PERSON, is_crowd=True), ("person crowd", "person")),
        (Region(1, SKY, score=0.5), ()),
    ],
)
def test_things_are_named_with_their_score_if_they_have_one(
    region: Region, captions: tuple[str, ...]
) -> None:
    layer = labelled_layer(labelled((1, 1), (region, (slice(1), slice(1)))), LABELS)
    assert [patch.captions for patch in layer.patches] == [captions]


def people(*widths: int, first_id: int = 1) -> Layer:
    """Persons beside each other."""
    ends = np.cumsum(widths)
    areas = [
        (Region(i, PERSON), (slice(0, 10), slice(end - width, end)))
        for i, (end, width) in enumerate(zip(ends, widths, strict=True), start=first_id)
    ]
    return labelled_layer(labelled(SIZE, *areas), LABELS)


def test_things_of_a_class_are_ranked_by_their_size() -> None:
    assert ranks(people(10, 30, 20)) == {1: 2, 2: 0, 3: 1}


def test_ranks_that_last_go_by_the_id_and_not_by_the_size() -> None:
    first = len(LABELS) + 1
    assert lasting_ranks(people(10, 30, 20, first_id=first), len(LABELS)) == {
        first: 0,
        first + 1: 1,
        first + 2: 2,
    }


def test_partners_share_their_colour_and_others_have_their_own() -> None:
    true, predicted = people(10, 30, 20), people(40, 10, 15, first_id=11)
    ours = colours(true, LABELS, ranks(true))
    theirs = colours(predicted, LABELS, ranks_like(predicted, true, {13: 1}))
    assert theirs[13] == ours[1]
    assert len({*ours.values(), *theirs.values()}) == 5


def test_ground_has_no_colour_and_needs_no_partner_for_stuff() -> None:
    areas = [(Region(1, GROUND), (slice(0, 5), slice(0, 9))), (Region(2, SKY), (slice(5, 9),) * 2)]
    layer = labelled_layer(labelled((9, 9), *areas), LABELS)
    assert colours(layer, LABELS, ranks_like(layer, layer, {2: 2})) == {2: LABELS[SKY].colour}
