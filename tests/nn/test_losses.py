from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atrous.nn.losses import (
    SumCount,
    bootstrapped_cross_entropy,
    box_overlap,
    box_smooth_l1,
    cross_entropy,
    divergence,
    hardest_cross_entropy,
    masked_l1,
    sigmoid_cross_entropy,
    thresholded_cross_entropy,
)

IGNORE = 255


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def classes(seed: int, *shape: int) -> torch.Tensor:
    """Class ids 0 to 2, every fourth pixel or so ignored."""
    draw = torch.randint(4, shape, generator=torch.Generator().manual_seed(seed))
    return torch.where(draw == 3, IGNORE, draw)


def plain_mining(
    logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, keep: int
) -> float:
    """Weighted loss of the `keep` hardest pixels of one image, pixel by pixel."""
    rows = []
    for y in range(target.shape[0]):
        for x in range(target.shape[1]):
            class_id, loss = int(target[y, x]), 0.0
            if class_id != IGNORE:
                powers = [math.exp(v) for v in logits[:, y, x].tolist()]
                loss = -math.log(powers[class_id] / sum(powers))
            rows.append((loss, float(weight[y, x])))
    return sum(loss * w for loss, w in sorted(rows, reverse=True)[:keep])


def mined(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> SumCount:
    return bootstrapped_cross_entropy(logits, target, weight=weight, ignore=IGNORE, keep=0.15)


@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 7))
def test_mining_keeps_the_hardest_share_of_each_image_by_unweighted_loss(
    seed: int, h: int, w: int
) -> None:
    logits, target = noise(seed, 2, 3, h, w), classes(seed, 2, h, w)
    weight = noise(seed + 1, 2, h, w).abs() + 0.1
    total, count = mined(logits, target, weight)
    share = max(1, int(0.15 * h * w))
    expected = sum(
        plain_mining(a, b, c, share) for a, b, c in zip(logits, target, weight, strict=True)
    )
    assert float(total) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert float(count) == 2 * share


def test_mining_passes_gradients_to_exactly_the_share_that_it_keeps() -> None:
    logits = noise(0, 2, 3, 8, 10).requires_grad_()
    target = torch.zeros(2, 8, 10, dtype=torch.long)
    total, _ = mined(logits, target, torch.ones(2, 8, 10))
    total.backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum(dim=1).flatten(1).count_nonzero(dim=1).tolist() == [12, 12]


def test_weights_do_not_change_which_pixels_are_hard() -> None:
    logits = torch.zeros(1, 2, 1, 10)
    logits[0, 0, 0] = torch.arange(10.0)  # class 0 is surer and surer: pixel 0 is the hardest
    weight = torch.ones(1, 1, 10)
    weight[..., 9] = 1000
    total, _ = mined(logits, torch.zeros(1, 1, 10, dtype=torch.long), weight)
    assert float(total) == pytest.approx(math.log(2))


def test_without_mining_the_mean_goes_over_labelled_pixels() -> None:
    logits, target = noise(1, 2, 3, 4, 5), classes(1, 2, 4, 5)
    weight = noise(2, 2, 4, 5).abs()
    total, count = bootstrapped_cross_entropy(logits, target, weight=weight, ignore=IGNORE, keep=1)
    expected = sum(
        plain_mining(a, b, c, 20) for a, b, c in zip(logits, target, weight, strict=True)
    )
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert float(count) == int((target != IGNORE).sum())


@pytest.mark.parametrize("keep", [0.15, 0.5, 1])
def test_ignored_pixels_have_no_loss_and_no_gradient(keep: float) -> None:
    logits = noise(3, 1, 3, 2, 4).requires_grad_()
    target = torch.full((1, 2, 4), IGNORE)
    target[0, 1, 1] = 1
    total, _ = bootstrapped_cross_entropy(
        logits, target, weight=torch.ones(1, 2, 4), ignore=IGNORE, keep=keep
    )
    total.backward()
    assert logits.grad is not None
    places = logits.grad.abs().sum(dim=1).nonzero().tolist()
    assert places == [[0, 1, 1]]


@pytest.mark.parametrize("keep", [0.15, 1])
def test_an_image_without_a_label_has_no_loss(keep: float) -> None:
    total, count = bootstrapped_cross_entropy(
        noise(4, 1, 3, 4, 5),
        torch.full((1, 4, 5), IGNORE),
        weight=torch.ones(1, 4, 5),
        ignore=IGNORE,
        keep=keep,
    )
    assert float(total) == 0
    assert float(count) == (3 if keep < 1 else 0)


def test_sigmoid_cross_entropy_is_summed_over_the_valid_cells_of_all_channels() -> None:
    logits, target = noise(5, 2, 3, 4, 5), noise(6, 2, 3, 4, 5) > 0
    valid = noise(7, 2, 1, 4, 5) > 0
    total, count = sigmoid_cross_entropy(logits, target, valid)
    expected, cells = 0.0, 0
    for b, k, y, x in torch.cartesian_prod(*map(torch.arange, logits.shape)).tolist():
        if valid[b, 0, y, x]:
            p = 1 / (1 + math.exp(-float(logits[b, k, y, x])))
            expected -= math.log(p if target[b, k, y, x] else 1 - p)
            cells += 1
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert float(count) == cells


def test_sigmoid_cross_entropy_is_finite_where_the_network_is_very_wrong() -> None:
    total, _ = sigmoid_cross_entropy(
        torch.tensor([[[[1000.0, -1000.0]]]]),
        torch.tensor([[[[False, True]]]]),
        torch.ones(1, 1, 1, 2, dtype=torch.bool),
    )
    assert float(total) == pytest.approx(2000)


def test_sigmoid_cross_entropy_has_no_gradient_where_nothing_is_valid() -> None:
    logits = noise(8, 1, 2, 2, 2).requires_grad_()
    valid = torch.tensor([[[[True, False], [True, True]]]])
    total, _ = sigmoid_cross_entropy(logits, torch.ones(1, 2, 2, 2, dtype=torch.bool), valid)
    total.backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad != 0, valid.expand(1, 2, 2, 2))


def test_masked_l1_is_summed_over_both_offsets_of_each_supervised_cell() -> None:
    prediction, target = noise(9, 2, 6, 3, 4), noise(10, 2, 6, 3, 4)
    mask = noise(11, 2, 3, 3, 4) > 0.5
    total, count = masked_l1(prediction, target, mask)
    expected, scalars = 0.0, 0
    for b, k, y, x in mask.nonzero().tolist():
        for axis in (0, 1):
            channel = 2 * k + axis
            expected += abs(float(prediction[b, channel, y, x] - target[b, channel, y, x]))
            scalars += 1
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert float(count) == scalars


def test_masked_l1_and_its_gradient_are_zero_outside_of_the_mask() -> None:
    prediction = noise(12, 1, 4, 2, 2).requires_grad_()
    mask = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    mask[0, 1, 0, 1] = True
    total, _ = masked_l1(prediction, prediction.detach() + 3, mask)
    total.backward()
    assert float(total.detach()) == pytest.approx(6)
    assert prediction.grad is not None
    assert prediction.grad.nonzero().tolist() == [[0, 2, 0, 1], [0, 3, 0, 1]]


def test_an_empty_mask_gives_no_loss_of_nothing() -> None:
    total, count = masked_l1(
        noise(13, 1, 2, 2, 2), noise(14, 1, 2, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    )
    assert (float(total), float(count)) == (0, 0)


def semantic_part(keep: float) -> Callable[[slice], SumCount]:
    logits, target, weight = noise(15, 4, 3, 4, 5), classes(15, 4, 4, 5), noise(16, 4, 4, 5).abs()
    return lambda part: bootstrapped_cross_entropy(
        logits[part], target[part], weight=weight[part], ignore=IGNORE, keep=keep
    )


def heatmap_part(part: slice) -> SumCount:
    return sigmoid_cross_entropy(
        noise(17, 4, 2, 3, 3)[part],
        noise(18, 4, 2, 3, 3)[part] > 0,
        noise(19, 4, 1, 3, 3)[part] > 0,
    )


def offset_part(part: slice) -> SumCount:
    return masked_l1(
        noise(20, 4, 4, 3, 3)[part], noise(21, 4, 4, 3, 3)[part], noise(22, 4, 2, 3, 3)[part] > 0
    )


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("loss", [semantic_part(0.15), semantic_part(1), heatmap_part, offset_part])
def test_parts_of_a_batch_add_up_to_the_whole(loss: Callable[[slice], SumCount], cut: int) -> None:
    whole = loss(slice(0, 4))
    parts = [loss(slice(0, cut)), loss(slice(cut, 4))]
    for ours, theirs in zip(whole, zip(*parts, strict=True), strict=True):
        assert float(ours) == pytest.approx(sum(map(float, theirs)), rel=1e-6)


@given(st.integers(0, 10_000))
def test_the_divergence_is_that_of_the_softmax_and_ignores_a_common_shift(seed: int) -> None:
    ours, theirs = noise(seed, 2, 4, 3, 5), noise(seed + 1, 2, 4, 3, 5)
    total, count = divergence(ours, theirs + 7)
    p, q = theirs.double().softmax(dim=1), ours.double().softmax(dim=1)
    assert float(count) == 2 * 3 * 5
    assert float(total) == pytest.approx(float((p * (p / q).log()).sum()), rel=1e-3, abs=1e-4)


def test_an_answer_does_not_diverge_from_itself() -> None:
    logits = noise(0, 1, 3, 2, 2)
    assert float(divergence(logits, logits)[0]) == 0


def sorted_losses(logits: torch.Tensor, target: torch.Tensor) -> list[float]:
    """Losses of the labelled pixels of one image, hardest first."""
    losses = torch.nn.functional.cross_entropy(
        logits[None], target[None], ignore_index=IGNORE, reduction="none"
    )[0]
    return sorted(losses[target != IGNORE].tolist(), reverse=True)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 6), st.integers(1, 40))
def test_the_hardest_labelled_pixels_of_each_image_are_kept(
    seed: int, h: int, w: int, most: int
) -> None:
    logits, target = noise(seed, 2, 3, h, w), classes(seed, 2, h, w)
    total, count = hardest_cross_entropy(logits, target, ignore=IGNORE, most=most)
    kept = [sorted_losses(a, b)[:most] for a, b in zip(logits, target, strict=True)]
    assert float(count) == sum(map(len, kept))
    assert float(total) == pytest.approx(sum(map(sum, kept)), rel=1e-5, abs=1e-6)


@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([0.1, 0.4, 0.6, 0.999]))
def test_the_threshold_keeps_unsure_pixels_and_no_fewer_than_asked(
    seed: int, least: int, probability: float
) -> None:
    logits, target = noise(seed, 1, 3, 5, 6), classes(seed, 1, 5, 6)
    total, count = thresholded_cross_entropy(
        logits, target, ignore=IGNORE, probability=probability, least=least
    )
    ordered = sorted_losses(logits[0], target[0])
    unsure = sum(loss >= -math.log(probability) for loss in ordered)
    kept = ordered[: max(unsure, min(least, len(ordered)))]
    assert float(count) == len(kept)
    assert float(total) == pytest.approx(sum(kept), rel=1e-5, abs=1e-6)


def test_an_unlabelled_crop_has_no_loss_but_a_gradient() -> None:
    logits = noise(0, 1, 3, 4, 4).requires_grad_()
    void = torch.full((1, 4, 4), IGNORE)
    for total, count in (
        cross_entropy(logits, void, ignore=IGNORE),
        hardest_cross_entropy(logits, void, ignore=IGNORE, most=5),
        thresholded_cross_entropy(logits, void, ignore=IGNORE, probability=0.6, least=5),
    ):
        assert total.item() == count.item() == 0
        total.backward()
    assert logits.grad is not None
    assert float(logits.grad.abs().sum()) == 0


def test_boxes_overlap_as_areas_say() -> None:
    def box(*values: float) -> torch.Tensor:
        return torch.tensor(values).reshape(1, 4, 1, 1)

    assert float(box_overlap(box(0, 0, 4, 4), box(0, 0, 4, 4))) == 1
    assert float(box_overlap(box(0, 0, 4, 4), box(0, 2, 4, 4))) == pytest.approx(8 / 24)
    assert float(box_overlap(box(0, 0, 4, 4), box(9, 0, 4, 4))) == 0


def test_box_losses_are_kept_where_boxes_overlap_least() -> None:
    prediction = torch.zeros(1, 4, 1, 4)
    target = torch.tensor([0.5, 2.0, 3.0, 4.0]).expand(1, 4, 1, 4)
    weight, overlap = torch.tensor([[[1.0, 2.0, 1.0, 0.0]]]), torch.tensor([[[0.9, 0.1, 0.2, 0.0]]])
    total, count = box_smooth_l1(prediction, target, weight=weight, overlap=overlap, most=2)
    each = 4 * torch.tensor([0.125, 1.5, 2.5, 3.5])
    assert float(count) == 2  # the last cell knows no box, the first overlaps most
    assert float(total) == pytest.approx(float(2 * each[1] + each[2]))
    whole, cells = box_smooth_l1(prediction, target, weight=weight, overlap=overlap, most=0)
    assert float(cells) == 3
    assert float(whole) == pytest.approx(float(each[0] + 2 * each[1] + each[2]))
