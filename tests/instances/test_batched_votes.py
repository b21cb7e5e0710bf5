"""The parts of decoding in torch: votes, peaks, the greedy choice, and the assignment of cells."""

from __future__ import annotations

import numpy as np
import plain
import torch
from batched_scenes import on_devices
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from atrous.instances.batched import decoding, grouping
from atrous.instances.batched import votes as voting
from atrous.instances.batched.votes import Grids


@on_devices
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 40), share=st.floats(0, 0.4))
def test_rounds_settle_on_the_greedy_choice(
    device: torch.device, seed: int, size: int, share: float
) -> None:
    random = np.random.default_rng(seed)
    rivals = np.tril(random.random((2, size, size)) < share, -1)
    free = random.random((2, size)) < 0.9
    truth = np.zeros_like(free)
    for image, i in np.ndindex(2, size):
        truth[image, i] = free[image, i] and not (rivals[image, i] & truth[image]).any()
    given = (torch.from_numpy(x).to(device) for x in (rivals, free))
    kept, settled = (x.cpu() for x in grouping.settle(*given))
    assert all(np.array_equal(kept[i], truth[i]) for i in (0, 1) if settled[i])
    assert settled.all() or size > grouping.ROUNDS


def test_a_chain_longer_than_the_rounds_is_told_for_its_image_alone() -> None:
    size = grouping.ROUNDS + 2
    chain = torch.eye(size, dtype=torch.bool).roll(1, 0).tril(-1)  # each has the one before it
    rivals = torch.stack([chain, torch.zeros_like(chain)])
    kept, settled = grouping.settle(rivals, torch.ones(2, size, dtype=torch.bool))
    assert settled.tolist() == [False, True]
    assert kept[1].all()


def test_sums_of_votes_do_not_depend_on_the_order_of_the_cells() -> None:
    random = np.random.default_rng(0)
    weight = torch.from_numpy(random.random((1, 64, 64), dtype=np.float32))
    places = random.uniform(8, 12, (2, 1, 64, 64)).astype(np.float32)
    at = torch.from_numpy(places[0]), torch.from_numpy(places[1])
    grids, rows = Grids((64, 64), 1, 1), slice(0, 64)
    votes, turned = (torch.zeros(1, 64, 64, dtype=torch.int64) for _ in range(2))
    voting.cast(votes, weight, at, rows, grids=grids)
    flipped = at[0].flip(2), at[1].flip(2)
    voting.cast(turned, weight.flip(2), flipped, rows, grids=grids)
    assert torch.equal(votes, turned)
    exact = np.zeros((64, 64))
    for y, x, w in zip(*(v.double().numpy().ravel() for v in (*at, weight)), strict=True):
        i, j = int(y), int(x)
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = abs(1 - down - (y - i)) * abs(1 - right - (x - j))
            exact[i + down, j + right] += share * w
    np.testing.assert_allclose(votes[0] / voting.UNIT, exact, rtol=1e-7, atol=1e-9)


@on_devices
@settings(max_examples=20, deadline=None)
@given(
    heights=arrays(np.float32, (6, 7), elements=st.integers(0, 3)),
    most=st.sampled_from([1, 5, 50]),
)
def test_peaks_of_one_height_come_row_by_row(
    device: torch.device, heights: NDArray[np.float32], most: int
) -> None:
    votes = torch.from_numpy(heights)[None, None].to(device)
    cells, real = voting.peaks(votes, threshold=0.5, most=most)
    truth = plain.peaks(heights, threshold=0.5, most=most)
    found = cells[0, 0].cpu()[real[0, 0].cpu()]
    np.testing.assert_array_equal(found, truth @ np.array([7, 1]))


@on_devices
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(0, 9))
def test_of_equally_near_instances_the_first_has_the_cell(
    device: torch.device, seed: int, count: int
) -> None:
    random = np.random.default_rng(seed)
    long = random.integers(-2, 3, (5, 2, 6, 7)).astype(np.float32)
    points = random.integers(0, 4, (9, 5, 2)).astype(np.float64)
    goals = torch.from_numpy(long + plain.cells((6, 7)))[None].to(device)
    given = torch.from_numpy(points)[None].to(device), torch.tensor([count], device=device)
    index = decoding.assign(goals, *given)[0].cpu()
    np.testing.assert_array_equal(index, plain.assign(long, points[:count], stride=1))


@on_devices
def test_five_thousand_instances_are_assigned_exactly(device: torch.device) -> None:
    random = np.random.default_rng(0)
    long = random.normal(0, 300, (5, 2, 6, 7)).astype(np.float32)
    points = random.uniform(0, 2000, (5000, 5, 2))
    goals = torch.from_numpy(long + plain.cells((6, 7)))[None].to(device)
    given = torch.from_numpy(points)[None].to(device), torch.tensor([5000], device=device)
    index = decoding.assign(goals, *given)[0].cpu()
    np.testing.assert_array_equal(index, plain.assign(long, points, stride=1))
