"""Decoding in torch does what the plain reference does, and never waits for the device."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from batched_scenes import (
    NO_SHRINKING,
    NUMBERS,
    NoWaiting,
    assert_same,
    decoded,
    no_cuda,
    on_devices,
    scene,
    stacked,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from atrous.instances import keypoints as kp
from atrous.instances.batched import decoding, grouping, votes
from atrous.instances.batched.decoding import Found
from atrous.tensors import mapped
from atrous.types import IdMap, Labelled, Region


@on_devices
@pytest.mark.parametrize("graph", ["star", "rectangle"])
@pytest.mark.parametrize(("map_stride", "stride"), [(1, 1), (4, 4), (4, 1)])
@settings(max_examples=2, deadline=None, phases=NO_SHRINKING)
@given(seed=st.integers(0, 2**31))
def test_a_batch_decodes_to_what_the_plain_reference_finds_in_each_image(
    device: torch.device, graph: str, map_stride: int, stride: int, seed: int
) -> None:
    numbers = replace(NUMBERS, graph=graph)
    whole = [scene(seed + i, numbers, map_stride=map_stride, things=2 + 6 * i) for i in (0, 1)]
    scenes = [(maps, is_thing[::stride, ::stride]) for maps, is_thing in whole]
    grid: dict[str, Any] = {"stride": stride, "map_stride": map_stride, "numbers": numbers}
    assert_same(decoded(scenes, device, **grid), scenes, **grid)


@on_devices
@settings(max_examples=8, deadline=None, phases=NO_SHRINKING)
@given(
    seed=st.integers(0, 2**31),
    changes=st.fixed_dictionaries(
        {
            "refine_steps": st.integers(0, 2),
            "refine_long_self": st.sampled_from(["none", "center", "all"]),
            "vote_weights": st.sampled_from([(0.5, 0.5), (1.0, 0.0), (0.2, 0.8)]),
            "peak_threshold": st.sampled_from([0.02, 0.1, 0.3]),
            "peaks": st.integers(1, 30),
            "proximity_px": st.sampled_from([0.0, 3.0, 30.0]),
            "nms_iou": st.sampled_from([0.0, 0.3, 1.0]),
            "instances": st.integers(0, 5),
            "least_heat": st.sampled_from([0.0, 0.01, 0.5]),
        }
    ),
)
def test_every_number_does_what_it_does_in_the_plain_reference(
    device: torch.device, seed: int, changes: dict[str, Any]
) -> None:
    numbers = replace(NUMBERS, **changes)
    grid: dict[str, Any] = {"stride": 4, "map_stride": 4, "numbers": numbers}
    maps, is_thing = scene(seed, numbers, map_stride=4)
    scenes = [(maps, is_thing[::4, ::4])]
    assert_same(decoded(scenes, device, **grid), scenes, **grid)


@on_devices
@pytest.mark.parametrize(("map_stride", "stride"), [(1, 1), (4, 1)])
@settings(max_examples=4, deadline=None, phases=NO_SHRINKING)
@given(seed=st.integers(0, 2**31), evil=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_maps_with_what_is_no_number_decode_as_in_the_plain_reference(
    device: torch.device, map_stride: int, stride: int, seed: int, evil: float
) -> None:
    maps, is_thing = scene(seed, NUMBERS, map_stride=map_stride)
    random = np.random.default_rng(seed)
    for values in (maps.heatmap, maps.short, maps.middle, maps.long):
        values[random.random(values.shape) < 0.03] = evil
    grid: dict[str, Any] = {"stride": stride, "map_stride": map_stride, "numbers": NUMBERS}
    scenes = [(maps, is_thing[::stride, ::stride])]
    assert_same(decoded(scenes, device, **grid), scenes, **grid)


@on_devices
@pytest.mark.parametrize("evil", [np.nan, np.inf])
def test_what_is_no_number_spoils_its_own_cells_alone(device: torch.device, evil: float) -> None:
    ids: IdMap = np.zeros((33, 65), dtype=np.int32)
    ids[8:24, 40:60] = 1
    maps, things, _ = kp.encode(
        Labelled(ids, (Region(1, 0),)), np.array([True]), stride=1, numbers=NUMBERS
    )
    grid: dict[str, Any] = {"stride": 1, "map_stride": 1, "numbers": NUMBERS}
    clean = decoded([(maps, things)], device, **grid)
    for values in (maps.heatmap, maps.short, maps.middle, maps.long):
        values[..., 4:8] = evil
    found = decoded([(maps, things)], device, **grid)
    assert torch.equal(found.points, clean.points)
    assert torch.equal(found.scores, clean.scores)
    assert (found.index[..., 4:8] == -1).all()
    assert torch.equal(found.index[..., 8:], clean.index[..., 8:])


@on_devices
@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (9, 1), (9, 9)])
@pytest.mark.parametrize("heat", [0.0, 0.9])
@pytest.mark.parametrize("is_thing", [False, True])
def test_small_and_empty_images_are_no_special_case(
    device: torch.device, size_hw: tuple[int, int], heat: float, is_thing: bool
) -> None:
    numbers = kp.KeypointNumbers(radius_px=1, decode_stride=1, peaks=6)
    maps = kp.Encoded(
        heatmap=np.full((5, *size_hw), heat, dtype=np.float32),
        short=np.zeros((5, 2, *size_hw), dtype=np.float32),
        middle=np.zeros((8, 2, *size_hw), dtype=np.float32),
        long=np.zeros((5, 2, *size_hw), dtype=np.float32),
    )
    grid: dict[str, Any] = {"stride": 1, "map_stride": 1, "numbers": numbers}
    scenes = [(maps, np.full(size_hw, is_thing))]
    found = decoded(scenes, device, **grid)
    assert_same(found, scenes, **grid)
    assert found.count.item() > 0 or (found.index == -1).all()


@pytest.mark.parametrize("map_stride", [1, 4])
def test_blocks_and_groups_of_images_change_no_bit(
    monkeypatch: pytest.MonkeyPatch, map_stride: int
) -> None:
    scenes = [scene(seed, NUMBERS, map_stride=map_stride) for seed in range(3)]
    grid: dict[str, Any] = {"stride": 1, "map_stride": map_stride, "numbers": NUMBERS}
    cpu = torch.device("cpu")
    whole = decoded(scenes, cpu, **grid)
    monkeypatch.setattr(decoding, "CELLS", 1)
    monkeypatch.setattr(votes, "BLOCK", 20_000)
    parts = decoded(scenes, cpu, **grid)
    for column in fields(Found):
        assert torch.equal(getattr(whole, column.name), getattr(parts, column.name))


@no_cuda
def test_on_cuda_two_runs_give_the_same_bits() -> None:
    scenes = [scene(seed, NUMBERS) for seed in range(2)]
    grid: dict[str, Any] = {"stride": 1, "map_stride": 1, "numbers": NUMBERS}
    first, second = (decoded(scenes, torch.device("cuda"), **grid) for _ in range(2))
    for column in fields(Found):
        assert torch.equal(getattr(first, column.name), getattr(second, column.name))


@no_cuda
def test_on_cuda_decoding_can_be_captured_as_a_graph() -> None:
    cuda = torch.device("cuda")
    (maps, is_thing), (others, _) = (scene(seed, NUMBERS) for seed in range(2))
    given, things = stacked([maps], cuda), torch.from_numpy(is_thing[None]).to(cuda)
    grid: dict[str, Any] = {"stride": 1, "map_stride": 1, "numbers": NUMBERS}
    decoding.decode(given, things, **grid)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = decoding.decode(given, things, **grid)
    for name in ("heatmap", "short", "middle", "long"):
        getattr(given, name).copy_(getattr(stacked([others], cuda), name))
    graph.replay()
    assert_same(mapped(found, Tensor.cpu), [(others, is_thing)], **grid)


@no_cuda
def test_on_cuda_nothing_waits_for_the_device() -> None:
    maps, is_thing = scene(0, NUMBERS)
    cuda = torch.device("cuda")
    given, things = stacked([maps], cuda), torch.from_numpy(is_thing[None]).to(cuda)
    grid: dict[str, Any] = {"stride": 1, "map_stride": 1, "numbers": NUMBERS}
    decoding.decode(given, things, **grid)
    torch.cuda.set_sync_debug_mode("error")
    try:
        decoding.decode(given, things, **grid)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_decoding_never_waits_for_the_device() -> None:
    """On the meta device there are no values: what asks for one fails, and so do mixed devices."""
    maps, is_thing = scene(0, NUMBERS)
    meta = torch.device("meta")
    given, things = stacked([maps] * 2, meta), torch.from_numpy(is_thing).expand(2, -1, -1).to(meta)
    grid: dict[str, Any] = {"stride": 1, "map_stride": 1, "numbers": NUMBERS}
    grouping.paths(NUMBERS.joined, meta)
    with NoWaiting():
        found = decoding.decode(given, things, **grid)
    assert found.index.shape == things.shape
    assert found.points.shape == (2, 100, 5, 2)


def test_the_mode_that_forbids_waiting_knows_a_wait_when_it_sees_one() -> None:
    values = torch.arange(3)
    for wait in (lambda: values.max().item(), values.nonzero, lambda: values[values > 1]):
        with pytest.raises(AssertionError), NoWaiting():
            wait()
