"""What a picture of errors says of each pixel."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scenes import LABELS, LEFT, PERSON, RIGHT, SIZE, SKY, changed, grey, labelled, whole

from atrous.draw import errors
from atrous.draw.colours import INK
from atrous.draw.verdicts import COLOURS, OPAQUE, STRIPE, Verdict
from atrous.labels import LabelSpace
from atrous.types import IdMap, Image, Labelled, Region

TINY = (16, 20)
TRUE, CROWD = Region(1, PERSON), Region(1, PERSON, is_crowd=True)
ALIKE, OTHER = Region(5, PERSON, score=0.5), Region(5, SKY)
PAIR = {(1, 5)}
RIGHT_CLASS, WRONG, MISSED, EXTRA, UNSCORED, FINE = (
    Verdict.CLASS_ONLY,
    Verdict.WRONG_CLASS,
    Verdict.MISSED,
    Verdict.EXTRA,
    Verdict.NOT_SCORED,
    Verdict.RIGHT,
)


def scene(region: Region | None) -> Labelled:
    if region is None:
        return Labelled(np.zeros(TINY, np.int32), ())
    return labelled(TINY, (region, whole(TINY)))


def shows(picture: Image, verdict: Verdict) -> NDArray[np.bool_]:
    """(h, w) where the picture of a grey image says so."""
    if verdict is UNSCORED:
        return np.asarray(np.isin(picture.astype(int) @ [65536, 256, 1], [code(INK), code(STRIPE)]))
    if verdict is FINE:
        dull = (np.ptp(picture, axis=2) < 8) & (picture.max(axis=2) < 128)
        return np.asarray(dull & ~shows(picture, UNSCORED))
    painted = OPAQUE * np.array(COLOURS[verdict]) + (1 - OPAQUE) * 128
    return np.asarray((np.abs(picture - painted) <= 1).all(axis=2))


def code(colour: tuple[int, int, int]) -> int:
    return int(np.array(colour) @ [65536, 256, 1])


@pytest.mark.parametrize(
    ("true", "predicted", "matches", "forgiven", "verdict"),
    [
        (TRUE, ALIKE, PAIR, (), FINE),
        (TRUE, ALIKE, (), (), RIGHT_CLASS),
        (TRUE, ALIKE, {(1, 6), (2, 5)}, (), RIGHT_CLASS),
        (TRUE, ALIKE, (), (5,), RIGHT_CLASS),
        (TRUE, OTHER, (), (), WRONG),
        (TRUE, OTHER, {(2, 5)}, (5,), WRONG),
        (TRUE, None, (), (), MISSED),
        (None, ALIKE, (), (), EXTRA),
        (None, ALIKE, {(2, 5)}, (), UNSCORED),
        (None, ALIKE, (), (5,), UNSCORED),
        (None, None, (), (), UNSCORED),
        (CROWD, None, (), (), UNSCORED),
        (CROWD, ALIKE, (), (), UNSCORED),
        (CROWD, OTHER, (), (), WRONG),
        (CROWD, OTHER, (), (5,), UNSCORED),
        (CROWD, OTHER, {(2, 5)}, (), UNSCORED),
    ],
)
def test_every_pixel_shows_its_verdict(
    true: Region | None,
    predicted: Region | None,
    matches: set[tuple[int, int]],
    forgiven: tuple[int, ...],
    verdict: Verdict,
) -> None:
    picture = errors(
        grey(TINY),
        scene(true),
        scene(predicted),
        labels=LABELS,
        matches=matches,
        forgiven=forgiven,
    )
    assert picture.shape == (*TINY, 3)
    for other in Verdict:
        assert shows(picture, other).all() == (other is verdict), other


def test_what_is_right_looks_the_same_whatever_is_wrong_beside_it() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*TINY, 3), dtype=np.uint8)
    truth = labelled(TINY, (TRUE, whole(TINY)), (Region(2, SKY), (slice(8, 16), slice(0, 20))))
    ids = truth.ids.copy()
    ids[:4], ids[12:, :6] = 0, 1
    faulty = replace(truth, ids=ids)
    matches = {(1, 1), (2, 2)}
    one, two = (errors(photo, truth, x, labels=LABELS, matches=matches) for x in (truth, faulty))
    np.testing.assert_array_equal(changed(one, two), ids != truth.ids)
    assert np.ptp(one, axis=2).max() < 8
    light = (photo @ np.array([0.3, 0.59, 0.11])).ravel()
    assert np.corrcoef(one.mean(axis=2).ravel(), light)[0, 1] > 0.99


@given(
    arrays(np.int32, (3, 4), elements=st.integers(0, 3)),
    arrays(np.int32, (3, 4), elements=st.integers(0, 3)),
)
def test_neither_ids_nor_the_order_of_regions_show(true_ids: IdMap, predicted_ids: IdMap) -> None:
    regions = (Region(1, PERSON), Region(2, SKY), Region(3, PERSON, is_crowd=True))
    table = np.array([0, 70000, 2**31 - 1, 5], np.int32)
    renamed = tuple(replace(r, id=int(table[r.id])) for r in regions[::-1])
    picture = errors(
        grey((3, 4)),
        Labelled(true_ids, regions),
        Labelled(predicted_ids, regions),
        labels=LABELS,
        matches=[(1, 1)],
    )
    other = errors(
        grey((3, 4)),
        Labelled(table[true_ids], renamed),
        Labelled(table[predicted_ids], renamed),
        labels=LABELS,
        matches=[(70000, 70000)],
    )
    np.testing.assert_array_equal(picture, other)
    assert (np.sum([shows(picture, verdict) for verdict in Verdict], axis=0) == 1).all()


def test_an_error_is_named_inside_itself() -> None:
    truth = labelled(SIZE, (Region(1, SKY), whole(SIZE)), (Region(2, PERSON), LEFT))
    prediction = labelled(SIZE, (Region(1, SKY), whole(SIZE)), (Region(2, SKY), RIGHT))
    riders = LabelSpace((replace(LABELS[PERSON], name="rider"), *LABELS.labels[1:]))
    one, two = (
        errors(grey(SIZE), truth, prediction, labels=labels, matches={(1, 1)})
        for labels in (LABELS, riders)
    )
    different = changed(one, two)
    assert different[LEFT].sum() == different.sum() > 0


def test_the_legend_is_a_strip_that_shows_every_verdict() -> None:
    nothing = Labelled(np.zeros(SIZE, np.int32), ())
    picture = errors(grey(SIZE), nothing, nothing, labels=LABELS, matches=())
    strip = picture[SIZE[0] :].astype(int)
    assert strip.shape[0] > 0
    for colour in COLOURS.values():
        assert (np.abs(strip - colour).max(axis=2) < 40).any()


@pytest.mark.parametrize("size", [(1, 1), (20, 30), (3, 2000), (2000, 3)])
def test_images_too_small_for_words_get_no_legend(size: tuple[int, int]) -> None:
    truth = labelled(size, (TRUE, whole(size)))
    nothing = Labelled(np.zeros(size, np.int32), ())
    picture = errors(grey(size), truth, nothing, labels=LABELS, matches=())
    assert picture.shape == (*size, 3)
    assert shows(picture, MISSED).all()


def test_neither_image_nor_maps_are_drawn_on() -> None:
    image, truth, prediction = grey(SIZE), scene_of(LEFT), scene_of(RIGHT)
    errors(image, truth, prediction, labels=LABELS, matches=())
    assert (image == 128).all()
    np.testing.assert_array_equal(truth.ids, scene_of(LEFT).ids)
    np.testing.assert_array_equal(prediction.ids, scene_of(RIGHT).ids)


def scene_of(where: tuple[slice, slice]) -> Labelled:
    return labelled(SIZE, (TRUE, where))


@pytest.mark.parametrize("wrong", range(3))
def test_what_differs_in_size_is_refused(wrong: int) -> None:
    sizes = [TINY] * 3
    sizes[wrong] = (9, 9)
    truth, prediction = (Labelled(np.zeros(size, np.int32), ()) for size in sizes[1:])
    with pytest.raises(ValueError, match=r"image is .*\(9, 9\)|image is \(9, 9\)"):
        errors(grey(sizes[0]), truth, prediction, labels=LABELS, matches=())


# Machado, Oliveira and Fernandes 2009, table 1, severity 1: linear RGB as it is seen.
SIGHTS = {
    "all": np.eye(3),
    "no red": [
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ],
    "no green": [
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ],
    "no blue": [
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ],
}


@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_differ_for_the_colour_blind_over_any_photo(sight: str) -> None:
    """A distance of 20 in CIELAB is plain to see; just noticeable is about 2."""
    seen = {v: [lab(np.array(SIGHTS[sight]), c) for c in over_photos(v)] for v in (*COLOURS, FINE)}
    for one, other in combinations(seen, 2):
        assert min(np.linalg.norm(a - b) for a in seen[one] for b in seen[other]) > 20


def over_photos(verdict: Verdict) -> list[NDArray[np.float64]]:
    """What a verdict looks like over black, grey and white."""
    colour, opaque = (COLOURS[verdict], OPAQUE) if verdict in COLOURS else (INK, 0.75 * OPAQUE)
    return [opaque * np.array(colour) + (1 - opaque) * photo for photo in (0, 128, 255)]


def lab(sight: NDArray[np.float64], colour: NDArray[np.float64]) -> NDArray[np.float32]:
    linear = (np.maximum(colour / 255 + 0.055, 0.1) / 1.055) ** 2.4
    seen = np.clip(sight @ linear, 0.0031308, 1) ** (1 / 2.4) * 1.055 - 0.055
    pixel = seen.astype(np.float32).reshape(1, 1, 3)
    return np.asarray(cv2.cvtColor(pixel, cv2.COLOR_RGB2LAB), np.float32).ravel()
