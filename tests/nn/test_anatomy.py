from __future__ import annotations

import pytest
import torch
from torch import nn

from atrous.nn.anatomy import anatomy, receptive_field
from atrous.nn.layers import ConvNorm
from atrous.nn.mobilenet import MobileNetV2
from atrous.nn.padding import set_padding
from atrous.nn.resnet import ResNet


class Two(nn.Module):
    """A strided convolution, then a wide and a narrow path that meet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 4, kernel=3, stride=2)
        self.paths = nn.ModuleList([ConvNorm(4, 4, kernel=3, rate=5), ConvNorm(4, 4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y: torch.Tensor = self.paths[0](x) + self.paths[1](x)
        return y


def test_blocks_come_in_the_order_of_the_pass_with_their_figures() -> None:
    stem, paths = anatomy(Two(), (9, 9))
    assert (stem.name, stem.convolutions, paths.name, paths.convolutions) == ("stem", 1, "paths", 2)
    assert (stem.stride, stem.rates, stem.channels) == (2, (1,), 4)
    assert (stem.parameters, stem.multiply_adds) == (3 * 4 * 9 + 8, 3 * 4 * 9 * 25)
    assert paths.rates == (5,)  # a 1x1 has none
    assert paths.multiply_adds == (4 * 4 * 9 + 4 * 4) * 25


def test_counting_leaves_the_network_as_it_was() -> None:
    network = Two().train()
    anatomy(network, (9, 9))
    assert network.training
    assert not network.stem.conv._forward_hooks


def test_where_paths_meet_the_widest_counts() -> None:
    assert receptive_field(Two()) == 3 + 2 * 2 * 5


@pytest.mark.parametrize(("kernel", "side"), [(3, 491), (5, 981), (7, 1471)])
def test_mobile_receptive_fields_are_those_of_the_paper(kernel: int, side: int) -> None:
    with torch.device("meta"):
        network = MobileNetV2(kernel=kernel, output_stride=16)
    assert receptive_field(network) == side


@pytest.mark.parametrize(("depth", "side"), [(50, 427), (101, 971), (152, 1451), (269, 2507)])
def test_residual_receptive_fields(depth: int, side: int) -> None:
    with torch.device("meta"):
        network = ResNet(depth=depth, output_stride=32, stride_at="first_3x3")
    assert receptive_field(network) == side


def test_a_gradient_reaches_no_further_than_the_receptive_field() -> None:
    network = Two().eval()
    image = torch.zeros(1, 3, 65, 65, requires_grad=True)
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    network(image)[0, :, 16, 16].sum().backward()
    assert image.grad is not None
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == receptive_field(network)


@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_padding_and_dropout_widen_no_field(padding: str) -> None:
    with torch.device("meta"):
        network = ResNet(depth=50, output_stride=32, stride_at="first_3x3", dropout=(0.0, 0.3, 0.5))
    set_padding(network, padding)
    assert receptive_field(network) == 427
