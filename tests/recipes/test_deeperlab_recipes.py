from __future__ import annotations

import pytest
import torch

from atrous.labels import unnamed
from atrous.recipes import deeperlab, deeperlab_ablations
from atrous.recipes.deeperlab import LIGHT, WIDER, X71
from atrous.recipes.deeperlab_ablations import FULL, K5_ASPP, LOSSES, XCEPTIONS
from atrous.recipes.described import revive
from atrous.recipes.recipe import Recipe
from atrous.systems.deeperlab import DeeperLab, DeeperLabNetwork

OLD = {
    "backbone": "mobilenet-v2-wide5",
    "output_stride": 16,
    "aspp_width": 256,
    "aspp_rates": [6, 12, 18],
    "decoder_width": 128,
    "instance_width": 64,
    "kernel": 3,
}
"""The network of a model file from before there were ablations."""


ABLATIONS = deeperlab_ablations.RECIPES
RECIPES = (*deeperlab.RECIPES, *ABLATIONS)
BY_NETWORK = {recipe.network: recipe for recipe in reversed(RECIPES)}
"""One recipe for each network: the first that has it."""


def named(name: str) -> Recipe:
    return {recipe.name: recipe for recipe in RECIPES}[name]


@pytest.mark.parametrize("recipe", BY_NETWORK.values(), ids=lambda recipe: recipe.name)
def test_every_network_answers(recipe: Recipe) -> None:
    assert isinstance(recipe.network, DeeperLabNetwork)
    with torch.device("meta"):
        maps = recipe.build(unnamed(66)).eval()(torch.zeros(1, 3, 65, 97))
    assert maps.stride == recipe.network.map_stride
    assert maps.semantic.shape == (1, 66, 64 // maps.stride + 1, 96 // maps.stride + 1)


def test_the_tables_have_all_their_rows() -> None:
    rows = [r.where for recipe in ABLATIONS for r in recipe.reported]
    assert {table: rows.count(f"DeeperLab, table {table}") for table in (3, 4, 5, 6, 7)} == {
        **{3: 6, 4: 7, 5: 4, 6: 2, 7: 4},
    }


def test_ablations_are_trained_on_mapillary_for_200_k_steps() -> None:
    for recipe in ABLATIONS:
        assert (recipe.train.iterations, recipe.train.crop) == (200_000, 721)
        assert recipe.train.batch == (16 if recipe in XCEPTIONS else 28)
        assert (recipe.input.longest_side, recipe.input.enlarge) == (1441, True)
        assert recipe.input.padded((1081, 1441)) == (1441, 1441)
        assert all(reported.data == "Mapillary val" for reported in recipe.reported)


@pytest.mark.parametrize(
    ("name", "aspp", "decoder", "deep", "kernel"),
    [
        ("deeperlab-k5", False, "none", False, 3),
        ("deeperlab-k5-aspp", True, "none", False, 3),
        ("deeperlab-bu", True, "bottom-up", False, 3),
        ("deeperlab-bu-dh-lk", True, "bottom-up", True, 7),
        ("deeperlab-s2d", True, "space-to-depth", False, 3),
        ("deeperlab-s2d-dh", True, "space-to-depth", True, 3),
        ("deeperlab-s2d-dh-lk", True, "space-to-depth", True, 7),
        ("deeperlab-x71-bu", True, "bottom-up", True, 7),
    ],
)
def test_rows_of_table_4_have_what_their_names_say(
    name: str, aspp: bool, decoder: str, deep: bool, kernel: int
) -> None:
    network = named(name).network
    assert isinstance(network, DeeperLabNetwork)
    assert (network.aspp, network.decoder) == (aspp, decoder)
    assert (network.deep_heads, network.kernel) == (deep, kernel)


def test_coco_is_learnt_without_mining_and_with_small_instances_weighed() -> None:
    for recipe in deeperlab.ON_COCO:
        assert (recipe.losses.keep, recipe.losses.small_weight) == (1, 3)  # type: ignore[union-attr]


def test_xception_s_batch_norm_remembers_longer_than_mobilenet_s() -> None:
    for recipe in RECIPES:
        if recipe.name != "deeperlab-light-short":
            is_xception = recipe.network.backbone == "xception-71"
            assert recipe.train.norm_momentum == (0.0003 if is_xception else 0.003)


def test_the_full_row_of_table_4_is_the_wider_network() -> None:
    assert FULL.network == WIDER.network


def test_rows_of_table_5_differ_in_their_losses_alone() -> None:
    both = [(recipe.losses.keep, recipe.losses.small_weight) for recipe in (FULL, *LOSSES)]  # type: ignore[union-attr]
    assert both == [(1, 1), (0.15, 1), (1, 3), (0.15, 3)]
    assert {recipe.network for recipe in LOSSES} == {FULL.network}


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_rows_without_pyramid_and_decoder_are_the_backbone_and_five_1x1(kernel: int) -> None:
    with torch.device("meta"):
        system = named(f"deeperlab-k{kernel}").build(unnamed(66))
    backbone = {3: 1_811_712, 5: 1_927_424, 7: 2_100_992}[kernel]
    answers = 66 + 5 + 10 + 10 + 16
    assert sum(p.numel() for p in system.parameters()) == backbone + answers * (320 + 1)


def test_the_baseline_of_table_4_has_heads_on_256_channels() -> None:
    with torch.device("meta"):
        system = K5_ASPP.build(unnamed(66))
    assert isinstance(system, DeeperLab)
    assert system.semantic.classifier.in_channels == 256
    assert len(system.semantic) == 1


def test_a_model_file_from_before_the_ablations_is_the_full_network() -> None:
    assert revive(DeeperLabNetwork, OLD) == LIGHT.network


def separable(name: str) -> set[str]:
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    leaves = ("conv.weight", *(f"norm.{leaf}" for leaf in norm))
    return {f"{name}.{part}.{leaf}" for part in ("depthwise", "pointwise") for leaf in leaves}


@pytest.mark.parametrize("recipe", [LIGHT, WIDER, X71], ids=lambda recipe: recipe.name)
def test_the_full_network_keeps_the_names_of_its_parameters(recipe: Recipe) -> None:
    with torch.device("meta"):
        names = set(recipe.build(unnamed(4)).state_dict())
    heads = ("semantic", "heatmap", "long", "short", "middle")
    wanted = {f"{head}.1.{leaf}" for head in heads for leaf in ("weight", "bias")}
    wanted = wanted.union(*(separable(f"{head}.0") for head in heads))
    wanted |= separable("decoder.first") | separable("decoder.second")
    assert wanted <= names
    assert {name.split(".")[0] for name in names} == {"backbone", "context", "decoder", *heads}
    assert {n.split(".")[1] for n in names if n.startswith("decoder.")} == {
        *("reduce", "first", "second")
    }
