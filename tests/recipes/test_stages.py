from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from atrous.labels import VOC, unnamed
from atrous.recipes import RECIPES, find
from atrous.recipes.recipe import Recipe, override
from atrous.types import BadInput

ONE = find("deeplabv3-mobilenet-v2")
TEST = find("deeplabv3-resnet101-test")
SMALL = ("network.backbone=mobilenet-v2-half", "network.aspp_width=8")
STAGED = tuple(recipe for recipe in RECIPES.values() if recipe.then)
SHIPPED = tuple(stage for recipe in STAGED for stage in recipe.stages)


def chain(*names: str, first: Recipe = ONE) -> Recipe:
    """A recipe of several small stages, which have these names."""
    recipe: Recipe | None = None
    for name in reversed(names):
        recipe = replace(override(first, SMALL), name=name, then=recipe)
    assert recipe is not None
    return recipe


def refusal(recipe: Recipe, *settings: str) -> str:
    with pytest.raises(BadInput) as caught:
        override(recipe, settings)
    return str(caught.value)


def test_a_recipe_is_its_own_first_stage() -> None:
    assert ONE.stages == (ONE,)
    assert [stage.name for stage in chain("a", "b", "c").stages] == ["a", "b", "c"]


def test_settings_of_later_stages_begin_with_then() -> None:
    three = chain("a", "b", "c")
    settings = ("then.train.lr=0.25", "then.then.split=all", "then.network.output_stride=8")
    first, second, third = override(three, settings).stages
    assert (second.train.lr, second.network.output_stride) == (0.25, 8)
    assert third.split == "all"
    assert replace(first, then=None) == replace(three, then=None)
    assert third == replace(three.stages[2], split="all")


def test_settings_of_a_stage_that_is_not_there_are_refused() -> None:
    assert refusal(ONE, "then.train.lr=1") == "--set then.train.lr: this recipe has one stage"
    assert refusal(ONE, "then=b").endswith("this recipe has one stage")
    assert refusal(chain("a", "b"), "then.then.train.lr=1").endswith("this recipe has 2 stages")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("then=b", "name one number, such as train.lr"),
        ("then.then=none", "this recipe has 2 stages"),
        ("then.seed=3", "all stages have one seed: set seed"),
        ("then.init_from=a.safetensors", "begins with the weights of the one before"),
        ("then.name=c", "no such setting"),
        ("then.train.lrr=1", "did you mean lr"),
        ("then.train.batch=two", "then.train.batch: 'two' is no int"),
        ("then.train.norms=none", "train.norms is 'none'"),
    ],
)
def test_what_a_later_stage_does_not_have_is_refused(setting: str, words: str) -> None:
    assert words in refusal(chain("a", "b"), setting)


def test_all_stages_have_the_seed_of_the_first() -> None:
    three = override(chain("a", "b", "c"), ("seed=3",))
    assert [stage.seed for stage in three.stages] == [3, 3, 3]
    built = replace(ONE, seed=5, then=replace(ONE, seed=6))
    assert [stage.seed for stage in built.stages] == [5, 5]


def test_a_stage_of_another_system_is_refused() -> None:
    with pytest.raises(ValueError, match="the stage after it must be of deeplabv3 too"):
        replace(ONE, then=find("pspnet-resnet50"))


def test_a_later_stage_that_would_begin_with_other_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="begin with its weights: leave its init_from empty"):
        replace(ONE, then=replace(ONE, init_from="other.safetensors"))


@pytest.mark.parametrize(
    ("setting", "tensor"),
    [
        ("then.network.aspp_width=16", r"classifier\.weight is \(3, 8, 1, 1\), then \(3, 16,"),
        ("then.network.extra_conv=true", r"extra\.conv\.weight is not there, then \(8, 8, 3, 3\)"),
        ("then.network.backbone=mobilenet-v2", r"backbone\.stem\.conv\.weight is \(16"),
    ],
)
def test_a_stage_that_cannot_take_the_weights_is_refused_when_built(
    setting: str, tensor: str
) -> None:
    recipe = override(chain("a", "b"), (setting,))
    with torch.device("meta"), pytest.raises(BadInput, match="recipe a: the stage after it") as at:
        recipe.build(unnamed(3))
    at.match(tensor)


def test_stages_may_differ_in_stride_and_rates() -> None:
    settings = ("then.network.output_stride=8", "then.network.dropout=0.5")
    recipe = override(chain("a", "b"), settings)
    torch.manual_seed(1)
    recipe.build(unnamed(3))
    after = torch.rand(1)
    torch.manual_seed(1)
    replace(recipe, then=None).build(unnamed(3))
    assert torch.rand(1) == after  # the look at the next stage draws nothing


def test_the_record_holds_all_numbers_of_later_stages() -> None:
    recipe = override(chain("a", "b"), ("then.split=all", "then.network.output_stride=8"))
    record = json.loads(json.dumps(recipe.record()))
    assert "split" not in record
    then = record["then"]
    assert (then["name"], then["split"], then["network"]["output_stride"]) == ("b", "all", 8)
    assert {"losses", "train", "input", "fusion"} <= set(then)
    assert "then" not in then
    assert "then" not in ONE.record()


def test_a_header_has_the_same_parts_with_and_without_stages() -> None:
    headers = [recipe.header(unnamed(3)) for recipe in (chain("a"), chain("a", "b"))]
    assert set(headers[0]) == set(headers[1]) == {"network", "labels", "input", "fusion", "recipe"}
    assert [header["recipe"].pop("then", None) is None for header in headers] == [True, False]
    assert headers[0] == headers[1]


def test_the_test_model_learns_train_aug_then_trainval_at_a_finer_stride() -> None:
    assert STAGED == (TEST,)
    first, second = TEST.stages
    assert (first.split, second.split) == ("train_aug", "trainval")
    assert [s.network.output_stride for s in TEST.stages] == [16, 8]
    assert [s.train.batch for s in TEST.stages] == [16, 8]
    assert [s.train.lr for s in TEST.stages] == [0.0001, 0.0001]
    assert [s.train.iterations for s in TEST.stages] == [30_000, 30_000]
    assert [(s.train.norms, s.train.affine) for s in TEST.stages] == [
        ("synchronised", True),
        ("frozen", False),
    ]
    assert first.train == find("deeplabv3-resnet101-coco").train


def test_hard_classes_come_twice_in_the_second_stage_alone() -> None:
    first, second = TEST.stages
    hard = ("bicycle", "chair", "diningtable", "pottedplant", "sofa")
    assert (first.train.doubled, second.train.doubled) == ((), hard)
    assert set(hard) < {label.name for label in VOC.labels}


def test_without_coco_both_rates_of_the_test_model_can_be_set() -> None:
    recipe = override(TEST, ("train.lr=0.007", "then.train.lr=0.001"))
    assert [stage.train.lr for stage in recipe.stages] == [0.007, 0.001]


@pytest.mark.parametrize("recipe", STAGED, ids=lambda recipe: recipe.name)
def test_stages_of_our_recipes_take_each_other_s_weights(recipe: Recipe) -> None:
    with torch.device("meta"):
        recipe.build(VOC)


@pytest.mark.parametrize("stage", SHIPPED, ids=lambda stage: stage.name)
def test_later_stages_report_nothing_of_their_own_and_fit_photos(stage: Recipe) -> None:
    assert bool(stage.reported) == (stage in STAGED)
    sides = (stage.train.crop, *stage.input.padded((375, 500)))
    assert all((side - 1) % stage.network.output_stride == 0 for side in sides)


def test_info_shows_each_stage_on_a_line_of_its_own(
    shell: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = override(chain("a", "b"), ("then.network.output_stride=8", "then.split=all"))
    monkeypatch.setitem(RECIPES, "a", recipe)
    code, out, _ = shell("info", "a", "--size", 33)
    parts = {line[:12].strip(): line[12:] for line in out.splitlines()}
    assert code == 0
    assert json.loads(parts["recipe"])["name"] == "a"
    assert "then" not in json.loads(parts["recipe"])
    then = json.loads(parts["then"])
    assert (then["name"], then["split"], then["network"]["output_stride"]) == ("b", "all", 8)
