from __future__ import annotations

import pytest
import torch
from torch import nn

from atrous.nn.layers import ConvNorm
from atrous.nn.mobilenet import MobileNetV2
from atrous.nn.padding import SamePad, set_padding


@pytest.mark.parametrize(("size", "cells"), [(8, 4), (9, 5), (7, 4), (1, 1)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_same_gives_size_over_stride_rounded_up(size: int, cells: int, kernel: int) -> None:
    block = nn.Sequential(ConvNorm(1, 1, kernel=kernel, stride=2))
    set_padding(block, "same")
    assert block(torch.zeros(2, 1, size, size)).shape[-2:] == (cells, cells)


def test_same_puts_the_odd_row_at_the_end() -> None:
    pad = SamePad(kernel=3, stride=2)
    even, odd = pad(torch.ones(1, 1, 4, 4))[0, 0], pad(torch.ones(1, 1, 5, 5))[0, 0]
    assert even.shape == (5, 5)
    assert float(even[0].sum()) == 4
    assert float(even[-1].sum()) == 0
    assert odd.shape == (7, 7)
    assert float(odd[0].sum()) == float(odd[-1].sum()) == 0


def test_pooling_ignores_what_was_padded() -> None:
    network = nn.Sequential(nn.MaxPool2d(3, 2, padding=1))
    set_padding(network, "same")
    image = -torch.arange(16.0).reshape(1, 1, 4, 4)
    assert network(image)[0, 0].tolist() == [[0, -2], [-8, -10]]


def test_paddings_agree_on_odd_sizes_and_differ_on_even_ones() -> None:
    torch.manual_seed(0)
    plain, same = (MobileNetV2(kernel=3, output_stride=16).eval() for _ in range(2))
    same.load_state_dict(plain.state_dict())
    set_padding(same, "same")
    for size, equal in ((65, True), (64, False)):
        image = torch.randn(1, 3, size, size)
        with torch.no_grad():
            ours, theirs = plain(image).high, same(image).high
        assert torch.allclose(ours, theirs, atol=1e-6) is equal


def test_unknown_paddings_are_refused() -> None:
    with pytest.raises(ValueError, match="symmetric or same"):
        set_padding(nn.Sequential(), "valid")
