from __future__ import annotations

import pytest
import torch
from torch import nn

from atrous.nn.backbone import build_backbone
from atrous.nn.mobilenet import MobileNetV2, units


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def multiply_adds(network: nn.Module, image: torch.Tensor) -> int:
    """Multiply-adds of all convolutions in one pass."""
    total = [0]

    def count(layer: nn.Conv2d, _: object, answer: torch.Tensor) -> None:
        total[0] += layer.weight.numel() * answer.shape[-2] * answer.shape[-1]

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    network.eval()
    with torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    return total[0]


@pytest.mark.parametrize(
    ("kernel", "count", "giga"),
    [(3, 1_811_712, 0.279), (5, 1_927_424, 0.336), (7, 2_100_992, 0.420)],
)
def test_sizes_are_those_of_the_paper(kernel: int, count: int, giga: float) -> None:
    with torch.device("meta"):
        network = MobileNetV2(kernel=kernel, output_stride=32)
        image = torch.zeros(1, 3, 224, 224)
    assert parameters(network) == count
    assert multiply_adds(network, image) / 1e9 == pytest.approx(giga, abs=0.0006)


@pytest.mark.parametrize(("kernel", "field"), [(3, 491), (5, 981), (7, 1471)])
@pytest.mark.parametrize("output_stride", [16, 32])
def test_receptive_fields_are_those_of_the_paper(
    kernel: int, field: int, output_stride: int
) -> None:
    seen, jump = 1 + (kernel - 1), 2
    for unit in units(output_stride):
        seen += (kernel - 1) * unit.rate * jump
        jump *= unit.stride
    assert seen == field


@pytest.mark.parametrize(("output_stride", "rates"), [(32, {1}), (16, {1, 2}), (8, {1, 2, 4})])
def test_spent_stride_becomes_rate(output_stride: int, rates: set[int]) -> None:
    assert {u.rate for u in units(output_stride)} == rates
    last_strided = {16: 13, 8: 6}.get(output_stride)
    if last_strided is not None:
        assert units(output_stride)[last_strided].rate == 1


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_features_have_the_output_stride_and_the_tap_has_stride_four(output_stride: int) -> None:
    network = MobileNetV2(kernel=3, output_stride=output_stride).eval()
    with torch.no_grad():
        low, high = network(torch.zeros(1, 3, 97, 65))
    assert low.shape == (1, 144, 25, 17)
    assert high.shape == (1, 320, 96 // output_stride + 1, 64 // output_stride + 1)


@pytest.mark.parametrize("kernel", [3, 5])
def test_features_at_stride_8_hold_those_at_stride_16_with_the_same_weights(kernel: int) -> None:
    torch.manual_seed(0)
    coarse = MobileNetV2(kernel=kernel, output_stride=16).eval()
    fine = MobileNetV2(kernel=kernel, output_stride=8).eval()
    fine.load_state_dict(coarse.state_dict())
    image = torch.randn(1, 3, 97, 97)
    with torch.no_grad():
        ours, theirs = fine(image)[1][..., ::2, ::2], coarse(image)[1]
    assert torch.allclose(ours, theirs, atol=1e-4 * float(theirs.abs().max()))


def test_impossible_backbones_are_refused() -> None:
    with pytest.raises(ValueError, match="3, 5 or 7"):
        MobileNetV2(kernel=4, output_stride=16)
    with pytest.raises(ValueError, match="8, 16 or 32"):
        MobileNetV2(kernel=3, output_stride=4)
    with pytest.raises(ValueError, match="mobilenet-v2-wide5"):
        build_backbone("vgg", output_stride=16)
