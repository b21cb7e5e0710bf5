from __future__ import annotations

import torch
from torch import nn

from atrous.nn.layers import ConvNorm
from atrous.nn.statistics import calibrate, fold, mean_of, unfold, variance_of


def two_blocks() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(ConvNorm(3, 6, kernel=3), ConvNorm(6, 4)).eval()


def test_calibrated_blocks_answer_with_mean_0_and_variance_1_one_after_the_other() -> None:
    network, images = two_blocks(), torch.randn(8, 3, 17, 17) * 5 + 2
    calibrate(network, images)
    x = images
    for block in network:
        assert isinstance(block, ConvNorm)
        with torch.no_grad():
            normed = block.norm(block.conv(x))
            x = block(x)
        assert torch.allclose(normed.mean(dim=(0, 2, 3)), torch.zeros(1), atol=1e-4)
        assert torch.allclose(normed.var(dim=(0, 2, 3)), torch.ones(1), atol=1e-2)


def test_calibration_spares_channels_that_know_their_statistics() -> None:
    network = two_blocks()
    first = network[0]
    assert isinstance(first, ConvNorm)
    fold(first.norm, slice(0, 2))
    with torch.no_grad():
        mean_of(first.norm)[2] = 7
    calibrate(network, torch.randn(4, 3, 9, 9))
    assert mean_of(first.norm)[:3].tolist() == [0, 0, 7]
    assert bool((mean_of(first.norm)[3:] != 0).all())


def test_a_channel_that_never_moves_is_not_blown_up() -> None:
    network = two_blocks()
    first = network[0]
    assert isinstance(first, ConvNorm)
    with torch.no_grad():
        first.conv.weight[0] = 0
    calibrate(network, torch.randn(4, 3, 9, 9))
    assert float(variance_of(first.norm)[0]) > 1e-3


def test_unfolding_touches_folded_channels_alone() -> None:
    network = two_blocks()
    first = network[0]
    assert isinstance(first, ConvNorm)
    fold(first.norm, slice(0, 2))
    image = torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        before = network(image)
        unfold(network, [torch.randn(3, 3, 9, 9)])
        after = network(image)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    assert bool((mean_of(first.norm)[:2] != 0).all())
    assert mean_of(first.norm)[2:].tolist() == [0, 0, 0, 0]


def test_where_nothing_is_folded_no_photo_is_read() -> None:
    photos = iter([torch.zeros(1, 3, 9, 9)])
    unfold(two_blocks(), photos)
    assert len(list(photos)) == 1
