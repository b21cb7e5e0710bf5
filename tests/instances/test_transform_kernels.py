"""FCRN's kernels against their plain twins: the same instances, of the same pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plain_transform as plain
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from atrous.instances.boxes import BoxNumbers, lines, ranking, transform
from atrous.instances.boxes.sampling import Sampled, every_pixel
from atrous.nn.resample import sample_grid
from atrous.types import FloatMap

HOLES = (np.nan, np.inf, -np.inf, 1e30)


@dataclass(frozen=True, slots=True)
class Case:
    """Maps of a network that knows nothing, and how to read them."""

    scores: Sampled
    prediction: Sampled
    is_thing: NDArray[np.bool_]
    stride: int
    softmax: bool


def drawn(random: np.random.Generator, *, coarse: bool, holes: bool = False) -> Case:
    """Maps of a few cells; half of the time whole numbers, so that scores are often equal."""
    classes, stride = int(random.integers(1, 6)), int(random.choice([4, 8]) if coarse else 1)
    is_thing = random.random(classes) < 0.6
    cells = random.integers(1, 6, 2) if coarse else random.integers(1, 17, 2)
    size_hw = tuple(random.integers(1, 30, 2).tolist()) if coarse else tuple(cells.tolist())
    maps = []
    for count, scale in ((classes, 2.0), (4 * int(is_thing.sum()), 1.0)):
        values = random.normal(0, scale, (count, *cells)).astype(np.float32)
        values = np.round(values) if random.random() < 0.5 else values
        if holes:
            values[random.random(values.shape) < 0.05] = random.choice(HOLES)
        maps.append(every_pixel(values, stride=stride, size_hw=size_hw))
    return Case(maps[0], maps[1], is_thing, stride, bool(random.random() < 0.7))


def numbers(random: np.random.Generator) -> BoxNumbers:
    """Any, but boxes of the size of the maps."""

    def one_of(*choices: float) -> float:
        return float(random.choice(choices))

    return BoxNumbers(
        mean=(0, 0, 8, 8),
        std=(3, 3, 4, 4),
        top=int(one_of(1, 2, 3)),
        box_nms_iou=one_of(0.01, 0.1, 0.3, 0.5, 0.7, 0.95, 1),
        region_nms_iou=one_of(0, 0.3, 0.7),
        seed_stride=int(one_of(1, 2, 8)),
        seeds=int(one_of(1, 3, 5000)),
        least_px=int(one_of(1, 3, 10)),
        least_score=one_of(0, 0.2, 0.5),
        instances=int(one_of(3, 100)),
    )


def agree(case: Case, wanted: BoxNumbers) -> None:
    """Both ways give the same instances, to the last bit of their scores, and the same classes."""
    found = transform.locate(
        case.scores,
        case.prediction,
        is_thing=case.is_thing,
        stride=case.stride,
        numbers=wanted,
        softmax=case.softmax,
    )
    expected, classes = plain.detect(
        case.scores,
        case.prediction,
        is_thing=case.is_thing,
        stride=case.stride,
        numbers=wanted,
        soft=case.softmax,
    )
    seen = [(x.class_id, x.score, tuple(x.cells.tolist()), x.box) for x in found.instances]
    assert seen == expected
    assert np.array_equal(found.classes, classes.astype(np.uint8))


@pytest.mark.parametrize("coarse", [True, False])
@given(st.integers(0, 2**32))
def test_the_instances_are_those_of_the_plain_transform(coarse: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    agree(drawn(random, coarse=coarse), numbers(random))


@pytest.mark.parametrize("coarse", [True, False])
@given(st.integers(0, 2**32))
def test_what_is_not_finite_takes_no_part(coarse: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    agree(drawn(random, coarse=coarse, holes=True), numbers(random))


def test_positions_may_be_uneven_and_lie_outside_of_the_map() -> None:
    random = np.random.default_rng(0)
    logits, prediction = (random.normal(0, 1, (n, 3, 4)).astype(np.float32) for n in (3, 8))
    rows, columns = np.linspace(-1, 3.5, 23) ** 3 / 12, np.linspace(-2, 5, 31)
    maps = [Sampled(m, rows, columns) for m in (logits, prediction)]
    case = Case(maps[0], maps[1], np.array([False, True, True]), 8, True)
    agree(case, BoxNumbers(mean=(0, 0, 8, 8), std=(3, 3, 4, 4)))


def test_both_ways_of_ranking_give_the_same_where_things_may_be() -> None:
    """A map is looked at cell by cell where it is coarse, else row by row."""
    logits = np.random.default_rng(0).normal(0, 5, (7, 4, 4)).astype(np.float32)
    logits[:2, :, :2] += 30
    is_thing = np.arange(7) > 3
    coarse = ranking.rank(
        every_pixel(logits, stride=8, size_hw=(25, 25)), is_thing=is_thing, top=2, softmax=True
    )
    whole = plain.upsampled(every_pixel(logits, stride=8, size_hw=(25, 25)))
    fine = ranking.rank(
        every_pixel(whole, stride=1, size_hw=(25, 25)), is_thing=is_thing, top=2, softmax=True
    )
    assert np.array_equal(coarse.classes[0], fine.classes[0])
    told = coarse.classes[1] >= 0
    assert 0 < told.sum() < told.size
    assert np.array_equal(coarse.classes[1][told], fine.classes[1][told])
    for ranked, other in ((coarse, fine), (fine, coarse)):
        thing = is_thing[ranked.classes] & (ranked.classes >= 0)
        assert np.array_equal(ranked.probabilities[thing], other.probabilities[thing])


def test_the_exponential_is_that_of_mathematics() -> None:
    powers = np.linspace(-87, 0, 999, dtype=np.float32)
    found = np.array([lines.exponential(power) for power in powers])
    assert found[-1] == 1
    assert np.allclose(found, np.exp(powers.astype(np.float64)), rtol=1e-5)
    assert np.allclose(found[-12:], np.exp(powers[-12:].astype(np.float64)), rtol=2e-7)


def test_probabilities_are_the_softmax_of_upsampled_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (9, 4, 5)).astype(np.float32)
    scores = every_pixel(logits, stride=8, size_hw=(25, 33))
    found = ranking.rank(scores, is_thing=np.ones(9, np.bool_), top=3, softmax=True)
    at = (torch.arange(n) / 8 for n in (25, 33))
    best, which = sample_grid(torch.from_numpy(logits), *at).softmax(dim=0).topk(3, dim=0)
    assert np.array_equal(found.classes, which.numpy())
    assert np.allclose(found.probabilities, best.numpy(), atol=1e-6)


@given(st.integers(0, 2**32), st.floats(0, 0.5))
def test_uncovered_pixels_go_to_the_very_nearest(seed: int, covered: float) -> None:
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 14, 2).tolist())
    semantic = random.integers(0, 3, shape).astype(np.uint8)
    index = np.where(random.random(shape) < covered, random.integers(0, 9, shape), -1)
    index = index.astype(np.int32)
    assert np.array_equal(transform.spread(index, semantic), plain.spread(index, semantic))


def maps_of(count: int, size_hw: tuple[int, int]) -> FloatMap:
    return np.zeros((count, *size_hw), dtype=np.float32)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (0, 0)])
@pytest.mark.parametrize("things", [0, 2])
def test_the_smallest_images_and_those_without_things_give_a_result(
    size_hw: tuple[int, int], things: int
) -> None:
    maps = (every_pixel(maps_of(n, (1, 1)), stride=8, size_hw=size_hw) for n in (3, 4 * things))
    is_thing = np.arange(3) >= 3 - things
    found = transform.locate(
        *maps, is_thing=is_thing, stride=8, numbers=BoxNumbers(least_px=1), softmax=True
    )
    assert found.classes.shape == size_hw
    assert not found.classes.any()
    assert bool(found.instances) == bool(things and found.classes.size)
    index = transform.flatten(found.instances, found.classes)
    assert transform.spread(index, found.classes).shape == size_hw


def test_maps_of_nothing_but_nan_are_void_without_an_instance() -> None:
    maps = [every_pixel(maps_of(n, (3, 3)) + np.nan, stride=8, size_hw=(17, 17)) for n in (3, 8)]
    is_thing = np.array([False, True, True])
    options = {"is_thing": is_thing, "stride": 8, "numbers": BoxNumbers(), "softmax": True}
    found = transform.locate(*maps, **options)  # type: ignore[arg-type]
    assert found.instances == ()
    assert (found.classes == 255).all()


def test_five_thousand_instances_are_told_apart() -> None:
    """Each cell of 4x4 pixels is a thing of its own."""
    height, width = 200, 400
    y, x = (at % 4 for at in np.indices((height, width)))
    sides = np.full((height, width), 4)
    prediction = np.stack([1.5 - y, 1.5 - x, sides, sides]).astype(np.float32)
    random = np.random.default_rng(0)
    probabilities = np.stack([np.full((height, width), 0.1), random.uniform(0.5, 1, y.shape)])
    found = transform.detect(
        probabilities.astype(np.float32),
        prediction,
        is_thing=np.array([False, True]),
        stride=1,
        numbers=BoxNumbers((0, 0, 0, 0), (1, 1, 1, 1), top=1, seeds=5000, instances=5000),
    )
    assert len(found) == 5000
    assert {len(x.cells) for x in found} == {16}
    index = transform.flatten(found, np.ones((height, width), np.uint8))
    assert np.array_equal(np.bincount(index.ravel()), np.full(5000, 16))


@pytest.mark.parametrize("at", [np.nan, np.inf])
def test_positions_that_are_not_finite_are_refused(at: float) -> None:
    with pytest.raises(ValueError, match="not all finite"):
        Sampled(maps_of(1, (2, 2)), np.array([0.0, at]), np.array([0.0]))


def test_a_map_without_a_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="one cell or more"):
        every_pixel(maps_of(3, (0, 4)), stride=8, size_hw=(3, 3))
