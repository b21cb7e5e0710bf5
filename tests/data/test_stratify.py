from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atrous.data.folder import open_folder
from atrous.data.shapes import Shapes
from atrous.data.source import subset
from atrous.data.split import Shares, Sides, hashed, hashed_groups
from atrous.data.stratify import Tally, areas_of, joined, stratified, tallied, truth_of
from atrous.formats import write_class_map, write_image, write_json
from atrous.types import BadInput, Labelled, Region

FIFTH = Shares(0.2)
THREE = Shares(0.2, 0.1)


def drawn(seed: int, images: int = 120, classes: int = 10) -> tuple[list[str], Tally]:
    """Images whose classes are rare to frequent; the first half of the classes are things."""
    random = np.random.default_rng(seed)
    is_there = random.random((images, classes)) < random.uniform(0.02, 0.6, classes)
    pixels = np.where(is_there, random.integers(1, 5000, is_there.shape), 0)
    instances = np.where(is_there, random.integers(1, 5, is_there.shape), 0)
    instances[:, classes // 2 :] = 0
    return [f"{seed}/{i}.jpg" for i in range(images)], Tally(pixels, instances)


def deviation(tally: Tally, sides: Sides, shares: Shares) -> float:
    """How far the sides' parts of pixels and things are from their shares, in the mean."""
    counts = np.hstack([tally.pixels, tally.instances])
    counts = counts[:, counts.any(axis=0)]
    parts = [counts[sides == i].sum(axis=0) / counts.sum(axis=0) for i in range(len(shares.values))]
    return float(np.abs(np.array(parts) - np.array(shares.values)[:, None]).mean())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("shares", [FIFTH, THREE, Shares(0.5)])
def test_every_class_gets_to_every_side_and_closer_to_its_share_than_by_the_hash(
    seed: int, shares: Shares
) -> None:
    names, tally = drawn(seed)
    sides = stratified(names, tally, shares=shares)
    assert set(sides.tolist()) == set(range(len(shares.values)))
    has = tally.pixels > 0
    common = has.sum(axis=0) >= len(shares.values)
    for side in range(len(shares.values)):
        assert has[sides == side].any(axis=0)[common].all()
    by_hash = hashed(names, shares=shares)
    assert deviation(tally, sides, shares) < 0.6 * deviation(tally, by_hash, shares)
    for side, share in enumerate(shares.values):
        assert abs(int((sides == side).sum()) - share * len(names)) <= 3


def test_equal_images_are_divided_exactly() -> None:
    tally = Tally(np.full((20, 1), 50), np.zeros((20, 1), np.int64))
    sides = stratified([str(i) for i in range(20)], tally, shares=THREE)
    assert np.bincount(sides).tolist() == [14, 4, 2]


def test_a_class_in_two_images_is_on_both_sides_with_more_of_it_for_training() -> None:
    pixels = np.full((10, 2), 10)
    pixels[:, 1] = 0
    pixels[[3, 8], 1] = 7, 3
    for seed in range(5):
        names = [f"{i}" for i in range(10)]
        tally = Tally(pixels, np.zeros_like(pixels))
        sides = stratified(names, tally, shares=FIFTH, seed=seed)
        assert (sides[3], sides[8]) == (0, 1)


def test_images_without_any_class_are_divided_by_number() -> None:
    nothing = np.zeros((10, 3), np.int64)
    sides = stratified([str(i) for i in range(10)], Tally(nothing, nothing), shares=FIFTH)
    assert np.bincount(sides).tolist() == [8, 2]


@pytest.mark.parametrize("seed", range(6))
def test_groups_stay_whole_and_classes_in_two_of_them_get_to_both_sides(seed: int) -> None:
    names, tally = drawn(seed, images=150, classes=6)
    groups = [str(i // 5) for i in range(len(names))]
    sides = stratified(groups, tally, shares=FIFTH)
    by_group: Sides = sides.reshape(-1, 5)
    assert bool(np.all(by_group == by_group[:, :1]))
    has = tally.pixels.reshape(-1, 5, 6).sum(axis=1) > 0
    for side in (0, 1):
        assert has[by_group[:, 0] == side].any(axis=0)[has.sum(axis=0) >= 2].all()
    by_hash = hashed_groups(groups, shares=FIFTH)
    assert deviation(tally, sides, FIFTH) < deviation(tally, by_hash, FIFTH)


def test_the_seed_decides_and_the_order_of_the_images_does_not() -> None:
    names, tally = drawn(3)
    sides = stratified(names, tally, shares=THREE, seed=7)
    assert (stratified(names, tally, shares=THREE, seed=7) == sides).all()
    assert (stratified(names, tally, shares=THREE, seed=8) != sides).any()
    order = np.random.default_rng(0).permutation(len(names))
    other = Tally(tally.pixels[order], tally.instances[order])
    assert (
        stratified([names[i] for i in order], other, shares=THREE, seed=7) == sides[order]
    ).all()


def test_too_few_groups_or_too_large_a_group_are_refused() -> None:
    names, tally = drawn(0, images=10)
    with pytest.raises(BadInput, match="10 images in 1 groups cannot be 2 sides"):
        stratified(["a"] * 10, tally, shares=FIFTH)
    with pytest.raises(BadInput, match="'a' has 9 of 10 images, but the largest side shall have 8"):
        stratified(["a"] * 9 + ["b"], tally, shares=FIFTH)
    with pytest.raises(BadInput, match="1 images in 1 groups"):
        stratified(names[:1], tally, shares=FIFTH)


def test_pixels_and_things_are_counted_and_crowds_are_no_things() -> None:
    source = Shapes("val", size_hw=(65, 65), count=3)
    tally = joined([tallied(source, range(2)), tallied(source, range(2, 3))])
    for i in range(3):
        truth = source[i].truth
        for class_id, label in enumerate(source.labels.labels):
            own = [r.id for r in truth.regions if r.class_id == class_id]
            assert tally.pixels[i, class_id] == np.isin(truth.ids, own).sum()
            assert tally.instances[i, class_id] == (len(own) if label.is_thing else 0)
    assert tally.instances.sum() > 0


class _Crowded(Shapes):
    """One image: a disc of 4 pixels, a crowd of discs, and a region that is hidden."""

    def truth(self, index: int) -> Labelled:
        ids = np.array([[5, 5, 9], [5, 5, 0]], np.int32)
        return Labelled(ids, (Region(5, 3), Region(9, 3, is_crowd=True), Region(6, 3)))


def test_crowds_have_pixels_and_hidden_things_do_not_count() -> None:
    tally = tallied(_Crowded("val", count=1), range(1))
    assert (tally.pixels[0, 3], tally.instances[0, 3]) == (5, 1)


def test_areas_are_those_of_the_map() -> None:
    ids = np.random.default_rng(0).integers(0, 4, (9, 7)).astype(np.int32)
    found = areas_of(Labelled(ids, ()))
    assert found == {i: int((ids == i).sum()) for i in range(4)}
    assert areas_of(Labelled(np.zeros((0, 4), np.int32), ())) == {}


def test_labels_are_counted_without_their_photos(tmp_path: Path) -> None:
    photo = tmp_path / "images" / "train" / "a.png"
    write_image(photo, np.zeros((3, 4, 3), np.uint8))
    write_class_map(tmp_path / "labels" / "train" / "a.png", np.zeros((3, 4), np.uint8))
    write_json(tmp_path / "classes.json", {"classes": [{"id": 0, "name": "road"}]})
    source = open_folder(tmp_path, "train")
    photo.unlink()
    assert tallied(source, range(1)).pixels.tolist() == [[12]]
    assert truth_of(subset(source, [0]), 0).ids.shape == (3, 4)
