"""Folded and packed networks answer what the network answers, and leave it as it was."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import atrous.nn.packing as packing
from atrous.data.shapes import Shapes
from atrous.instances.boxes import BoxNumbers
from atrous.instances.keypoints import KeypointNumbers
from atrous.nn.backbone import BACKBONES, Layout, build_backbone
from atrous.nn.context import ASPP
from atrous.nn.decoder import SpaceToDepthDecoder
from atrous.nn.dropout import Dropout
from atrous.nn.folding import FoldedConv, folded
from atrous.nn.layers import ConvNorm, classifier
from atrous.nn.packedconv import PackedConv, can_pack
from atrous.nn.packing import PackedASPP, PackedDecoder, packed
from atrous.nn.padding import set_padding
from atrous.nn.statistics import variance_of
from atrous.parser import load
from atrous.systems import AnyNetwork, build
from atrous.systems.deeperlab import DeeperLabNetwork
from atrous.systems.deeplabv3 import DeepLabv3Network
from atrous.systems.fcrn import FCRNNetwork
from atrous.systems.pspnet import PSPNetNetwork
from atrous.tensors import Maps, mapped
from networks import assert_near

LABELS = Shapes("train").labels
ROUNDING = 1e-4
"""Of the largest value: float32 sums in another order, through fifty layers and more."""
NEEDS_PACKING = pytest.mark.skipif(not can_pack(torch.float32), reason="needs oneDNN")

LIGHT = DeeperLabNetwork("mobilenet-v2", aspp_width=16, decoder_width=8, instance_width=8, kernel=3)
PSPNET = PSPNetNetwork(
    "mobilenet-v2",
    root="7x7",
    stride_at="last_3x3",
    all_units=False,
    width=16,
    auxiliary_width=16,
)
NETWORKS: dict[str, AnyNetwork] = {
    "deeperlab": LIGHT,
    "deeperlab at 8": replace(LIGHT, output_stride=8),
    "deeperlab, bottom-up": replace(LIGHT, decoder="bottom-up"),
    "deeperlab, shallow": replace(LIGHT, deep_heads=False, decoder="none"),
    "deeplabv3": DeepLabv3Network("mobilenet-v2", multi_grid=(), aspp_width=16, extra_conv=True),
    "deeplabv3, same": DeepLabv3Network("resnet-50", aspp_width=16, padding="same"),
    "pspnet": PSPNET,
    "pspnet, max": replace(PSPNET, pooling="max", padding="same"),
    "fcrn": FCRNNetwork(
        "mobilenet-v2", stride_at="last_3x3", kernel=3, rate=2, hidden=8, localisation=True
    ),
}


def lived_in(network: nn.Module) -> nn.Module:
    """A network without weights, which gets some, and batch norms with something to do."""
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 4:
            most = math.sqrt(6 / tensor[0].numel())
            tensor.data.uniform_(-most, most, generator=generator)
        elif tensor.ndim == 1:
            tensor.data.uniform_(-0.2, 0.2, generator=generator)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data += 1
            variance_of(module).add_(1)
    return network.eval()


def system(network: AnyNetwork) -> nn.Module:
    fusion: Any = BoxNumbers() if isinstance(network, FCRNNetwork) else None
    fusion = KeypointNumbers() if isinstance(network, DeeperLabNetwork) else fusion
    with torch.device("meta"):
        empty = build(network, LABELS, fusion=fusion)
    return lived_in(empty)


def photo(side: int = 65) -> Tensor:
    images = torch.randn(2, 3, side, side + 16, generator=torch.Generator().manual_seed(1))
    return images.to(memory_format=torch.channels_last)


def answers(network: nn.Module, images: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        maps = network(images)
    found: list[Tensor] = []
    if isinstance(maps, Maps):
        mapped(maps, lambda x: found.append(x) or x)  # type: ignore[func-returns-value]
        return found
    return list(maps)


@pytest.fixture(scope="module", params=NETWORKS)
def each(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor, list[Tensor]]:
    """A system, images, and its answers."""
    network, images = system(NETWORKS[request.param]), photo()
    return network, images, answers(network, images)


def test_a_folded_system_answers_the_same_but_for_rounding(
    each: tuple[nn.Module, Tensor, list[Tensor]],
) -> None:
    network, images, truth = each
    for ours, theirs in zip(answers(folded(network), images), truth, strict=True):
        assert_near(ours, theirs, within=ROUNDING)


@NEEDS_PACKING
def test_a_packed_system_answers_the_same_but_for_rounding(
    each: tuple[nn.Module, Tensor, list[Tensor]],
) -> None:
    network, images, truth = each
    for ours, theirs in zip(answers(packed(folded(network)), images), truth, strict=True):
        assert_near(ours, theirs, within=ROUNDING)


QUICK = {"mobilenet-v2", "mobilenet-v2-wide5", "resnet-50", "xception-41"}
LAYOUTS = [
    *((name, Layout()) for name in BACKBONES),
    ("resnet-50", Layout(root="deep", stride_at="first_1x1", output_stride=32)),
    ("resnet-50", Layout(stride_at="first_3x3", output_stride=8, multi_grid=(1, 2, 4))),
]


@pytest.mark.parametrize(
    ("name", "layout"),
    [pytest.param(*x, marks=() if x[0] in QUICK else pytest.mark.study) for x in LAYOUTS],
)
def test_every_backbone_folds_and_packs(name: str, layout: Layout) -> None:
    with torch.device("meta"):
        empty = build_backbone(name, layout)
    network, images = lived_in(empty), photo(33)
    truth, one = answers(network, images), folded(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in one.modules())
    for other in [one, *([packed(one)] if can_pack(torch.float32) else [])]:
        for ours, theirs in zip(answers(other, images), truth, strict=True):
            assert_near(ours, theirs, within=ROUNDING)


def test_the_packaged_model_gives_every_cell_the_same_class() -> None:
    network, images = load("deeperlab-light").network, photo(129)
    truth, one = answers(network, images), folded(network)
    for other in [one, *([packed(one)] if can_pack(torch.float32) else [])]:
        found = answers(other, images)
        assert torch.equal(found[0].argmax(1), truth[0].argmax(1))
        for ours, theirs in zip(found, truth, strict=True):
            assert_near(ours, theirs, within=ROUNDING)


def test_folding_leaves_the_network_as_it_was() -> None:
    network = system(NETWORKS["deeplabv3, same"]).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    kinds, strides = _structure(network)
    folded(network, dtype=torch.bfloat16).to(dtype=torch.float64)
    assert _structure(network) == (kinds, strides)
    assert all(torch.equal(tensor, before[k]) for k, tensor in network.state_dict().items())


def _structure(network: nn.Module) -> tuple[list[object], list[object]]:
    return (
        [(type(module), module.training) for module in network.modules()],
        [(tensor.stride(), tensor.dtype) for tensor in network.state_dict().values()],
    )


def test_classifiers_share_their_weights() -> None:
    layer = classifier(4, 3)
    one = folded(layer)
    assert isinstance(one, FoldedConv)
    assert one.conv.weight.data_ptr() == layer.weight.data_ptr()


def test_a_norm_with_no_convolution_of_its_own_is_left() -> None:
    network = lived_in(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), ConvNorm(3, 4, kernel=3)))
    one, images = folded(network), photo(9)
    assert isinstance(one[0], nn.BatchNorm2d)  # type: ignore[index]
    with torch.no_grad():
        assert_near(one(images), network(images), within=ROUNDING)


def test_tensorflow_padding_comes_before_the_bias() -> None:
    block = nn.Sequential(ConvNorm(3, 4, kernel=3, stride=2))
    set_padding(block, "same")
    lived_in(block)
    images = photo(16)
    with torch.inference_mode():
        assert_near(folded(block)(images), block(images), within=ROUNDING)


def test_a_folded_network_is_for_evaluation() -> None:
    network = nn.Sequential(ConvNorm(3, 4), Dropout(0.5)).train()
    images = photo(9)
    assert torch.equal(folded(network)(images), folded(network)(images))


def test_heads_stay_in_float32_where_the_rest_does_not() -> None:
    network = nn.Sequential(ConvNorm(3, 4), classifier(4, 2), nn.Conv2d(2, 2, 3, bias=False))
    dtypes = [x.conv.weight.dtype for x in folded(network, dtype=torch.bfloat16).children()]  # type: ignore[union-attr]
    assert dtypes == [torch.bfloat16, torch.float32, torch.bfloat16]


@NEEDS_PACKING
def test_a_sum_behind_an_activation_is_refused() -> None:
    one = packed(folded(nn.Sequential(ConvNorm(3, 3))))[0]  # type: ignore[index]
    assert isinstance(one, PackedConv)
    with pytest.raises(ValueError, match="comes before the sum"):
        one.added(photo(9), photo(9), rectified=True)


@NEEDS_PACKING
def test_maps_of_any_size_may_follow_each_other() -> None:
    network = system(NETWORKS["deeperlab"])
    one = packed(folded(network))
    for side in (33, 49, 33, 1):
        images = photo(side)
        for ours, theirs in zip(answers(one, images), answers(network, images), strict=True):
            assert_near(ours, theirs, within=ROUNDING)


@NEEDS_PACKING
@pytest.mark.parametrize("rate", [2, 6, 7, 12])
def test_wide_depthwise_windows_answer_the_same_however_they_are_padded(rate: int) -> None:
    network = lived_in(nn.Sequential(ConvNorm(8, 8, kernel=3, rate=rate, groups=8)))
    images = torch.randn(1, 8, 9, 11, generator=torch.Generator().manual_seed(0))
    images = images.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert_near(packed(folded(network))(images), network(images), within=ROUNDING)


@NEEDS_PACKING
@pytest.mark.parametrize("pooling", [True, False])
def test_a_pyramid_that_is_a_sum_answers_what_a_joined_one_does(pooling: bool) -> None:
    rates = (6, 12)
    network = ASPP(3, width=8, rates=rates, output_stride=16, pooling=pooling, separable=False)
    lived_in(network)
    one = packed(folded(network))
    assert isinstance(one, PackedASPP)
    with torch.inference_mode():
        assert_near(one(photo(17)), network(photo(17)), within=ROUNDING)


def test_in_bf16_a_pyramid_is_joined_and_rounded_once() -> None:
    network = lived_in(ASPP(3, width=8, rates=(6,), output_stride=16))
    assert isinstance(packed(folded(network, dtype=torch.bfloat16)), ASPP)


@NEEDS_PACKING
@pytest.mark.parametrize("at_a_time", [32, 64, 1024])
def test_a_decoder_answers_the_same_in_parts(
    monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    monkeypatch.setattr(packing, "AT_A_TIME", at_a_time)
    network = lived_in(SpaceToDepthDecoder(6, 7, width=8, kernel=3, output_stride=16))
    one = packed(folded(network))
    low, high = torch.randn(2, 6, 17, 13), torch.randn(2, 7, 5, 4)
    with torch.inference_mode():
        assert_near(one(low, high), network(low, high), within=ROUNDING)
    assert isinstance(one, PackedDecoder)
    assert len(one.parts) == max(1, min(4, 128 // at_a_time))
