"""A run of two stages: what the second one begins with, and that no kill changes the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from atrous.data.doubling import again, places
from atrous.data.shapes import Shapes
from atrous.parser import load
from atrous.recipes import Recipe, find
from atrous.recipes.recipe import override
from atrous.run.batches import batches
from atrous.run.checkpoint import read_header, read_weights
from atrous.run.learner import Learner
from atrous.run.schedule import rate
from atrous.run.states import State, read_state, states
from atrous.run.world import CPU, World
from atrous.training import beginning, train
from atrous.training.beginning import stream_of
from atrous.types import BadInput, Sample

SMALL = (
    *("network.backbone=mobilenet-v2-half", "network.aspp_width=8", "input.longest_side=65"),
    *("train.batch=2", "train.crop=33", "train.iterations=3", "train.lr=0.02"),
    *("train.checkpoint_every=1", "train.keep=9", "train.norm_momentum=0.1"),
)
LAST = 6
HARD = ("ring",)


def recipe(first: float = 0.0, second: float = 0.0) -> Recipe:
    """Two stages of three steps each, with these averages."""
    one = override(find("deeplabv3-mobilenet-v2"), (*SMALL, f"train.average={first}"))
    changed: dict[str, Any] = {"norms": "frozen", "affine": False, "doubled": HARD, "lr": 0.01}
    two = replace(
        one,
        name="tiny-then",
        network=replace(one.network, output_stride=8),
        train=replace(one.train, average=second, batch=4, **changed),
    )
    return replace(one, name="tiny", then=two)


class Scenes:
    """Drawn scenes that count how often they are read.

    bell  a signal comes when so many have been read; 0 = none does
    """

    def __init__(self, seed: int, *, bell: int = 0) -> None:
        self.drawn = Shapes("train", size_hw=(65, 65), count=6, seed=seed)
        self.labels, self.name = self.drawn.labels, self.drawn.name
        self.read, self.bell = 0, bell

    def __len__(self) -> int:
        return len(self.drawn)

    def __getitem__(self, index: int) -> Sample:
        self.read += 1
        if self.read == self.bell:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.drawn[index]


def run_in(out: Path, chosen: Recipe, *, resume: bool = False, bell: int = 0) -> bool:
    """Whether a signal stopped it."""
    data = (Scenes(0, bell=bell), Scenes(1))
    return train(chosen, data=data, out=out, resume=resume, quiet=True).is_stopped


def rows(run: Path) -> list[dict[str, Any]]:
    """The log, without what differs from time to time."""
    told = ("images_per_second", "wait", "memory_mib", "resumed")
    lines = (run / "log.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in told} for line in lines]


def doubled_in(run: Path) -> list[int]:
    kept: dict[str, list[int]] = json.loads((run / "doubled-1.json").read_text())
    return kept["places"]


@dataclass(frozen=True)
class Whole:
    """An unbroken run."""

    recipe: Recipe
    run: Path

    def state(self, step: int) -> State:
        return read_state(self.run / "state" / f"{step:08d}")

    def model(self) -> bytes:
        return (self.run / "last.safetensors").read_bytes()


@pytest.fixture(scope="module", params=[(0.9, 0.0), (0.0, 0.9)], ids=str)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    chosen, run = recipe(*request.param), tmp_path_factory.mktemp("whole") / "run"
    assert not run_in(run, chosen)
    return Whole(chosen, run)


def test_steps_go_on_counting_and_the_schedule_begins_anew(whole: Whole) -> None:
    told = rows(whole.run)
    assert [row["step"] for row in told] == list(range(LAST))
    first, second = (stage.train for stage in whole.recipe.stages)
    rates = [rate(step, first) for step in range(3)] + [rate(step, second) for step in range(3)]
    assert [row["lr"] for row in told] == pytest.approx(rates)
    assert rates[3] == 0.01


def test_the_second_stage_makes_its_first_step_from_what_the_first_one_left(whole: Whole) -> None:
    before, after, stage = whole.state(3), whole.state(4), whole.recipe.stages[1]
    torch.manual_seed(9)
    data = Scenes(1)
    system = stage.build(data.labels)
    hard = again(data, places(data, HARD))
    assert len(hard) > len(data)
    stream = replace(stream_of(stage, hard, system), first=3)
    system.load_state_dict(before.average or before.weights)
    learner = Learner(system, stage.train, World(0, 1, CPU), seed=stage.seed, first=3)
    learner.learn(next(batches(stream, range(3, 4))))
    ours = learner.state({})
    for part in ("weights", "optimiser", "average"):
        one, other = getattr(ours, part), getattr(after, part)
        assert one.keys() == other.keys()
        assert all(torch.equal(value, other[name]) for name, value in one.items()), part


def test_norms_stay_as_they_are_in_the_second_stage(whole: Whole) -> None:
    before, after = whole.state(3), whole.state(LAST)
    start = before.average or before.weights
    norms = [name for name in start if ".norm." in name]
    assert norms
    assert all(torch.equal(start[name], after.weights[name]) for name in norms)
    assert not [name for name in after.optimiser if ".norm." in name]
    assert not torch.equal(start["classifier.weight"], after.weights["classifier.weight"])
    first = whole.state(1).weights
    assert any(not torch.equal(first[name], before.weights[name]) for name in norms)


def test_the_last_model_is_that_of_the_second_stage(whole: Whole) -> None:
    header = read_header(whole.run / "last.safetensors")
    assert header["network"]["output_stride"] == 8
    assert header["recipe"] == json.loads(json.dumps(whole.recipe.record()))
    assert header["recipe"]["then"]["train"]["doubled"] == list(HARD)
    state = whole.state(LAST)
    model = read_weights(whole.run / "last.safetensors")
    kept = state.average or state.weights
    assert bool(state.average) == bool(whole.recipe.stages[1].train.average)
    assert all(torch.equal(value, kept[name]) for name, value in model.items())
    load(whole.run)(Scenes(0)[0].image)


def test_a_run_that_was_stopped_in_a_stage_leaves_a_model_of_it(tmp_path: Path) -> None:
    assert run_in(tmp_path, recipe(), bell=3)
    header = read_header(tmp_path / "last.safetensors")
    assert header["network"]["output_stride"] == 16
    assert "then" in header["recipe"]


@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_run_goes_on_from_any_step_to_the_same_bytes(
    whole: Whole, step: int, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole.run, run)
    (run / "last.safetensors").unlink()
    for state in states(run)[step:]:
        shutil.rmtree(state)
    assert not run_in(run, whole.recipe, resume=True)
    assert (run / "last.safetensors").read_bytes() == whole.model()
    assert rows(run) == rows(whole.run)


def test_a_signal_is_heard_in_the_last_step_of_a_stage_too(whole: Whole, tmp_path: Path) -> None:
    assert run_in(tmp_path, whole.recipe, bell=5)
    assert [state.name for state in states(tmp_path)] == ["00000001", "00000002", "00000003"]
    assert not run_in(tmp_path, whole.recipe, resume=True)
    assert (tmp_path / "last.safetensors").read_bytes() == whole.model()


def test_hard_images_are_sought_once_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Scenes(1)
    expected = list(places(data, HARD))
    assert 0 < len(expected) < len(data)
    assert run_in(tmp_path, recipe(), bell=3)
    assert not (tmp_path / "doubled-1.json").exists()  # the second stage has not begun
    run_in(tmp_path, recipe(), resume=True)
    assert doubled_in(tmp_path) == expected
    shutil.rmtree(tmp_path / "state" / f"{LAST:08d}")
    monkeypatch.setattr(beginning, "places", None)
    assert not run_in(tmp_path, recipe(), resume=True)


def test_a_new_run_does_not_believe_the_hard_images_of_one_that_came_to_nothing(
    tmp_path: Path,
) -> None:
    kept = {"classes": list(HARD), "images": 6, "places": [0, 0, 0]}
    (tmp_path / "doubled-1.json").write_text(json.dumps(kept))
    assert not run_in(tmp_path, recipe())
    expected = list(places(Scenes(1), HARD))
    assert doubled_in(tmp_path) == expected


def test_stages_must_have_data_of_the_same_classes(tmp_path: Path) -> None:
    three = (Scenes(0), Scenes(0), Scenes(0))
    with pytest.raises(BadInput, match="3 data sets for 2 stages: give one, or one for each"):
        train(recipe(), data=three, out=tmp_path / "r")
    other = Scenes(0)
    other.labels = replace(other.labels, labels=other.labels.labels[::-1])
    with pytest.raises(BadInput, match="other classes"):
        train(recipe(), data=(Scenes(0), other), out=tmp_path / "r")
    assert not (tmp_path / "r").exists()
