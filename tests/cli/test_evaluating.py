"""Which data a model is scored on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from atrous.data import catalogue
from atrous.data.shapes import Shapes
from atrous.labels import LabelSpace
from atrous.recipes import find
from atrous.recipes.recipe import override
from atrous.run.checkpoint import write_model
from conftest import Shell

SMALL = Shapes("val", size_hw=(49, 49), count=2)
STUFF = LabelSpace(tuple(replace(label, is_thing=False) for label in SMALL.labels.labels))
RENAMED = LabelSpace((replace(STUFF[0], name="heaven"), *STUFF.labels[1:]))


class Relabelled(Shapes):
    """Shapes whose classes are `STUFF`."""

    @property
    def labels(self) -> LabelSpace:
        return STUFF


class Renamed(Relabelled):
    @property
    def labels(self) -> LabelSpace:
        return RENAMED


@pytest.fixture(scope="module")
def semantic_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained small DeepLabv3 for the classes of shapes, which finds no instances."""
    settings = ("network.aspp_width=8", "input.longest_side=49")
    recipe = override(find("deeplabv3-mobilenet-v2"), settings)
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "semantic.safetensors"
    write_model(path, recipe.build(SMALL.labels).state_dict(), recipe.header(SMALL.labels))
    return path


def test_a_model_without_instances_is_scored_on_class_maps_of_its_classes(
    shell: Shell, semantic_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = []
    for data in (SMALL, Relabelled("val", size_hw=(49, 49), count=2)):
        monkeypatch.setattr(catalogue, "open_data", lambda spec, split, found=data: found)
        code, out, err = shell("eval", "--model", semantic_model, "--data", "shapes")
        assert code == 0, err
        assert "shapes: val 2 images (also train 2,000); 7 classes" in err
        scores.append(json.loads(out)["semantic"])
    assert scores[0] == scores[1]


def test_other_names_and_other_things_are_refused(
    shell: Shell, semantic_model: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Renamed("val", size_hw=(49, 49), count=2)
    monkeypatch.setattr(catalogue, "open_data", lambda spec, split: other)
    for model in (semantic_model, tiny_model):
        shell.refuses("eval", "--model", model, "--data", "shapes", naming="classes are not the")
    stuff = Relabelled("val", size_hw=(49, 49), count=2)
    monkeypatch.setattr(catalogue, "open_data", lambda spec, split: stuff)
    words = ("eval", "--model", tiny_model, "--data", "shapes")
    shell.refuses(*words, naming="its disc are stuff, which they are not to the model")
