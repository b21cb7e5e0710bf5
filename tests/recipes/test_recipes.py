from __future__ import annotations

import math
from collections import Counter

import pytest

from atrous.data.augment import Augment
from atrous.recipes import (
    RECIPES,
    deeperlab,
    deeperlab_ablations,
    deeplabv3,
    fcrn,
    fcrn_cityscapes,
    find,
    pspnet,
)
from atrous.recipes.recipe import Recipe
from atrous.run.schedule import rate
from atrous.systems.fcrn import FCRNNetwork
from atrous.types import BadInput

PAGES = (deeperlab, deeperlab_ablations, deeplabv3, fcrn, fcrn_cityscapes, pspnet)
EVERY = tuple(RECIPES.values())
VOC_PHOTO, STREET = (375, 500), (1024, 2048)


def scores_of(name: str, where: str) -> dict[str, float]:
    (found,) = [dict(row.scores) for row in RECIPES[name].reported if row.where == where]
    return found


def test_every_recipe_has_a_name_of_its_own() -> None:
    assert len(RECIPES) == sum(len(page.RECIPES) for page in PAGES)
    assert all(RECIPES[name].name == name for name in RECIPES)


@pytest.mark.parametrize(
    ("paper", "rows"),
    [
        ("DeepLabv3", (6, 8, 20, 4, 5, 5, 1, 4, 4, 6, 0, 4, 1)),
        ("PSPNet", (7, 5, 8, 6, 0, 2)),
        ("FCRN", (14, 3, 23, 2, 1, 6, 8)),
        ("DeeperLab", (4, 4, 6, 7, 4, 2, 4, 4, 4, 4, 4)),
    ],
)
def test_tables_have_all_their_rows(paper: str, rows: tuple[int, ...]) -> None:
    where = [row.where.split(", ")[:2] for recipe in EVERY for row in recipe.reported]
    found = Counter(table for name, table in where if name == paper)
    assert [found[f"table {n}"] for n in range(1, len(rows) + 1)] == list(rows)


@pytest.mark.parametrize(
    ("name", "where", "scores"),
    [
        ("deeplabv3-resnet101-block7-mg121", "table 4, output stride 8", (78.05,)),
        ("deeplabv3-resnet101", "table 6, output stride 8, multi-scale, flip", (79.77,)),
        ("deeplabv3-resnet101-nobn", "table 8", (75.95,)),
        ("deeplabv3-resnet101-bs4", "table 9", (64.43,)),
        ("deeplabv3-resnet101-os8", "table 10, output stride 16", (74.45,)),
        ("deeplabv3-resnet101-os32", "table 10, output stride 8", (75.75,)),
        ("deeplabv3-resnet101-cityscapes", "table 12, output stride 8, multi-scale", (79.06,)),
        ("pspnet-resnet152", "table 3, multi-scale", (43.51, 81.38)),
        ("pspnet-resnet50-base-aux0-noda", "table 4", (34.28, 76.35)),
        ("pspnet-resnet101-voc-coco", "table 6, COCO, multi-scale", (85.4,)),
        ("fcrn-resnet50-cityscapes-os8-k5-d18", "table 3", (94.64, 76.34, 68.53)),
        ("fcrn-resnet152-cityscapes-bs1024", "table 7", (95.38, 81.00, 73.45)),
        ("fcrn-resnet101-context-bs512", "table 5", (72.9, 54.8, 44.5)),
        ("fcrn-resnet101-instances-bs-weighted", "table 6, COCO", (61.5, 46.6, 56.4)),
        ("deeperlab-x71-mapillary", "table 1", (31.95, 55.26, 55.30)),
        ("deeperlab-light-cityscapes", "table 8, input 513x1025", (39.32, 64.66)),
        ("deeperlab-light", "table 9, input 257", (40.16, 59.76)),
        ("deeperlab-light-coco", "table 10, input 321", (17.51, 39.15)),
    ],
)
def test_recipes_hold_the_numbers_of_the_tables(
    name: str, where: str, scores: tuple[float, ...]
) -> None:
    paper = {"deeplabv3": "DeepLabv3", "pspnet": "PSPNet", "fcrn": "FCRN"}
    system = paper.get(name.split("-")[0], "DeeperLab")
    assert tuple(scores_of(name, f"{system}, {where}").values()) == scores


def test_all_numbers_are_percentages() -> None:
    numbers = [n for recipe in EVERY for row in recipe.reported for n in row.scores.values()]
    assert all(1 < n < 100 for n in numbers)


@pytest.mark.parametrize("recipe", EVERY, ids=lambda recipe: recipe.name)
def test_crops_and_padded_photos_fit_the_output_stride(recipe: Recipe) -> None:
    stride = recipe.network.output_stride
    numbers = recipe.train
    multiple = math.lcm(recipe.input.multiple, stride)
    Augment(numbers.crop, numbers.scales, numbers.flip, multiple)  # refuses one that does not fit
    for size_hw in (VOC_PHOTO, (500, 334)):
        assert all((n - 1) % stride == 0 for n in recipe.input.padded(size_hw))


def test_deeplabv3_sees_photos_of_voc_as_they_are_on_513_x_513() -> None:
    for recipe in deeplabv3.RECIPES:
        if recipe not in (deeplabv3.CITYSCAPES, deeplabv3.CAMVID):
            assert recipe.input.ratio(VOC_PHOTO) == 1
            assert recipe.input.padded(VOC_PHOTO) == (513, 513)


def test_frames_of_camvid_are_seen_at_their_own_size_by_a_recipe_for_a_cpu() -> None:
    recipe = RECIPES["deeplabv3-mobilenet-v2-camvid"]
    assert recipe.input.ratio((360, 480)) == 1
    assert recipe.input.padded((360, 480)) == (369, 481)
    numbers = recipe.train
    assert (numbers.iterations, numbers.batch, numbers.crop) == (400, 4, 321)
    assert (numbers.optimiser, numbers.lr, numbers.backbone_multiplier) == ("adam", 0.001, 0.3)
    assert recipe.reported == ()


def test_fcrn_holds_its_rate_then_halves_it_and_leaves_batch_norm_alone() -> None:
    epochs = {"VOC 2012 val": 661, "Cityscapes val": 185, "PASCAL-Context val": 312}
    for recipe in (*fcrn.RECIPES, *fcrn_cityscapes.RECIPES):
        numbers = recipe.train
        epoch = epochs.get(recipe.reported[0].data, 661)
        held, total = (140, 204) if epoch == 185 else (40, 60)
        assert numbers.iterations == total * epoch
        rates = [rate(held * epoch + more, numbers) for more in (-1, 0)]
        assert rates == [0.0016, 0.0008]
        assert (numbers.power, numbers.bias_multiplier) == (1, 2)
        assert (numbers.norms, numbers.affine) == ("frozen", False)


def test_pspnet_learns_the_backbone_at_001_and_statistics_of_all_processes() -> None:
    for recipe in pspnet.RECIPES:
        numbers = recipe.train
        lr = 0.01 if recipe is pspnet.VOC_COCO else 0.1
        assert (numbers.lr, numbers.backbone_multiplier, numbers.bias_multiplier) == (lr, 0.1, 2)
        assert (numbers.norms, numbers.affine) == ("synchronised", True)


def test_what_freezes_batch_norm_freezes_scale_and_shift_too() -> None:
    frozen = {r.name for recipe in EVERY for r in recipe.stages if r.train.norms == "frozen"}
    fixed = {r.name for recipe in EVERY for r in recipe.stages if not r.train.affine}
    ours = {"deeplabv3-resnet101-nobn", "deeplabv3-resnet101-test-trainval"}
    assert frozen == fixed == {name for name in RECIPES if name.startswith("fcrn")} | ours


@pytest.mark.parametrize(
    "name",
    [
        "deeplabv3-resnet101-cityscapes",
        "pspnet-resnet101-cityscapes",
        "fcrn-resnet152-cityscapes",
        "deeperlab-light-cityscapes",
    ],
)
def test_street_scenes_are_seen_whole(name: str) -> None:
    rule = RECIPES[name].input
    assert rule.ratio(STREET) == pytest.approx(1, abs=0.001)
    assert rule.padded(STREET) == (1025, 2049)


def test_fcrn_s_classifiers_see_no_further_than_the_crop() -> None:
    for recipe in (*fcrn.RECIPES, *fcrn_cityscapes.RECIPES):
        assert isinstance(recipe.network, FCRNNetwork)
        assert recipe.network.field_of_view_px <= recipe.train.crop


@pytest.mark.parametrize(
    ("name", "suggested"),
    [("deeplab", "deeplabv3-resnet101"), ("fcrn-resnet1", "fcrn-resnet101"), ("xqzw", "pspnet")],
)
def test_an_unknown_name_is_answered_with_what_it_begins_or_a_near_one(
    name: str, suggested: str
) -> None:
    with pytest.raises(BadInput, match=f"did you mean .*{suggested}"):
        find(name)
