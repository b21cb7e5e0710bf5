from __future__ import annotations

import pytest
import torch
from torch import nn

from atrous.nn.context import ASPP


def aspp(output_stride: int) -> ASPP:
    return ASPP(8, width=4, rates=(6, 12, 18), output_stride=output_stride).eval()


@pytest.mark.parametrize(
    ("output_stride", "rates"), [(32, [3, 6, 9]), (16, [6, 12, 18]), (8, [12, 24, 36])]
)
def test_rates_grow_as_the_output_stride_shrinks(output_stride: int, rates: list[int]) -> None:
    convs = [m for m in aspp(output_stride).modules() if isinstance(m, nn.Conv2d)]
    wide = [conv for conv in convs if conv.kernel_size == (3, 3)]
    assert [conv.dilation[0] for conv in wide] == rates
    assert all(conv.groups == conv.in_channels for conv in wide)


def test_five_branches_of_256_channels_are_joined_to_256() -> None:
    with torch.device("meta"):
        module = ASPP(320, width=256, rates=(6, 12, 18), output_stride=16)
    norm = 2 * 256
    point = 320 * 256 + norm
    separable = 320 * 9 + 2 * 320 + point
    assert module.project.conv.in_channels == 1280
    total = sum(p.numel() for p in module.parameters())
    assert total == 2 * point + 3 * separable + 1280 * 256 + norm


def test_atrous_branches_see_the_same_field_at_every_output_stride() -> None:
    torch.manual_seed(0)
    coarse, fine = aspp(16), aspp(8)
    fine.load_state_dict(coarse.state_dict())
    x = torch.randn(1, 8, 41, 41)
    with torch.no_grad():
        for dense, sparse in zip(fine.atrous, coarse.atrous, strict=True):
            torch.testing.assert_close(
                dense(x)[..., ::2, ::2], sparse(x[..., ::2, ::2]), rtol=0, atol=1e-6
            )


def test_image_pooling_tells_every_cell_about_the_whole_image() -> None:
    module = aspp(16)
    for parameter in module.parameters():  # positive, so that no ReLU is shut
        nn.init.uniform_(parameter, 0.1, 1)
    x = torch.rand(1, 8, 40, 50, requires_grad=True)
    module(x)[..., 0, 0].sum().backward()
    assert x.grad is not None
    assert bool((x.grad[0].abs().sum(dim=0) > 0).all())


@pytest.mark.parametrize("size", [(1, 1), (5, 9)])
def test_context_has_the_size_of_its_features(size: tuple[int, int]) -> None:
    with torch.no_grad():
        assert aspp(16)(torch.randn(2, 8, *size)).shape == (2, 4, *size)
