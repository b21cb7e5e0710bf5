from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.labels import unnamed
from atrous.nn.decoder import BottomUpDecoder, Head, SpaceToDepthDecoder
from atrous.recipes.deeperlab import LIGHT, WIDER, X71
from atrous.recipes.recipe import Recipe


def decoder(output_stride: int, *, width: int = 4, kernel: int = 3) -> SpaceToDepthDecoder:
    return SpaceToDepthDecoder(6, 5, width=width, kernel=kernel, output_stride=output_stride).eval()


def shifted(
    at16: SpaceToDepthDecoder, low: torch.Tensor, high: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum and count, on a padded stride-4 map, of the stride-16 decoder at its four shifts."""
    reduced = F.pad(at16.reduce(low), (0, 8, 0, 8))
    total = torch.zeros(1, 4, *reduced.shape[-2:])
    times = torch.zeros_like(total)
    for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
        phase = high[..., y::2, x::2]
        rows = slice(2 * y, 2 * y + 4 * phase.shape[-2])
        columns = slice(2 * x, 2 * x + 4 * phase.shape[-1])
        folded = torch.cat([F.pixel_unshuffle(reduced[..., rows, columns], 4), phase], dim=1)
        total[..., rows, columns] += F.pixel_shuffle(at16.second(at16.first(folded)), 4)
        times[..., rows, columns] += 1
    return total, times


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize(("m", "n"), [(4, 4), (3, 6)])
def test_the_decoder_at_stride_8_is_the_mean_of_four_shifted_ones_at_stride_16(
    m: int, n: int, kernel: int
) -> None:
    torch.manual_seed(0)
    at16, at8 = decoder(16, kernel=kernel), decoder(8, kernel=kernel)
    at8.load_state_dict(at16.state_dict())
    low = torch.randn(1, 6, 4 * m + 1, 4 * n + 1)
    high = torch.randn(1, 5, 2 * m + 1, 2 * n + 1)
    with torch.no_grad():
        total, times = shifted(at16, low, high)
        ours = at8(low, high)
    mean = (total / times)[..., : 4 * m + 1, : 4 * n + 1]
    torch.testing.assert_close(ours, mean, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("output_stride", "side"), [(16, 3), (8, 5)])
def test_the_decoder_answers_at_stride_4(output_stride: int, side: int) -> None:
    with torch.no_grad():
        answer = decoder(output_stride)(torch.randn(2, 6, 9, 9), torch.randn(2, 5, side, side))
    assert answer.shape == (2, 4, 9, 9)


def test_low_level_features_are_reduced_to_32_channels_and_folded_to_512() -> None:
    with torch.device("meta"):
        whole = SpaceToDepthDecoder(144, 256, width=256, kernel=7, output_stride=16)
    assert whole.reduce.conv.out_channels == 32
    assert whole.first.depthwise.conv.in_channels == 512 + 256
    assert whole.first.depthwise.conv.kernel_size == (7, 7)
    assert whole.second.pointwise.conv.out_channels == 256 * 16


@pytest.mark.parametrize("output_stride", [4, 32])
def test_other_output_strides_are_refused(output_stride: int) -> None:
    with pytest.raises(ValueError, match="8 or 16"):
        decoder(output_stride)


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize(("height", "width"), [(3, 4), (5, 7), (2, 2), (9, 13)])
def test_the_bottom_up_decoder_sees_encoder_features_bilinearly(
    height: int, width: int, kernel: int
) -> None:
    bottom_up = BottomUpDecoder(6, 5, width=4, kernel=kernel).eval()
    low, high = torch.randn(2, 6, 9, 13), torch.randn(2, 5, height, width)
    upsampled = F.interpolate(high, (9, 13), mode="bilinear", align_corners=True)
    with torch.no_grad():
        joined = torch.cat([bottom_up.reduce(low), upsampled], dim=1)
        torch.testing.assert_close(bottom_up(low, high), bottom_up.second(bottom_up.first(joined)))
    assert joined.shape == (2, 32 + 5, 9, 13)


def test_the_bottom_up_decoder_has_two_separable_convolutions() -> None:
    with torch.device("meta"):
        whole = BottomUpDecoder(144, 256, width=256, kernel=7)
    convolutions = [m for m in whole.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size, c.groups) for c in convolutions] == [
        (144, 32, (1, 1), 1),
        (288, 288, (7, 7), 288),
        (288, 256, (1, 1), 1),
        (256, 256, (7, 7), 256),
        (256, 256, (1, 1), 1),
    ]


def test_a_head_that_is_not_deep_is_one_linear_layer() -> None:
    head = Head(2, 3, width=4, kernel=5, deep=False)
    assert list(head.state_dict()) == ["0.weight", "0.bias"]
    assert head.classifier.weight.shape == (3, 2, 1, 1)


def test_a_head_sees_as_far_as_its_kernel() -> None:
    head = Head(2, 3, width=4, kernel=5).eval()
    for parameter in head.parameters():  # positive, so that no ReLU is shut
        nn.init.uniform_(parameter, 0.1, 1)
    x = torch.rand(1, 2, 11, 11, requires_grad=True)
    head(x)[..., 5, 5].sum().backward()
    seen = torch.zeros(11, 11, dtype=torch.bool)
    seen[3:8, 3:8] = True
    assert x.grad is not None
    assert torch.equal(x.grad[0].abs().sum(dim=0) > 0, seen)


def multiply_adds(network: nn.Module, side: int) -> int:
    """Multiply-adds of all convolutions for a square image, by shapes alone."""
    total = [0]

    def count(layer: nn.Conv2d, _: object, answer: torch.Tensor) -> None:
        total[0] += layer.weight.numel() * answer.shape[-2] * answer.shape[-1]

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, side, side, device="meta"))
    return total[0]


@pytest.mark.parametrize(
    ("recipe", "parameters", "side", "giga"),
    [
        (LIGHT, 8_557_483, 1441, 84.5),
        (LIGHT, 8_557_483, 721, 21.5),
        (WIDER, 23_087_403, 1441, 223),
        (X71, 63_722_163, 1441, 681),
    ],
)
def test_whole_networks_have_the_sizes_of_the_paper(
    recipe: Recipe, parameters: int, side: int, giga: float
) -> None:
    with torch.device("meta"):
        network = recipe.build(unnamed(66))
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert multiply_adds(network, side) / 1e9 == pytest.approx(giga, rel=3e-3)
