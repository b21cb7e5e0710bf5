"""What a training says and keeps of the weights that it begins with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import mobile_backbone, mobile_deeplab
from safetensors.torch import load_file, save_file
from starts import network, synthetic

from atrous.convert import begin, read_start
from atrous.data.shapes import Shapes
from atrous.recipes import RECIPES
from atrous.recipes.recipe import override
from atrous.run.checkpoint import write_model
from atrous.training import train
from atrous.types import BadInput
from conftest import TINY_NETWORK

DATA = Shapes("train", size_hw=(65, 65), count=4)
NEW = ("context", "decoder", "semantic", "heatmap", "long", "short", "middle")
SETTINGS = (*TINY_NETWORK, "train.iterations=1", "network.backbone=mobilenet-v2")


def odd_backbone(path: Path) -> Path:
    """A backbone's file with a tensor that has no place in it."""
    file = load_file(mobile_backbone(path))
    save_file({**file, "odd.weight": torch.zeros(2)}, path)
    return path


def same(now: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether two records agree but in their ids: a resume takes the folder with a new one."""
    return {**now, "id": before["id"]} == before


def test_a_training_says_what_it_begins_with_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, run = odd_backbone(tmp_path / "x.safetensors"), tmp_path / "run"
    train("deeperlab-light", data=DATA, out=run, init=path, settings=SETTINGS)
    words = "; left out: odd.weight; new: " + ", ".join(NEW)
    assert f"began with 102 of 103 tensors of {path}{words}\n" in capsys.readouterr().err
    record = json.loads((run / "run.json").read_text())
    assert record["start"] == {
        "file": str(path),
        "used": 102,
        "left_out": ["odd.weight"],
        "grafted": [],
        "new": list(NEW),
    }
    outcome = resumed(run)
    assert outcome.step == 1
    assert capsys.readouterr().err == ""
    assert same(json.loads((run / "run.json").read_text()), record)


def resumed(run: Path) -> Any:
    return train("deeperlab-light", data=DATA, out=run, settings=SETTINGS, resume=True, quiet=True)


def test_a_run_that_was_ended_before_its_first_state_goes_on_with_what_it_began_with(
    tmp_path: Path,
) -> None:
    run, path = tmp_path / "run", odd_backbone(tmp_path / "x.safetensors")
    words: dict[str, Any] = {"data": DATA, "out": run, "settings": SETTINGS, "quiet": True}
    train("deeperlab-light", init=path, **words)
    record = json.loads((run / "run.json").read_text())
    shutil.rmtree(run / "state")
    with pytest.raises(BadInput, match=f"--init = {path}, not none: give the same command again"):
        train("deeperlab-light", resume=True, **words)
    assert same(json.loads((run / "run.json").read_text()), record)
    train("deeperlab-light", init=path, resume=True, **words)
    assert same(json.loads((run / "run.json").read_text()), record)


def test_a_refused_start_writes_nothing(tmp_path: Path) -> None:
    run, path = tmp_path / "run", mobile_backbone(tmp_path / "x.safetensors")
    settings = (*SETTINGS, "network.backbone=mobilenet-v2-half")
    with pytest.raises(BadInput, match="choose another --init"):
        train("deeperlab-light", data=DATA, out=run, init=path, settings=settings, quiet=True)
    assert not run.exists()


def test_a_run_json_that_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[1]")
    with pytest.raises(BadInput, match="not what a run leaves"):
        train("deeperlab-light", data=DATA, out=tmp_path, settings=SETTINGS, quiet=True)
    assert (tmp_path / "run.json").read_text() == "[1]"


@pytest.mark.parametrize("setting", ["fusion.radius_px=50", "fusion.graph=rectangle"])
def test_heads_of_instances_begin_anew_where_they_would_mean_something_else(
    tmp_path: Path, setting: str
) -> None:
    recipe = override(RECIPES["deeperlab-light"], SETTINGS)
    path = tmp_path / "x.safetensors"
    weights = recipe.build(DATA.labels).state_dict()
    write_model(path, weights, recipe.header(DATA.labels))
    assert begin(recipe.build(DATA.labels), read_start(path)).new == ()
    other = override(recipe, (setting,)).build(DATA.labels)
    begun = begin(other, read_start(path))
    assert set(begun.new) == {"heatmap", "long", "short", "middle"}
    assert {name.split(".")[0] for name in begun.left_out} == {"heatmap", "long", "short", "middle"}


def test_a_head_that_finds_no_place_is_told_by_its_names_in_the_file(tmp_path: Path) -> None:
    begun = begin(network(), read_start(mobile_deeplab(tmp_path / "x.safetensors")))
    head = ("concat_projection.bias", "concat_projection.weight", "logits.bias", "logits.weight")
    assert (begun.used, begun.left_out, begun.grafted) == (106, head, ())
    assert begun.new == ("context.atrous", "context.project", *NEW[1:])


def test_norms_of_the_file_and_those_that_came_folded_are_not_new(tmp_path: Path) -> None:
    for layout in ("torchvision", "deeplab-lite"):
        begun = begin(network(), read_start(synthetic(layout, tmp_path / "x.safetensors")))
        assert not [name for name in begun.new if name.startswith("backbone")]
        other = [name for name in begun.left_out if not name.startswith("classifier.")]
        assert other == []


def test_a_backbone_with_a_hole_is_refused(tmp_path: Path) -> None:
    path = synthetic("deeplab-lite", tmp_path / "x.safetensors")
    file = load_file(path)
    file["backbone.stem.weight"] = file["backbone.stem.weight"][:, :1].contiguous()
    save_file(file, path)
    with pytest.raises(BadInput, match=r"part of the backbone alone: backbone\.stem would begin"):
        begin(network(), read_start(path))


def test_a_model_for_other_classes_begins_all_but_the_classifier(tmp_path: Path) -> None:
    save_file(network(classes=5).state_dict(), tmp_path / "x.safetensors")
    begun = begin(network(), read_start(tmp_path / "x.safetensors"))
    assert begun.left_out == ("semantic.1.bias", "semantic.1.weight")
    assert begun.new == ("semantic.1",)
    file = begun.used + 2
    told = f"began with {begun.used} of {file} tensors of x; left out: semantic.1.bias, "
    assert begun.told("x") == told + "semantic.1.weight; new: semantic.1"


def test_all_of_a_network_can_be_in_the_file(tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "x.safetensors")
    begun = begin(network(), read_start(tmp_path / "x.safetensors"))
    assert (begun.left_out, begun.new) == ((), ())
    assert begun.told("x") == f"began with {begun.used} of {begun.used} tensors of x"
