"""The kernels answer what the plain reference answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import plain
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.data.shapes import Shapes
from atrous.instances import keypoints as kp
from atrous.instances.keypoints import nearest, stages
from atrous.types import FloatMap, Labelled, Region

Plan = tuple[int, int, tuple[int, int], float, kp.KeypointNumbers]
Case = tuple[kp.Encoded, np.ndarray, int, kp.KeypointNumbers]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Seed, stride, size, noise and numbers of a case: little to print if it fails."""
    numbers = kp.KeypointNumbers(
        radius_px=draw(st.sampled_from([6.0, 13.0])),
        refine_steps=draw(st.integers(0, 2)),
        refine_long_self=draw(st.sampled_from(["none", "center", "all"])),
        least_heat=draw(st.sampled_from([0.0, 0.01, 0.3])),
        vote_weights=draw(st.sampled_from([(0.5, 0.5), (1.0, 0.0), (0.3, 0.7)])),
        peaks=draw(st.sampled_from([3, 200])),
        graph=draw(st.sampled_from(["star", "rectangle"])),
    )
    size_hw = draw(st.tuples(st.integers(64, 97), st.integers(64, 97)))
    stride, noise_px = draw(st.sampled_from([1, 2, 4])), draw(st.floats(0.1, 3))
    return draw(st.integers(0, 1000)), stride, size_hw, noise_px, numbers


def case_of(plan: Plan) -> Case:
    """Maps of stride 4 of a drawn scene, disturbed; cells of things; stride; numbers."""
    seed, stride, size_hw, noise_px, numbers = plan
    source = Shapes(size_hw=size_hw, instances=(1, 6), area_px=(64, 900), seed=seed, count=1)
    truth, is_thing = source[0].truth, source.labels.is_thing
    maps, _, _ = kp.encode(truth, is_thing, stride=4, numbers=numbers)
    rows, columns = ((n - 1) // 4 * 4 + 1 - seed % 4 for n in size_hw)
    grid = source.labels.semantic(truth)[:rows:stride, :columns:stride]
    return disturbed(maps, seed, noise_px), is_thing[grid], stride, numbers


def disturbed(maps: kp.Encoded, seed: int, noise_px: float) -> kp.Encoded:
    """Maps as a network might answer them: nothing is exact, and nothing ties."""
    random = np.random.default_rng(seed)

    def offsets(values: FloatMap) -> FloatMap:
        return (values + random.normal(0, noise_px, values.shape)).astype(np.float32)

    heat = np.clip(maps.heatmap * 0.8 + random.uniform(0, 0.1, maps.heatmap.shape), 0, 1)
    return kp.Encoded(
        heat.astype(np.float32), offsets(maps.short), offsets(maps.middle), offsets(maps.long)
    )


def agree(case: Case) -> None:
    maps, things, stride, numbers = case
    scene = stages.prepare(maps, things, stride=stride, map_stride=4, numbers=numbers)
    found, index = kp.decode(maps, things, stride=stride, map_stride=4, numbers=numbers)
    truth, everywhere = plain.decode(maps, things, stride=stride, map_stride=4, numbers=numbers)
    assert len(found.scores) == len(truth.scores)
    np.testing.assert_allclose(found.points, truth.points, atol=1e-3)
    np.testing.assert_allclose(found.scores, truth.scores, atol=1e-5)
    assert (index[~things] == -1).all()
    np.testing.assert_array_equal(index[things], everywhere[things])
    cells = np.flatnonzero(~things)
    np.testing.assert_array_equal(
        stages.assign_cells(scene, cells, found), everywhere.reshape(-1)[cells]
    )


@settings(max_examples=40, deadline=None)
@given(plans())
def test_kernels_find_the_keypoints_instances_and_cells_of_the_plain_reference(plan: Plan) -> None:
    agree(case_of(plan))


@settings(max_examples=15, deadline=None)
@given(plans(), st.integers(0, 99), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_what_is_no_number_is_treated_as_the_reference_does(
    plan: Plan, seed: int, value: float
) -> None:
    maps, things, stride, numbers = case_of(plan)
    random, holes = np.random.default_rng(seed), []
    for values in (maps.heatmap, maps.short, maps.middle, maps.long):
        hole = values.copy()
        hole[random.random(values.shape) < 0.01] = value
        holes.append(hole)
    agree((kp.Encoded(*holes), things, stride, numbers))


def small_scene() -> Case:
    numbers = kp.KeypointNumbers(radius_px=8)
    source = Shapes(size_hw=(65, 65), instances=(3, 3), area_px=(64, 400), seed=3, count=1)
    maps, _, _ = kp.encode(source[0].truth, source.labels.is_thing, stride=4, numbers=numbers)
    things = source.labels.is_thing[source.labels.semantic(source[0].truth)]
    return disturbed(maps, 0, 0.3), things, 1, numbers


def test_no_nan_of_the_maps_comes_into_the_answer() -> None:
    maps, things, _, numbers = small_scene()
    holes = [v.copy() for v in (maps.heatmap, maps.short, maps.middle, maps.long)]
    for hole in holes:
        hole[..., ::5, ::3] = np.nan
    found, index = kp.decode(kp.Encoded(*holes), things, stride=1, map_stride=4, numbers=numbers)
    assert len(found.scores)
    assert np.isfinite(found.points).all()
    assert np.isfinite(found.scores).all()
    assert index.max() < len(found.scores)


@pytest.mark.parametrize("name", ["heatmap", "short", "all"])
def test_maps_that_say_nothing_give_no_instance(name: str) -> None:
    maps, things, _, numbers = small_scene()
    names = ("heatmap", "short", "middle", "long") if name == "all" else (name,)
    nothing = replace(maps, **{n: np.full_like(getattr(maps, n), np.nan) for n in names})
    found, index = kp.decode(nothing, things, stride=1, map_stride=4, numbers=numbers)
    assert len(found.scores) == 0
    assert (index == -1).all()


@pytest.mark.parametrize("stride", [1, 4])
def test_a_single_cell_is_decoded(stride: int) -> None:
    numbers = kp.KeypointNumbers()
    heat, offsets = np.ones((5, 1, 1), np.float32), np.ones((8, 2, 1, 1), np.float32)
    maps, cell = kp.Encoded(heat, offsets[:5], offsets, offsets[:5]), np.ones((1, 1), bool)
    found, index = kp.decode(maps, cell, stride=stride, map_stride=4, numbers=numbers)
    assert len(found.scores) == 0
    assert index.tolist() == [[-1]]


def test_a_map_that_does_not_reach_over_all_cells_is_refused() -> None:
    maps, _, _, numbers = small_scene()
    with pytest.raises(ValueError, match=r"maps of \(17, 17\) cells of stride 4 do not reach"):
        kp.decode(maps, np.ones((66, 65), bool), stride=1, map_stride=4, numbers=numbers)
    with pytest.raises(ValueError, match="no grid of stride 3 inside"):
        kp.decode(maps, np.ones((9, 9), bool), stride=3, map_stride=4, numbers=numbers)


def test_five_thousand_instances_are_all_found() -> None:
    numbers = kp.KeypointNumbers(radius_px=3, instances=5000, peaks=5000, proximity_px=1)
    side = np.arange(72) * 4
    corners = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)[:5000]
    points = corners[:, None] + np.array([(0, 0), (0, 2), (2, 0), (2, 2)])
    maps, things = drawn(points.astype(np.float32), (292, 292), numbers)
    found, index = kp.decode(maps, things, stride=1, numbers=numbers)
    assert len(found.scores) == 5000
    assert len(np.unique(index[things])) == 5000


def drawn(
    points: np.ndarray, size_hw: tuple[int, int], numbers: kp.KeypointNumbers
) -> tuple[kp.Encoded, np.ndarray]:
    """Maps of squares of 3x3 pixels with keypoints at their corners."""
    ids = np.zeros(size_hw, dtype=np.int32)
    for n, box in enumerate(points[:, 0].astype(int)):
        ids[box[0] : box[0] + 3, box[1] : box[1] + 3] = n + 1
    regions = tuple(Region(n + 1, 0) for n in range(len(points)))
    truth = Labelled(ids, regions)
    maps, things, _ = kp.encode(truth, np.array([True]), stride=1, numbers=numbers)
    return maps, things


@given(st.integers(1, 60), st.integers(0, 10_000), st.sampled_from([0.0, 1.0, 30.0]))
@settings(max_examples=40, deadline=None)
def test_the_search_finds_the_nearest_of_all_and_the_first_of_equals(
    count: int, seed: int, grid: float
) -> None:
    random = np.random.default_rng(seed)
    points = random.uniform(0, 90, (count, 5, 2))
    goals = random.uniform(0, 90, (8, 10)).astype(np.float32)
    if grid:  # many are equal
        points = np.round(points / grid) * grid
        goals = (np.round(goals / grid) * grid).astype(np.float32)
    among = nearest.rivals(points, unit=1.0)
    squares = ((goals[:, None] - points.reshape(1, count, 10)) ** 2).sum(axis=2)
    for goal, row in zip(goals, squares, strict=True):
        best, least = nearest.nearest(among, goal, -1, -1, np.float32(np.inf))
        assert np.isclose(least, row.min(), rtol=1e-5)
        assert row[best] <= row.min() * (1 + 1e-6)
        assert not grid or best == row.argmin()
