"""Drawn scenes: the same for ever, and labelled without fault."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.data.shapes import RING, Shapes
from atrous.data.source import Source
from atrous.types import BadInput, Region, Sample

SMALL = (129, 161)


def things(sample: Sample, source: Shapes) -> dict[Region, int]:
    """Visible pixels of each thing."""
    areas = np.bincount(sample.truth.ids.ravel())
    regions = sample.truth.regions
    return {r: int(areas[r.id]) for r in regions if source.labels[r.class_id].is_thing}


def same(one: Sample, other: Sample) -> bool:
    return (
        one.name == other.name
        and one.image.tobytes() == other.image.tobytes()
        and one.truth.ids.tobytes() == other.truth.ids.tobytes()
        and one.truth.regions == other.truth.regions
    )


def test_a_sample_depends_on_nothing_but_seed_split_and_index() -> None:
    forward = [Shapes(seed=7, count=4)[i] for i in range(4)]
    source = Shapes(seed=7, count=9)
    backward = [source[i] for i in reversed(range(4))][::-1]
    assert all(same(a, b) for a, b in zip(forward, backward, strict=True))


def test_a_source_sent_to_another_process_gives_the_same_samples() -> None:
    source = Shapes(seed=3, size_hw=SMALL)
    assert same(pickle.loads(pickle.dumps(source))[5], source[5])


def test_other_indices_splits_and_seeds_give_other_scenes() -> None:
    scenes = [
        Shapes(split, seed=seed, size_hw=SMALL)[i]
        for split in ("train", "val", "test")
        for seed in (0, 1)
        for i in (0, 1)
    ]
    assert len({scene.image.tobytes() for scene in scenes}) == len(scenes)


@given(st.integers(0, 2**63), st.integers(0, 40), st.integers(0, 12))
@settings(max_examples=25)
def test_labels_are_complete_and_hard(seed: int, index: int, most: int) -> None:
    source = Shapes(seed=seed, size_hw=SMALL, instances=(0, most), area_px=(64, 2000))
    sample = source[index]
    ids, regions = sample.truth.ids, sample.truth.regions
    assert np.unique(ids).tolist() == [r.id for r in regions] == list(range(1, len(regions) + 1))
    assert not any(region.is_crowd for region in regions)
    assert sample.image.shape == (*SMALL, 3)
    assert ids.shape == SMALL
    assert ids.dtype == np.int32
    assert sample.image.dtype == np.uint8


@given(st.integers(0, 2**32))
@settings(max_examples=25)
def test_every_thing_shows_at_least_the_least_area(seed: int) -> None:
    source = Shapes(seed=seed, size_hw=SMALL, instances=(15, 15), area_px=(100, 3000))
    assert min(things(source[0], source).values()) >= 100


def test_stuff_has_at_most_one_segment_a_class() -> None:
    source = Shapes(size_hw=SMALL)
    for i in range(20):
        stuff = [r.class_id for r in source[i].truth.regions if r.class_id < 3]
        assert len(stuff) == len(set(stuff)) >= 1


def test_the_number_of_things_takes_every_value_asked_for_and_no_other() -> None:
    source = Shapes(size_hw=SMALL, instances=(2, 4), area_px=(64, 400))
    assert {len(things(source[i], source)) for i in range(60)} == {2, 3, 4}


def test_forty_things_find_room_in_a_large_scene() -> None:
    source = Shapes(size_hw=(513, 513), instances=(40, 40))
    assert np.mean([len(things(source[i], source)) for i in range(5)]) >= 38


def test_things_hide_parts_of_each_other() -> None:
    source = Shapes(size_hw=SMALL, instances=(12, 12), area_px=(300, 900))
    assert any(_neighbours(source[i], source) for i in range(5))


def _neighbours(sample: Sample, source: Shapes) -> bool:
    """Whether pixels of two things lie side by side."""
    ids = [region.id for region in things(sample, source)]
    left, right = sample.truth.ids[:, :-1], sample.truth.ids[:, 1:]
    return bool(((left != right) & np.isin(left, ids) & np.isin(right, ids)).any())


def test_areas_are_log_uniform_where_nothing_cuts_them() -> None:
    source = Shapes(size_hw=(385, 385), instances=(1, 1), area_px=(256, 4096), count=400)
    areas = []
    for i in range(150):
        sample = source[i]
        (region,) = things(sample, source)
        ys, xs = np.nonzero(sample.truth.ids == region.id)
        if min(ys.min(), xs.min()) > 0 and max(ys.max(), xs.max()) < 384:
            areas.append(len(ys))
    assert 256 <= min(areas) <= max(areas) <= 1.02 * 4096
    quarters = np.quantile(np.log2(areas), [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quarters, [9, 10, 11], atol=0.45)


def test_a_ring_shows_what_lies_in_its_hole() -> None:
    source = Shapes(size_hw=SMALL, instances=(1, 1), area_px=(400, 900))
    seen = 0
    for i in range(60):
        sample = source[i]
        (region,) = things(sample, source)
        ys, xs = np.nonzero(sample.truth.ids == region.id)
        inside = ys.min() > 0 and xs.min() > 0 and ys.max() < 128 and xs.max() < 160
        if region.class_id == RING and inside:
            seen += 1
            assert sample.truth.ids[int(ys.mean()), int(xs.mean())] != region.id
    assert seen > 3


def test_every_class_turns_up() -> None:
    source = Shapes(size_hw=SMALL)
    classes = {r.class_id for i in range(30) for r in source[i].truth.regions}
    assert classes == set(range(len(source.labels)))


def test_the_name_is_known_without_drawing() -> None:
    source: Source = Shapes("val", size_hw=SMALL)
    assert source.name(3) == source[3].name == "shapes-val-000003"


def test_indices_end_with_the_last_sample() -> None:
    source = Shapes(count=3, size_hw=SMALL)
    assert len(source) == 3
    assert source[2].name.endswith("2")
    for index in (-1, 3):
        with pytest.raises(IndexError, match="among 3"):
            source[index]


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(BadInput, match="no split 'training': use one of train, val, test"):
        Shapes("training")


@pytest.mark.parametrize(
    ("area_px", "instances", "words"),
    [
        ((4, 400), (1, 5), "16 or more"),
        ((400, 300), (1, 5), "give the least"),
        ((64, 99), (5, 1), "give the fewest"),
        ((6000, 9000), (1, 5), "too large for images of 129x161"),
    ],
)
def test_numbers_without_sense_are_refused(
    area_px: tuple[int, int], instances: tuple[int, int], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        Shapes(size_hw=SMALL, area_px=area_px, instances=instances)


def test_things_are_never_drawn_larger_than_a_quarter_of_the_image() -> None:
    source = Shapes(size_hw=(65, 65), instances=(1, 1))
    assert max(max(things(source[i], source).values()) for i in range(40)) <= 1.05 * 65 * 65 / 4
