"""What must hold of an overlay, whatever it looks like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scenes import (
    GROUND,
    LABELS,
    LEFT,
    PERSON,
    RIGHT,
    SIZE,
    SKY,
    TWO_PERSONS,
    changed,
    grey,
    labelled,
    parse,
    whole,
)

from atrous.draw import labelled_overlay, overlay
from atrous.draw.layers import parse_layer
from atrous.draw.overlays import _room
from atrous.types import Labelled, Parse, Region, Segment


def named(before: Parse, place: int, name: str) -> Parse:
    segments = list(before.segments)
    segments[place] = replace(segments[place], name=name)
    return replace(before, segments=tuple(segments))


def test_without_a_legend_the_picture_keeps_its_size() -> None:
    assert overlay(grey(SIZE), TWO_PERSONS, LABELS, legend=False).shape == (*SIZE, 3)


def test_the_legend_is_a_strip_below_an_unchanged_picture() -> None:
    scene = parse(SIZE, (SKY, whole(SIZE)), (PERSON, LEFT))
    plain = overlay(grey(SIZE), scene, LABELS, legend=False)
    full = overlay(grey(SIZE), scene, LABELS)
    assert full.shape[0] > SIZE[0]
    np.testing.assert_array_equal(full[: SIZE[0]], plain)
    strip = full[SIZE[0] :].astype(int)
    assert (np.abs(strip - LABELS[SKY].colour).max(axis=2) < 40).any()


def test_things_and_background_need_no_legend() -> None:
    assert overlay(grey(SIZE), TWO_PERSONS, LABELS).shape == (*SIZE, 3)


def test_background_and_void_are_dimmed_alike_and_not_coloured() -> None:
    no_background = replace(TWO_PERSONS, segments=TWO_PERSONS.segments[1:])
    picture = overlay(grey(SIZE), TWO_PERSONS, LABELS)
    np.testing.assert_array_equal(picture, overlay(grey(SIZE), no_background, LABELS))
    corner = picture[0, 0].astype(int)
    assert corner.max() < 128
    assert np.ptp(corner) < 8


def test_stuff_takes_the_colour_of_its_class() -> None:
    picture = overlay(grey(SIZE), parse(SIZE, (SKY, whole(SIZE))), LABELS, legend=False)
    mixed = 128 + 0.375 * (np.array(LABELS[SKY].colour) - 128)
    assert np.abs(picture - mixed).max() <= 1


def test_instances_of_one_class_differ_in_colour() -> None:
    picture = overlay(grey(SIZE), TWO_PERSONS, LABELS, alpha=1.0).astype(int)
    assert np.abs(picture[70, 20] - picture[70, 170]).max() > 30


def test_alpha_zero_leaves_the_inside_of_things_as_it_was() -> None:
    picture = overlay(grey(SIZE), TWO_PERSONS, LABELS, alpha=0.0)
    assert (picture[66:76, 20:130] == 128).all()


def test_a_name_lies_inside_its_mask() -> None:
    one, other = (
        overlay(grey(SIZE), named(TWO_PERSONS, 1, name), LABELS) for name in ("cat", "dog")
    )
    different = changed(one, other)
    inside = different[LEFT].sum()
    assert inside == different.sum() > 0


def test_a_small_thing_gets_no_name() -> None:
    small = parse(SIZE, (GROUND, whole(SIZE)), (PERSON, (slice(50, 58), slice(50, 90))))
    one, other = (overlay(grey(SIZE), named(small, 1, name), LABELS) for name in ("cat", "dog"))
    assert not changed(one, other).any()


@pytest.mark.parametrize("rim", [0, 5, 20])
def test_pills_neither_touch_nor_leave_the_picture(rim: int) -> None:
    scene = parse_layer(parse(SIZE, (PERSON, (slice(rim, 200 - rim), slice(rim, 300 - rim)))))
    taken: list[tuple[int, int, int, int]] = []
    while (box := _room(scene, scene.patches[0], (20, 60), taken)) is not None:
        assert 0 <= box[0] < box[2] <= 200
        assert 0 <= box[1] < box[3] <= 300
        for top, left, bottom, right in taken:
            assert box[0] > bottom or box[2] < top or box[1] > right or box[3] < left
        taken.append(box)
    assert len(taken) > 3


def test_no_line_runs_along_the_frame() -> None:
    size = (16, 16)
    picture = overlay(grey(size), parse(size, (PERSON, whole(size))), LABELS)
    assert (picture == picture[0, 0]).all()


def test_touching_segments_are_parted_by_a_line() -> None:
    size = (16, 16)
    halves = parse(size, (PERSON, whole(size)), (PERSON, (slice(0, 16), slice(8, 16))))
    row = overlay(grey(size), halves, LABELS)[8].astype(int).sum(axis=1)
    assert row[6:10].max() > max(row[1], row[14]) + 60


def test_other_ids_give_the_same_picture() -> None:
    table = np.array([0, 70000, 3, 1500], dtype=np.int32)
    segments = tuple(replace(s, id=int(table[s.id])) for s in TWO_PERSONS.segments)
    other = replace(TWO_PERSONS, panoptic=table[TWO_PERSONS.panoptic], segments=segments)
    one, two = (overlay(grey(SIZE), x, LABELS) for x in (TWO_PERSONS, other))
    np.testing.assert_array_equal(one, two)


def test_the_image_itself_is_not_drawn_on() -> None:
    image = grey(SIZE)
    overlay(image, TWO_PERSONS, LABELS)
    assert (image == 128).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 20000), (20000, 3), (7, 5), (400, 50)])
@pytest.mark.parametrize("class_id", [PERSON, SKY, GROUND])
def test_images_too_small_for_words_get_none(size: tuple[int, int], class_id: int) -> None:
    picture = overlay(grey(size), parse(size, (class_id, whole(size))), LABELS)
    assert picture.shape == (*size, 3)


def test_a_segment_without_pixels_is_passed_over() -> None:
    gone = Segment(9, PERSON, "person", True, 1.0, 0, (0, 0, 0, 0))
    scene = replace(TWO_PERSONS, segments=(*TWO_PERSONS.segments, gone))
    one, two = (overlay(grey(SIZE), x, LABELS) for x in (TWO_PERSONS, scene))
    np.testing.assert_array_equal(one, two)


def test_a_parse_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"image is \(10, 10\), its parse \(200, 300\)"):
        overlay(grey((10, 10)), TWO_PERSONS, LABELS)


def test_a_labelled_image_looks_like_the_parse_that_says_the_same() -> None:
    scene = parse(SIZE, (SKY, whole(SIZE)), (PERSON, LEFT), (PERSON, RIGHT))
    one = labelled_overlay(grey(SIZE), scene.labelled, LABELS)
    np.testing.assert_array_equal(one, overlay(grey(SIZE), scene, LABELS))


def test_a_crowd_is_marked_inside_its_mask_alone() -> None:
    persons = labelled(SIZE, (Region(1, PERSON), LEFT), (Region(2, PERSON), RIGHT))
    crowd = replace(persons, regions=(Region(1, PERSON, is_crowd=True), Region(2, PERSON)))
    one, two = (labelled_overlay(grey(SIZE), x, LABELS) for x in (persons, crowd))
    different = changed(one, two)
    assert different[LEFT].sum() == different.sum() > 1000


def test_the_order_of_regions_does_not_show() -> None:
    areas = [(Region(i, PERSON), (slice(10, 190), slice(50 * i, 50 * i + 40))) for i in range(1, 5)]
    one, two = (
        labelled_overlay(grey(SIZE), labelled(SIZE, *order), LABELS)
        for order in (areas, areas[::-1])
    )
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("size", [(1, 1), (20, 30), SIZE])
def test_a_labelled_image_may_be_void(size: tuple[int, int]) -> None:
    nothing = Labelled(np.zeros(size, np.int32), ())
    picture = labelled_overlay(grey(size), nothing, LABELS)
    assert picture.shape == (*size, 3)
    np.testing.assert_array_equal(
        picture, labelled_overlay(grey(size), replace(nothing, regions=(Region(3, SKY),)), LABELS)
    )


def test_a_label_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"image is \(10, 10\), its label \(200, 300\)"):
        labelled_overlay(grey((10, 10)), TWO_PERSONS.labelled, LABELS)
