from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from atrous.labels import unnamed
from atrous.recipes import RECIPES, find
from atrous.recipes.recipe import Recipe, override
from atrous.run.optimiser import build_optimiser, restore, set_rate, slots
from atrous.run.settings import TrainSettings
from atrous.types import BadInput

PLAIN = TrainSettings(iterations=10, batch=2, crop=33, lr=0.1, weight_decay=0.5)
HALF = "network.backbone=mobilenet-v2-half"
SMALL = {
    "deeperlab-light": (HALF, "network.decoder_width=8", "network.aspp_width=8"),
    "deeplabv3-mobilenet-v2": (HALF, "network.aspp_width=8"),
    "fcrn-resnet101": (
        *("network.stride_at=last_3x3", HALF, "network.kernel=1", "network.localisation=true"),
    ),
    "pspnet-resnet50": (
        *("network.root=7x7", "network.stride_at=last_3x3", "network.all_units=false", HALF),
        *("network.width=8", "network.auxiliary_width=8"),
    ),
}
"""A small network of every system."""


class Mixed(nn.Module):
    """One of each kind of parameter, on the backbone and beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.depthwise = nn.Conv2d(4, 4, 3, groups=4, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Conv2d(4, 2, 1)


def groups(network: nn.Module, settings: TrainSettings) -> dict[str, tuple[float, float]]:
    """Name -> decay and multiplier of the rate, in the order of the optimiser."""
    names = {id(p): name for name, p in network.named_parameters()}
    return {
        names[id(p)]: (group["weight_decay"], group["multiplier"])
        for group in build_optimiser(network, settings).param_groups
        for p in group["params"]
    }


def small(name: str) -> nn.Module:
    """The small network, every number a 1: it is not for looking at images."""
    recipe = override(find(name), SMALL[name])
    with torch.device("meta"):
        system: nn.Module = recipe.build(unnamed(2))
    system = system.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in system.parameters():
            parameter.fill_(1.0)
    return system.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def step(network: nn.Module, optimiser: torch.optim.Optimizer, seed: int) -> None:
    """One step with gradients out of the air, the same ones for each seed."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.empty_like(parameter).normal_(generator=generator)
    optimiser.step()


def layouts(tensors: dict[str, Tensor]) -> dict[str, list[int]]:
    """How far apart numbers lie in memory along each side that is longer than 1."""
    return {
        name: [apart for apart, n in zip(x.stride(), x.shape, strict=True) if n > 1]
        for name, x in tensors.items()
    }


def test_full_convolutions_alone_decay() -> None:
    decays = {name: decay for name, (decay, _) in groups(Mixed(), PLAIN).items()}
    assert {name for name, decay in decays.items() if decay} == {"backbone.0.weight", "head.weight"}
    assert set(decays.values()) == {0.5, 0.0}


def test_biases_of_convolutions_have_their_multiplier_on_top_of_the_layer_s() -> None:
    settings = replace(PLAIN, backbone_multiplier=0.1, bias_multiplier=2.0)
    assert groups(Mixed(), settings) == {
        "backbone.0.weight": (0.5, 0.1),
        "backbone.0.bias": (0.0, 0.2),
        "backbone.1.weight": (0.0, 0.1),
        "backbone.1.bias": (0.0, 0.1),
        "depthwise.weight": (0.0, 1.0),
        "norm.weight": (0.0, 1.0),
        "norm.bias": (0.0, 1.0),
        "head.weight": (0.5, 1.0),
        "head.bias": (0.0, 2.0),
    }


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_set_rate_gives_each_group_its_share(optimiser: str) -> None:
    settings = replace(PLAIN, optimiser=optimiser, backbone_multiplier=0.1, bias_multiplier=2.0)
    made = build_optimiser(Mixed(), settings)
    set_rate(made, 0.01)
    rates = [group["lr"] for group in made.param_groups]
    assert rates == pytest.approx([0.001, 0.002, 0.001, 0.01, 0.01, 0.02])


def test_what_asks_for_no_gradient_is_left_out() -> None:
    network = Mixed()
    network.backbone.requires_grad_(False)
    network.norm.bias.requires_grad_(False)
    assert set(groups(network, PLAIN)) == {
        *("depthwise.weight", "norm.weight", "head.weight", "head.bias"),
    }


@pytest.mark.parametrize("name", ["pspnet-resnet50", "pspnet-resnet101-cityscapes"])
def test_pspnet_s_new_layers_learn_10_times_as_fast_and_their_biases_20_times(name: str) -> None:
    with torch.device("meta"):
        network = RECIPES[name].build(unnamed(5))
    found = groups(network, RECIPES[name].train)
    backbone = {rate for key, (_, rate) in found.items() if key.startswith("backbone.")}
    assert (backbone, found["head.0.conv.weight"]) == ({0.1}, (1e-4, 1.0))
    biases = {key: value for key, value in found.items() if value[1] == 2}
    assert biases == {"head.2.bias": (0.0, 2.0), "auxiliary.2.bias": (0.0, 2.0)}
    rate = RECIPES[name].train.lr
    assert [rate * share for share in (0.1, 1.0, 2.0)] == pytest.approx([0.01, 0.1, 0.2])


@pytest.mark.parametrize("name", ["fcrn-resnet101", "fcrn-resnet50-instances"])
def test_fcrn_s_biases_learn_twice_as_fast_and_do_not_decay(name: str) -> None:
    with torch.device("meta"):
        network = RECIPES[name].build(unnamed(5))
    found = groups(network, RECIPES[name].train)
    fast = {key: value for key, value in found.items() if value[1] != 1}
    assert fast == {key: (0.0, 2.0) for key in found if key.endswith("classifier.bias")}
    assert found["category.classifier.weight"] == (5e-4, 1.0)


@pytest.mark.parametrize("name", SMALL)
def test_groups_and_what_is_in_them_stand_in_one_order(name: str) -> None:
    recipe: Recipe = override(find(name), SMALL[name])
    settings = replace(recipe.train, backbone_multiplier=0.1, bias_multiplier=2.0)
    with torch.device("meta"):
        first, second = recipe.build(unnamed(2)), recipe.build(unnamed(2))
    order = list(groups(first, settings))
    assert order == list(groups(second, settings))
    assert set(order) == {key for key, _ in first.named_parameters()}
    place = {key: i for i, (key, _) in enumerate(first.named_parameters())}
    for group in build_optimiser(first, settings).param_groups:
        keys = [key for key, p in first.named_parameters() for q in group["params"] if p is q]
        assert [place[key] for key in keys] == sorted(place[key] for key in keys)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("name", SMALL)
def test_a_restored_optimiser_goes_on_as_if_nothing_had_been(name: str, optimiser: str) -> None:
    settings = replace(find(name).train, optimiser=optimiser, bias_multiplier=2.0)
    network, other = small(name), small(name)
    ours = build_optimiser(network, settings)
    for seed in range(2):
        step(network, ours, seed)
    other.load_state_dict(network.state_dict())
    theirs = build_optimiser(other, settings)
    kept = {key: value.contiguous() for key, value in slots(network, ours).items()}
    restore(other, theirs, kept)
    assert layouts(slots(other, theirs)) == layouts(slots(network, ours))
    step(network, ours, 2)
    step(other, theirs, 2)
    for (key, one), (_, two) in zip(
        network.named_parameters(), other.named_parameters(), strict=True
    ):
        assert torch.equal(one, two), key


@pytest.mark.parametrize(("optimiser", "count"), [("sgd", 1), ("adam", 3)])
def test_slots_have_the_names_of_parameters(optimiser: str, count: int) -> None:
    network = Mixed()
    made = build_optimiser(network, replace(PLAIN, optimiser=optimiser))
    assert slots(network, made) == {}
    step(network, made, 0)
    kept = slots(network, made)
    assert len(kept) == count * len(list(network.parameters()))
    assert {key.rpartition("/")[0] for key in kept} == {n for n, _ in network.named_parameters()}


@pytest.mark.parametrize("key", ["tail.weight/momentum_buffer", "head.weight", "", "/step"])
def test_a_kept_name_that_is_unknown_is_told_in_one_line(key: str) -> None:
    network = Mixed()
    made = build_optimiser(network, PLAIN)
    with pytest.raises(BadInput, match=f"the optimiser has '{key}', which this training has not"):
        restore(network, made, {key: torch.zeros(1)})
    assert slots(network, made) == {}


def test_what_is_frozen_now_is_unknown_to_the_optimiser() -> None:
    network = Mixed()
    kept: dict[str, Any] = {"head.weight/momentum_buffer": torch.zeros(2, 4, 1, 1)}
    restore(network, build_optimiser(network, PLAIN), kept)
    network.head.requires_grad_(False)
    with pytest.raises(BadInput, match="another recipe or network: resume with the command"):
        restore(network, build_optimiser(network, PLAIN), kept)
