from __future__ import annotations

import numpy as np
import pytest
import torch

from atrous.bench import bench, untrained
from atrous.bench.run import FUSION
from atrous.bench.scene import drawn, seen
from atrous.metrics.panoptic import PanopticQuality
from atrous.parser import Parser, Way
from atrous.recipes import find
from atrous.recipes.recipe import Recipe, override
from atrous.recipes.speeds import Reported, reported
from atrous.types import BadInput

CPU = torch.device("cpu")
SMALL = {
    "deeperlab-light": ("network.decoder_width=8", "network.aspp_width=16"),
}


def parser(name: str, settings: tuple[str, ...] = ()) -> Parser:
    recipe = override(find(name), settings)
    return untrained(recipe, Way(), classes=6, device=CPU)


def test_every_stage_of_deeperlab_is_timed() -> None:
    light = parser("deeperlab-light", SMALL["deeperlab-light"])
    timing = bench(light, (129, 161), model="light", runs=2, batch=2, instances=3)
    names = [stage.name for stage in timing.stages]
    assert names[:4] == ["decode", "resize", "network", "classes"]
    assert set(FUSION) - {"decode on the device"} <= set(names)
    assert names[-1] == "encode"
    assert all(s.least_ms <= s.median_ms <= s.most_ms for s in timing.stages)
    assert timing.fusion_ms > 0
    assert timing.input_hw == (129, 161)
    assert timing.to_json()["stages"]["votes"]["median_ms"] > 0


def test_an_image_is_timed_at_the_size_that_is_asked_for() -> None:
    light = parser("deeperlab-light", SMALL["deeperlab-light"])
    photo = np.zeros((50, 70, 3), np.uint8)
    timing = bench(light, (65, 97), model="light", runs=1, instances=2, image=photo)
    assert timing.input_hw == (65, 97)


def test_the_drawn_scene_is_parsed_to_what_was_drawn() -> None:
    light = parser("deeperlab-light", SMALL["deeperlab-light"])
    scene = drawn((257, 257), 5, light.labels)
    quality = PanopticQuality(light.labels)
    parse = light.network.parse([seen(light.network, scene, device=CPU)])
    quality.update(scene.truth, parse.labelled)
    assert quality.compute().things.rq > 0.7


def said_of(recipe: Recipe, size_hw: tuple[int, int]) -> Reported | None:
    return reported(recipe.network, recipe.fusion, size_hw)


@pytest.mark.parametrize(
    ("recipe", "size_hw", "fusion_ms"),
    [
        ("deeperlab-light-mapillary", (721, 721), 45),
        ("deeperlab-x71-mapillary", (1441, 1441), 145),
        ("deeperlab-wider-cityscapes", (1025, 2049), 154),
    ],
)
def test_the_papers_times_stand_beside_ours(
    recipe: str, size_hw: tuple[int, int], fusion_ms: float
) -> None:
    said = said_of(find(recipe), size_hw)
    assert said is not None
    assert said.model == recipe.split("-")[1]
    assert said.fusion_ms == fusion_ms


def test_the_paper_says_nothing_of_other_models_and_sizes() -> None:
    assert said_of(find("pspnet-resnet50"), (713, 713)) is None
    assert said_of(find("deeperlab-x71"), (721, 721)) is None
    assert said_of(find("deeperlab-x71-bu"), (513, 513)) is None


@pytest.mark.parametrize(
    ("setting", "is_said"),
    [
        ("network.output_stride=8", False),
        ("network.decoder_width=8", False),
        ("fusion.instances=0", False),
        ("fusion.peaks=10", False),
        ("fusion.graph=rectangle", False),
        ("fusion.peak_threshold=0.2", True),
        ("train.lr=1", True),
    ],
)
def test_the_paper_says_nothing_of_its_models_in_other_settings(
    setting: str, is_said: bool
) -> None:
    recipe = override(find("deeperlab-light"), [setting])
    assert (said_of(recipe, (513, 513)) is not None) == is_said


def test_an_image_needs_no_room_for_a_scene() -> None:
    light, photo = (
        parser("deeperlab-light", SMALL["deeperlab-light"]),
        np.zeros((9, 9, 3), np.uint8),
    )
    timing = bench(light, (1, 1), model="light", runs=1, image=photo)
    assert (timing.input_hw, timing.instances) == ((1, 1), 0)
    with pytest.raises(BadInput, match=r"--size 1x1: a drawn scene has 64 pixels.*--image"):
        bench(light, (1, 1), model="light", runs=1)


def test_too_few_classes_are_refused() -> None:
    with pytest.raises(BadInput, match="2 or more"):
        untrained(find("deeperlab-light"), Way(), classes=1, device=CPU)
