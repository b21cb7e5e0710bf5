from __future__ import annotations

import pytest
import torch

from atrous.nn.losses import bootstrapped_cross_entropy, masked_l1, sigmoid_cross_entropy

torch_seed = torch.Generator().manual_seed(0)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch_seed)


def test_mining_keeps_the_hardest_share_of_each_image_by_unweighted_loss() -> None:
    logits, target = random(2, 3, 4, 5), torch.randint(3, (2, 4, 5), generator=torch_seed)
    weight = random(2, 4, 5).abs() + 0.1
    total, count = bootstrapped_cross_entropy(logits, target, weight=weight, ignore=255, keep=0.15)
    expected = 0.0
    for b in range(2):
        rows = []
        for y in range(4):
            for x in range(5):
                p = logits[b, :, y, x].softmax(0)[target[b, y, x]]
                rows.append((float(-p.log()), float(weight[b, y, x])))
        expected += sum(loss * w for loss, w in sorted(rows, reverse=True)[:3])
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert float(count) == 6


def test_ignored_pixels_have_no_loss_and_no_gradient() -> None:
    logits = random(1, 3, 2, 2).requires_grad_()
    target = torch.tensor([[[255, 255], [255, 1]]])
    total, count = bootstrapped_cross_entropy(
        logits, target, weight=torch.ones(1, 2, 2), ignore=255, keep=1
    )
    total.backward()
    assert float(count) == 1
    assert logits.grad is not None
    assert not logits.grad[0, :, 0].any()
    assert logits.grad[0, :, 1, 1].any()


def test_sigmoid_cross_entropy_counts_the_valid_cells_of_all_channels() -> None:
    logits, target = (
        random(1, 2, 2, 2),
        torch.tensor([[[[1, 0], [0, 1]]] * 2]).bool().view(1, 2, 2, 2),
    )
    valid = torch.tensor([[[[True, False], [True, True]]]])
    total, count = sigmoid_cross_entropy(logits, target, valid)
    p = logits.sigmoid()
    plain = -torch.where(target, p.log(), (1 - p).log())
    assert float(count) == 6
    assert float(total) == pytest.approx(float(plain[valid.expand_as(plain)].sum()), rel=1e-5)


def test_masked_l1_counts_two_scalars_a_cell_and_has_no_gradient_outside() -> None:
    prediction = random(1, 4, 2, 2).requires_grad_()
    target, mask = random(1, 4, 2, 2), torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    mask[0, 1, 0, 1] = True
    total, count = masked_l1(prediction, target, mask)
    total.backward()
    error = (prediction - target)[0, 2:, 0, 1].abs().sum().detach()
    assert float(count) == 2
    assert float(total.detach()) == pytest.approx(float(error))
    assert prediction.grad is not None
    assert int(prediction.grad.count_nonzero()) == 2
