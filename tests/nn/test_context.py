from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from atrous.nn.context import ASPP, PyramidPooling, average_pool, max_pool


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


def test_deeplabv3_has_15_535_104_parameters_in_its_pyramid() -> None:
    with torch.device("meta"):
        module = ASPP(2048, width=256, rates=(6, 12, 18), output_stride=16, separable=False)
    assert sum(p.numel() for p in module.parameters()) == 15_535_104
    plain = ASPP(8, width=4, rates=(), output_stride=16, pooling=False)
    assert plain.project.conv.in_channels == 4
    assert not hasattr(plain.pool, "conv")


def test_rates_that_are_no_whole_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="no whole numbers at 64"):
        ASPP(8, width=4, rates=(6, 12, 18), output_stride=64)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 7), st.integers(0, 99))
def test_pooling_is_adaptive_pooling_at_every_size(h: int, w: int, bins: int, seed: int) -> None:
    x = torch.randn(1, 2, h, w, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(
        average_pool(x, bins), F.adaptive_avg_pool2d(x, bins), rtol=0, atol=1e-6
    )
    assert torch.equal(max_pool(x, bins), F.adaptive_max_pool2d(x, bins))


@pytest.mark.parametrize(("cells", "kernels"), [(60, (60, 30, 20, 10)), (90, (90, 45, 30, 15))])
def test_at_training_sizes_bins_are_the_windows_of_the_paper(
    cells: int, kernels: tuple[int, ...]
) -> None:
    x = torch.randn(1, 2, cells, cells)
    for bins, kernel in zip((1, 2, 3, 6), kernels, strict=True):
        torch.testing.assert_close(
            average_pool(x, bins), F.avg_pool2d(x, kernel), rtol=0, atol=1e-6
        )


@pytest.mark.parametrize(
    ("bins", "reduce", "channels"),
    [
        ((1, 2, 3, 6), True, 4096),
        ((1, 2, 3, 6), False, 10240),
        ((1,), False, 4096),
        ((), False, 2048),
    ],
)
def test_the_pyramid_has_the_channels_of_table_1(
    bins: tuple[int, ...], reduce: bool, channels: int
) -> None:
    with torch.device("meta"):
        module = PyramidPooling(2048, bins=bins, reduce=reduce)
        answer = module(torch.zeros(2, 2048, 7, 9))
    assert module.channels == channels
    assert answer.shape == (2, channels, 7, 9)


def test_levels_stand_behind_the_map_in_the_order_of_the_bins() -> None:
    x = torch.arange(36.0).reshape(1, 1, 6, 6)
    answer = PyramidPooling(1, bins=(1, 6), reduce=False)(x)
    assert torch.equal(answer[:, :1], x)
    assert torch.equal(answer[:, 1], torch.full((1, 6, 6), 17.5))
    torch.testing.assert_close(answer[:, 2:], x)


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match="average or max"):
        PyramidPooling(1, bins=(1,), kind="median")
