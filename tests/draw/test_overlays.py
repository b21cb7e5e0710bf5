"""What must hold of an overlay, whatever it looks like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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

from atrous.draw import Style, labelled_overlay, overlay
from atrous.draw.layers import Layer, parse_layer
from atrous.draw.tags import _room, _tag
from atrous.draw.tint import tinted
from atrous.types import BadInput, IdMap, Image, Labelled, Parse, Region, Segment

BARE = Style(contours=False, labels=False)


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


def test_named_things_and_background_need_no_legend() -> None:
    assert overlay(grey(SIZE), TWO_PERSONS, LABELS).shape == (*SIZE, 3)


def strip(scene: Parse, style: Style = BARE) -> Image:
    """The legend alone."""
    return overlay(grey(SIZE), scene, LABELS, style=style)[SIZE[0] :]


def test_things_without_a_name_are_in_the_legend_in_their_own_colours() -> None:
    names = replace(BARE, legend=True)
    picture = overlay(grey(SIZE), TWO_PERSONS, LABELS, style=replace(names, alpha=1.0)).astype(int)
    shown = strip(TWO_PERSONS, names).astype(int)
    assert shown.shape[0] > 0
    for colour in (picture[70, 20], picture[70, 170]):
        assert (np.abs(shown - colour).max(axis=2) < 40).any()


def test_void_is_hatched_and_in_the_legend() -> None:
    hole = replace(TWO_PERSONS, segments=TWO_PERSONS.segments[1:])
    picture = overlay(grey(SIZE), hole, LABELS)
    assert picture.shape[0] > SIZE[0]
    shades, plain = (
        np.unique(x[:50, :150].reshape(-1, 3), axis=0)
        for x in (picture, overlay(grey(SIZE), TWO_PERSONS, LABELS))
    )
    assert (len(shades), len(plain)) == (2, 1)


def test_background_is_dimmed_and_not_coloured() -> None:
    corner = overlay(grey(SIZE), TWO_PERSONS, LABELS)[0, 0].astype(int)
    assert corner.max() < 128
    assert np.ptp(corner) < 8


def test_stuff_takes_the_colour_of_its_class() -> None:
    picture = overlay(grey(SIZE), parse(SIZE, (SKY, whole(SIZE))), LABELS, legend=False)
    mixed = 128 + 0.375 * (np.array(LABELS[SKY].colour) - 128)
    assert np.abs(picture - mixed).max() <= 1


def test_instances_of_one_class_differ_in_colour() -> None:
    picture = overlay(grey(SIZE), TWO_PERSONS, LABELS, style=Style(alpha=1.0)).astype(int)
    assert np.abs(picture[70, 20] - picture[70, 170]).max() > 30


def test_alpha_zero_leaves_the_inside_of_things_as_it_was() -> None:
    picture = overlay(grey(SIZE), TWO_PERSONS, LABELS, style=Style(alpha=0.0))
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
    one, other = (
        overlay(grey(SIZE), named(small, 1, name), LABELS, legend=False) for name in ("cat", "dog")
    )
    assert not changed(one, other).any()


def odd_shapes() -> dict[str, IdMap]:
    """Masks in whose middle there is no room."""
    y, x = np.mgrid[:300, :400]
    ring = np.hypot(y - 150, x - 200)
    crescent = (ring < 145) & (np.hypot(y - 150, x - 270) > 130)
    shapes = {
        "ring": (ring < 145) & (ring > 100),
        "crescent": crescent,
        "stripes": (x + y) % 60 < 40,
        "steps": (x // 50 + y // 50) % 2 == 0,
        "L": (x < 70) | (y > 240),
        "disc": ring < 60,
    }
    return {name: mask.astype(np.int32) for name, mask in shapes.items()}


def layer_of(ids: IdMap) -> Layer:
    ys, xs = np.nonzero(ids)
    box = int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1
    segment = Segment(1, PERSON, "person", True, 0.9, len(ys), box)
    flat = np.ones(ids.shape, np.float32)
    return parse_layer(Parse(ids, LABELS.empty(ids.shape), flat, (segment,)))


@pytest.mark.parametrize("shape", sorted(odd_shapes()))
@pytest.mark.parametrize("pill_hw", [(17, 20), (20, 60), (30, 41), (40, 90)])
def test_a_pill_lies_inside_its_mask_whatever_its_shape(
    shape: str, pill_hw: tuple[int, int]
) -> None:
    layer = layer_of(odd_shapes()[shape])
    box = _room(layer, layer.patches[0], pill_hw)
    if box is not None:
        assert (box[2] - box[0], box[3] - box[1]) == pill_hw
        assert layer.ids[box[0] : box[2], box[1] : box[3]].all()


@pytest.mark.parametrize("shape", ["ring", "crescent", "L", "disc"])
def test_odd_shapes_that_have_room_somewhere_have_a_name(shape: str) -> None:
    layer = layer_of(odd_shapes()[shape])
    assert _room(layer, layer.patches[0], (17, 35)) is not None


def test_a_name_without_room_is_written_smaller_or_shorter() -> None:
    ids = np.zeros((600, 900), np.int32)
    ids[100:160, 100:180] = 1
    layer = layer_of(ids)
    tag = _tag(layer, layer.patches[0], 19)
    assert tag is not None
    assert tag[:2] == ("person", 14)


def test_a_pattern_of_one_pixel_is_laid_where_it_lies() -> None:
    ids = (np.indices((5, 7)).sum(axis=0) % 3).astype(np.int32)
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    patches = tuple(replace(layer_of(ids == 1).patches[0], id=i) for i in (2, 1))
    picture = tinted(image, Layer(ids, patches), {1: (255, 0, 9)}, alpha=0.5)
    where = ids == 1
    mixed = 0.5 * image[where] + 0.5 * np.array((255, 0, 9))
    assert np.abs(picture[where] - mixed).max() <= 0.5
    light = image[~where].astype(float)
    dim = 0.4 * light + 0.6 * light.mean(axis=1, keepdims=True)
    opaque = np.where(ids[~where] == 2, 0.5, 0.375)[:, None]
    inked = (1 - opaque) * dim + opaque * np.array((24, 26, 32))
    assert np.abs(picture[~where] - inked).max() <= 0.6


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
    assert picture.shape[1:] == (size[1], 3)
    np.testing.assert_array_equal(
        picture, labelled_overlay(grey(size), replace(nothing, regions=(Region(3, SKY),)), LABELS)
    )


def test_a_label_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"image is \(10, 10\), its label \(200, 300\)"):
        labelled_overlay(grey((10, 10)), TWO_PERSONS.labelled, LABELS)


def test_without_contours_names_and_legend_there_are_colours_alone() -> None:
    plain = overlay(grey(SIZE), TWO_PERSONS, LABELS, style=replace(BARE, legend=False))
    assert plain.shape == (*SIZE, 3)
    assert len(np.unique(plain.reshape(-1, 3), axis=0)) == 3


def test_by_class_instances_are_alike() -> None:
    picture = overlay(grey(SIZE), TWO_PERSONS, LABELS, style=replace(BARE, by="class"))
    np.testing.assert_array_equal(picture[70, 20], picture[70, 170])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "colour"}, "colours by 'colour': there is instance and class"),
        ({"alpha": 1.5}, "alpha is 1.5: .* from 0"),
        ({"alpha": float("nan")}, "alpha is nan"),
    ],
)
def test_a_style_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Style(**options)


def test_a_photo_that_is_a_part_of_another_one_is_drawn_alike() -> None:
    wide = np.random.default_rng(0).integers(0, 256, (200, 600, 3), dtype=np.uint8)
    one, two = (overlay(x, TWO_PERSONS, LABELS) for x in (wide[:, ::2], wide[:, ::2].copy()))
    np.testing.assert_array_equal(one, two)
