from __future__ import annotations

import pytest
import torch
from torch import nn

from atrous.nn.backbone import Layout, build_backbone
from atrous.nn.mobilenet import MobileNetV2


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


def spatial_convs(network: MobileNetV2) -> list[nn.Conv2d]:
    """The convolutions that look at more than one cell, in the order of the forward pass."""
    seen: list[nn.Conv2d] = []
    hooks = [
        m.register_forward_hook(lambda layer, *_: seen.append(layer))
        for m in network.modules()
        if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)
    ]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, 33, 33, device=network.stem.conv.weight.device))
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize(("kernel", "field"), [(3, 491), (5, 981), (7, 1471)])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_receptive_fields_are_those_of_the_paper(
    kernel: int, field: int, output_stride: int
) -> None:
    with torch.device("meta"):
        network = MobileNetV2(kernel=kernel, output_stride=output_stride)
    seen, jump = 1, 1
    for conv in spatial_convs(network):
        seen += (conv.kernel_size[0] - 1) * conv.dilation[0] * jump
        jump *= conv.stride[0]
    assert (seen, jump) == (field, output_stride)


@pytest.mark.parametrize(
    ("output_stride", "rates"),
    [
        (32, [1] * 18),
        (16, [1] * 15 + [2] * 3),
        (8, [1] * 8 + [2] * 7 + [4] * 3),
    ],
)
def test_a_unit_that_loses_its_stride_keeps_its_rate_and_later_ones_double_it(
    output_stride: int, rates: list[int]
) -> None:
    with torch.device("meta"):
        network = MobileNetV2(kernel=5, output_stride=output_stride)
    convs = spatial_convs(network)
    assert [conv.dilation[0] for conv in convs] == rates
    assert all(conv.kernel_size == (5, 5) for conv in convs)


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_features_have_the_output_stride_and_the_tap_has_stride_four(output_stride: int) -> None:
    network = MobileNetV2(kernel=3, output_stride=output_stride).eval()
    with torch.no_grad():
        low, mid, high = network(torch.zeros(1, 3, 97, 65))
    assert low.shape == (1, 144, 25, 17)
    middle = min(output_stride, 16)
    assert mid.shape == (1, 96, 96 // middle + 1, 64 // middle + 1)
    assert high.shape == (1, 320, 96 // output_stride + 1, 64 // output_stride + 1)


def test_the_tap_is_the_depthwise_answer_of_the_second_unit_with_24_channels() -> None:
    network = MobileNetV2(kernel=3, output_stride=16).eval()
    wide = [u for u in network.units if u.get_parameter("project.conv.weight").shape[0] == 24]
    seen: list[torch.Tensor] = []
    wide[1].get_submodule("depthwise").register_forward_hook(lambda _, __, y: seen.append(y))
    with torch.no_grad():
        low = network(torch.randn(1, 3, 33, 33)).low
    assert torch.equal(low, seen[0])


def scatter_norms(network: nn.Module) -> None:
    """Statistics and scales unlike those of a new network, so that no norm is the identity."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            nn.init.normal_(layer.running_mean, std=0.2)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.8, 1.4)
            nn.init.normal_(layer.bias, std=0.2)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(("dense", "sparse", "size"), [(8, 16, 97), (16, 32, 97), (8, 32, 65)])
def test_features_at_a_lower_stride_hold_those_at_a_higher_one_up_to_the_border(
    kernel: int, dense: int, sparse: int, size: int
) -> None:
    torch.manual_seed(0)
    coarse = MobileNetV2(kernel=kernel, output_stride=sparse).eval()
    scatter_norms(coarse)
    fine = MobileNetV2(kernel=kernel, output_stride=dense).eval()
    fine.load_state_dict(coarse.state_dict())
    image, step = torch.randn(1, 3, size, size), sparse // dense
    with torch.no_grad():
        ours, theirs = fine(image).high[..., ::step, ::step], coarse(image).high
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


def test_impossible_backbones_are_refused() -> None:
    with pytest.raises(ValueError, match="3, 5 or 7"):
        MobileNetV2(kernel=4, output_stride=16)
    with pytest.raises(ValueError, match="4, 8, 16, 32"):
        MobileNetV2(kernel=3, output_stride=64)
    with pytest.raises(ValueError, match="mobilenet-v2-wide5"):
        build_backbone("vgg", Layout())
