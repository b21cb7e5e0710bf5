"""What the papers' networks weigh, cost and see."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from atrous.labels import unnamed
from atrous.nn.anatomy import anatomy
from atrous.recipes import RECIPES
from atrous.recipes.recipe import override
from atrous.systems import AnyNetwork, AnySystem, build
from atrous.systems.deeplabv3 import DeepLabv3Network
from atrous.systems.fcrn import FCRN, FCRNNetwork, Tower
from atrous.systems.pspnet import PSPNetNetwork
from atrous.types import BadInput


def made(network: AnyNetwork, classes: int) -> AnySystem:
    with torch.device("meta"):
        return build(network, unnamed(classes), fusion=None)


def weight_of(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def work_of(network: nn.Module, side: int) -> float:
    """Multiply-adds in billions."""
    return (
        sum(
            block.multiply_adds
            for block in anatomy(network, (side, side))
            if not block.is_auxiliary
        )
        / 1e9
    )


@pytest.mark.parametrize(
    ("backbone", "count", "giga"),
    [("resnet-50", 39_048_533, 50.4), ("resnet-101", 58_040_661, 71.1)],
)
def test_deeplabv3(backbone: str, count: int, giga: float) -> None:
    network = made(DeepLabv3Network(backbone, stride_at="first_3x3"), 21)
    assert weight_of(network) == count
    assert work_of(network, 513) == pytest.approx(giga, rel=0.005)


def test_the_cascade_of_blocks() -> None:
    cascade = DeepLabv3Network("resnet-101", blocks=7, multi_grid=(), aspp=False)
    assert weight_of(made(cascade, 21)) == 82_706_517


def test_the_public_mobile_deeplab() -> None:
    network = made(DeepLabv3Network("mobilenet-v2", multi_grid=(), aspp_rates=()), 21)
    assert work_of(network, 513) == pytest.approx(2.741, rel=0.005)


@pytest.mark.parametrize(
    ("depth", "count", "giga"),
    [
        (50, 46_782_550, 161.9),
        (101, 65_774_678, 230.1),
        (152, 81_418_326, 286.2),
        (269, 123_298_902, 436.6),
    ],
)
def test_pspnet(depth: int, count: int, giga: float) -> None:
    network = made(PSPNetNetwork(f"resnet-{depth}", auxiliary=False), 150)
    assert weight_of(network) == count
    assert work_of(network, 473) == pytest.approx(giga, rel=0.005)


def test_pspnet_on_cityscapes_with_its_auxiliary_head() -> None:
    assert weight_of(made(PSPNetNetwork("resnet-101", auxiliary=False), 19)) == 65_707_475
    assert weight_of(made(PSPNetNetwork("resnet-101"), 19)) == 68_072_166
    plain = made(PSPNetNetwork("resnet-101", auxiliary=False), 19)
    assert work_of(plain, 713) == pytest.approx(517.2, rel=0.005)


RESNET_101 = 42_500_160


@pytest.mark.parametrize(
    ("network", "more"),
    [(FCRNNetwork(), 1_075_221), (FCRNNetwork(kernel=3, hidden=512), 9_534_485)],
    ids=["linear", "non-linear"],
)
def test_fcrn_s_classifiers(network: FCRNNetwork, more: int) -> None:
    assert weight_of(made(network, 21)) == RESNET_101 + more


def test_fcrn_s_boxes() -> None:
    system = made(FCRNNetwork(localisation=True), 20)
    assert isinstance(system, FCRN)
    tower = system.localisation
    assert isinstance(tower, Tower)
    assert weight_of(tower) == RESNET_101 + 4_096_080


@pytest.mark.parametrize(
    ("stride", "kernel", "rate", "field"),
    [
        (16, 3, 6, 208),
        *((8, 3, 6, 104), (8, 3, 12, 200), (8, 3, 18, 296)),
        *((8, 5, 6, 200), (8, 5, 12, 392), (8, 5, 18, 584)),
        *((8, 7, 6, 296), (8, 7, 12, 584)),
    ],
)
def test_fcrn_s_field_of_view(stride: int, kernel: int, rate: int, field: int) -> None:
    network = FCRNNetwork(output_stride=stride, kernel=kernel, rate=rate * stride // 8)
    assert network.field_of_view_px == field
    system = made(network, 2)
    assert isinstance(system, FCRN)
    conv = system.category.classifier
    assert isinstance(conv, nn.Conv2d)
    assert stride * ((conv.kernel_size[0] - 1) * conv.dilation[0] + 1) == field


def test_two_convolutions_see_as_far_as_the_best_single_one() -> None:
    two = FCRNNetwork(kernel=3, hidden=512)
    assert two.field_of_view_px == FCRNNetwork().field_of_view_px == 392


@pytest.mark.parametrize(
    ("system", "side", "grids"),
    [
        ("pspnet-resnet50", 473, (60,)),
        ("pspnet-resnet50", 713, (90,)),
        ("deeplabv3-resnet50", 513, (33,)),
        ("deeplabv3-resnet50", 769, (49,)),
        *((f"deeplabv3-resnet50-block7-os{s}", 513, ((512 // s) + 1,)) for s in (8, 32, 64, 256)),
        ("deeperlab-light", 721, (181,)),
        ("deeperlab-light", 1441, (361,)),
    ],
)
def test_grids(system: str, side: int, grids: tuple[int, ...]) -> None:
    network = made(RECIPES[system].network, 2).eval()
    with torch.no_grad():
        maps = network(torch.zeros(1, 3, side, side, device="meta"))
    assert maps.semantic.shape[-2:] == (grids[0], grids[0])


def fractions(rate: int, side: int) -> tuple[float, float]:
    """Shares of the cells of a side x side map at which a 3x3 meets nine cells, and only one."""
    count = torch.nn.functional.conv2d(
        torch.ones(1, 1, side, side), torch.ones(1, 1, 3, 3), padding=rate, dilation=rate
    )
    return float((count == 9).float().mean()), float((count == 1).float().mean())


@pytest.mark.parametrize(
    ("rate", "nine", "one"),
    [(6, 0.665, 0.0), (18, 0.199, 0.0), (36, 0.0, 0.012), (64, 0.0, 0.939), (65, 0.0, 1.0)],
)
def test_large_rates_degenerate_to_1x1(rate: int, nine: float, one: float) -> None:
    assert fractions(rate, 65) == pytest.approx((nine, one), abs=0.0005)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_makes_its_network(name: str) -> None:
    recipe = RECIPES[name]
    with torch.device("meta"):
        system = recipe.build(unnamed(3))
    assert recipe.name == name
    assert (recipe.train.crop - 1) % recipe.input.multiple == 0
    assert weight_of(system) > 1_000_000


@pytest.mark.parametrize(
    "name", ["fcrn-resnet101-bs512", "deeplabv3-resnet50", "deeperlab-light", "pspnet-resnet50"]
)
def test_blocks_account_for_every_parameter(name: str) -> None:
    network = made(RECIPES[name].network, 21)
    assert sum(block.parameters for block in anatomy(network, (65, 65))) == weight_of(network)


def test_the_auxiliary_head_is_listed_but_is_no_work_of_a_parse() -> None:
    with_head, without = (
        anatomy(made(PSPNetNetwork(auxiliary=auxiliary), 21), (65, 65))
        for auxiliary in (True, False)
    )
    assert [block for block in with_head if not block.is_auxiliary] == list(without)
    (head,) = (block for block in with_head if block.is_auxiliary)
    assert head.name == "auxiliary"
    assert head.parameters == 68_072_166 - 65_707_475 + (21 - 19) * 257


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        *(("fcrn-resnet50-instances", f"network.{n}") for n in ("output_stride=0", "rate=0")),
        *(("fcrn-resnet101", f"network.{n}") for n in ("kernel=-3", "output_stride=3")),
        ("fcrn-resnet101", "losses.semantic.most=0"),
        ("fcrn-resnet50-instances", "losses.most=-1"),
        ("fcrn-resnet101", "losses.semantic.probability=0"),
        ("deeplabv3-resnet50", "network.aspp_width=0"),
        *(("pspnet-resnet50", f"network.{n}") for n in ("bins=0,2", "width=0")),
        *(("deeperlab-light", f"network.{n}") for n in ("kernel=4", "decoder_width=0")),
        *(("deeperlab-light", f"fusion.{n}") for n in ("radius_px=0", "peaks=-1", "instances=-1")),
    ],
)
def test_impossible_numbers_are_bad_input(name: str, setting: str) -> None:
    with pytest.raises(BadInput):
        override(RECIPES[name], (setting,)).build(unnamed(3))


def test_all_that_a_backbone_lacks_is_told_at_once() -> None:
    mend = (
        r"mobilenet-v2 has no choice of root, stride_at, all_units: set network.root=7x7, "
        r"network.stride_at=last_3x3, network.all_units=false, or"
    )
    with pytest.raises(BadInput, match=mend):
        override(RECIPES["pspnet-resnet50"], ("network.backbone=mobilenet-v2",)).build(unnamed(3))


def test_an_empty_tuple_can_be_set() -> None:
    for text in ("()", ""):
        recipe = override(RECIPES["deeplabv3-resnet101"], (f"network.multi_grid={text}",))
        assert isinstance(recipe.network, DeepLabv3Network)
        assert recipe.network.multi_grid == ()
