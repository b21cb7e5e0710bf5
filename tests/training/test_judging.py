"""Scores in the midst of training: what is due, which model is the best, and who parses what."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atrous.data.shapes import LABELS, Shapes
from atrous.instances.fuse import fuse
from atrous.recipes import Recipe, find
from atrous.run.checkpoint import read_weights
from atrous.run.logs import Log
from atrous.run.predict import Eye
from atrous.run.states import states
from atrous.run.world import CPU, World, joined
from atrous.tensors import Maps, View
from atrous.training import judging, train
from atrous.training.judging import SCORES, Judge, best_of
from atrous.types import BadInput, Parse, Sample
from conftest import TINY_NETWORK
from ranks import ranks

ALONE = World(0, 1, CPU)
COUNT = 7


class Scenes:
    """A few drawn scenes, the last one without things; notes which are read."""

    def __init__(self) -> None:
        drawn = [Shapes("val", size_hw=(65, 65), count=COUNT)[i] for i in range(COUNT - 1)]
        empty = Shapes("val", size_hw=(65, 65), instances=(0, 0))[0]
        self.samples, self.read = [*drawn, replace(empty, name="empty")], list[int]()
        self.labels = LABELS

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Sample:
        self.read.append(index)
        return self.samples[index]

    def name(self, index: int) -> str:
        return self.samples[index].name


class Oracle(nn.Module):
    """A model that knows the truth of the first `right` scenes, and says sky of all others."""

    def __init__(self, right: int = COUNT) -> None:
        super().__init__()
        self.register_buffer("right", torch.tensor(right))
        rule = find("deeperlab-light").input
        known = Scenes().samples[:right]
        self.known = {seen(Eye(self, rule, CPU).see([s.image])[0][0]): s for s in known}

    def forward(self, image: Tensor) -> Maps:
        return Maps(image, 1)

    def parse(self, views: list[View]) -> Parse:
        shape = views[0].frame.image_hw
        semantic, instance = LABELS.empty(shape), np.full(shape, -1, np.int32)
        semantic[:] = 0
        if sample := self.known.get(seen(views[0])):
            semantic = LABELS.semantic(sample.truth)
            instance = np.where(LABELS.is_thing[semantic], sample.truth.ids, -1).astype(np.int32)
        return fuse(semantic, np.full(shape, 0.9, np.float32), instance, labels=LABELS)


def seen(view: View) -> bytes:
    return view.maps.semantic.numpy().tobytes()


@dataclass
class Learnt:
    """What a judge asks a learner for."""

    model: nn.Module
    step: int = 1
    world: World = ALONE


def recipe(best: str = "", every: int = 1) -> Recipe:
    base = find("deeperlab-light")
    return replace(base, train=replace(base.train, best=best, eval_every=every))


def judge(run: Path, name: str = "", **counters: object) -> Judge:
    return Judge(recipe(name), Scenes(), run, {"recipe": {}}, dict(counters))


def quiet_log(run: Path) -> Log:
    return Log(run, start=0, total=9, quiet=True)


def rows(run: Path) -> list[dict[str, Any]]:
    lines = (run / "log.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if "eval" in row]


def kept(run: Path) -> int:
    """How many scenes the best model knows."""
    return int(read_weights(run / "best.safetensors")["right"])


def score(referee: Judge, model: nn.Module, log: Log, *, step: int = 1) -> None:
    referee.score(Learnt(model, step), log, lambda: False)  # type: ignore[arg-type]


@pytest.mark.parametrize("best", ["pq", "pc", "miou", "map_vol"])
def test_the_best_model_is_the_best_by_the_score_named(tmp_path: Path, best: str) -> None:
    referee, found = judge(tmp_path, best), []
    with quiet_log(tmp_path) as log:
        for step, right in enumerate((0, 5, 3, 6, 1), 1):
            score(referee, Oracle(right), log, step=step)
            found.append(kept(tmp_path))
    assert found == [0, 5, 5, 6, 6]
    answer = rows(tmp_path)[3]["eval"]
    for key in SCORES[best]:
        answer = answer[key]
    assert 0.5 < answer <= 1
    assert referee.counters == {"scored": 5, "best": {"name": best, "score": answer, "step": 4}}


def test_every_score_that_can_be_named_is_found_among_the_scores(tmp_path: Path) -> None:
    with quiet_log(tmp_path) as log:
        score(judge(tmp_path), Oracle(), log)
    (row,) = rows(tmp_path)
    assert {judging._found(row["eval"], name) for name in SCORES} == {1.0}


def test_of_equal_scores_the_first_is_kept(tmp_path: Path) -> None:
    referee = judge(tmp_path)
    with quiet_log(tmp_path) as log:
        for step in (1, 2):
            score(referee, Oracle(), log, step=step)
    assert referee.counters["best"] == {"name": "pq", "score": 1.0, "step": 1}


def test_another_score_than_that_of_the_stage_before_begins_anew(tmp_path: Path) -> None:
    before = {"name": "miou", "score": 0.99, "step": 7}
    for best, expected in (("miou", before), ("pq", None)):
        referee = judge(tmp_path / best, best, best=before, scored=7, seconds=3.0)
        with quiet_log(make(tmp_path / best)) as log:
            score(referee, Oracle(3), log, step=8)
        assert (tmp_path / best / "best.safetensors").exists() == (expected is None)
        assert expected in (None, referee.counters["best"])
        assert referee.counters.keys() == {"scored", "best"}


def make(run: Path) -> Path:
    run.mkdir()
    return run


def test_an_evaluation_is_due_once_every_so_many_steps(tmp_path: Path) -> None:
    referee = Judge(recipe(every=3), Scenes(), tmp_path, {}, {"scored": 3})
    assert [step for step in range(10) if referee.is_due(step)] == [6, 9]


def test_scores_wait_for_the_resume_where_the_run_is_to_end(tmp_path: Path) -> None:
    referee, ends = judge(tmp_path), iter([False, False, True, True, True, True])
    scenes = referee._val
    with quiet_log(tmp_path) as log:
        referee.score(Learnt(Oracle(), 1), log, lambda: next(ends))  # type: ignore[arg-type]
    assert isinstance(scenes, Scenes)
    assert scenes.read == [0, 1]
    assert referee.counters == {}
    assert rows(tmp_path) == []
    assert referee.is_due(1)


@dataclass(frozen=True)
class Judged:
    """What one of two processes did, and what it remembers."""

    read: list[int]
    counters: dict[str, Any]


def judged(rank: int, run: Path) -> Judged:
    with (
        joined("cpu") as world,
        Log(run if rank == 0 else None, start=0, total=9, quiet=True) as log,
    ):
        log._events = None  # pictures are parsed once more
        referee = judge(run)
        referee.score(Learnt(Oracle(5), 4, world), log, lambda: False)  # type: ignore[arg-type]
        scenes = referee._val
    assert isinstance(scenes, Scenes)
    return Judged(scenes.read, referee.counters)


@pytest.mark.study
def test_two_processes_come_to_the_scores_of_one_to_the_last_digit(tmp_path: Path) -> None:
    runs = [make(tmp_path / name) for name in ("one", "two")]
    alone, (first, second) = judged(0, runs[0]), ranks(2, judged, runs[1])
    assert alone.read == list(range(COUNT))
    assert sorted(first.read + second.read) == alone.read
    assert len(first.read) - len(second.read) == 1
    lines = [(run / "log.jsonl").read_text() for run in runs]
    assert lines[0] == lines[1]
    assert json.loads(lines[0])["eval"]["panoptic"]["all"]["pq"] not in (0, 1, None)
    assert alone.counters == first.counters
    assert second.counters["scored"] == 4
    models = [(run / "best.safetensors").read_bytes() for run in runs]
    assert models[0] == models[1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pictures_are_of_the_same_images_each_time(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    referee = judge(tmp_path)
    with quiet_log(tmp_path) as log:
        for step, right in ((2, 0), (4, COUNT), (6, COUNT)):
            score(referee, Oracle(right), log, step=step)
    events = EventAccumulator(str(tmp_path)).Reload()
    tags = events.Tags()
    names = [Scenes().name(i) for i in (0, 2, 4, 6)]
    assert tags["images"] == [f"parses/{name}" for name in names]
    for tag in tags["images"]:
        blind, sharp, again = events.Images(tag)
        assert [x.step for x in (blind, sharp, again)] == [1, 3, 5]
        assert blind.encoded_image_string != sharp.encoded_image_string
        assert sharp.encoded_image_string == again.encoded_image_string
    assert {"eval/panoptic/all/pq", "eval/semantic/miou"} <= set(tags["scalars"])
    assert [x.value for x in events.Scalars("eval/panoptic/all/pq")] == [0, 1, 1]


def test_the_name_of_no_score_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"train.best is 'iou': it can be pq, .*map_vol"):
        best_of(recipe("iou"))


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("deeperlab-light", "pq"),
        ("deeplabv3-resnet50", "miou"),
        ("pspnet-resnet50", "miou"),
        ("fcrn-resnet101-bs256", "miou"),
        ("fcrn-resnet50-instances", "map_vol"),
    ],
)
def test_by_itself_a_system_is_judged_by_what_it_is_made_for(name: str, best: str) -> None:
    assert best_of(find(name)) == best


DATA = Shapes("train", size_hw=(65, 65), count=6)
VAL = Shapes("val", size_hw=(65, 65), count=1)
EVERY_STEP = (
    *TINY_NETWORK,
    "train.iterations=5",
    "train.eval_every=1",
    "train.checkpoint_every=1",
    "train.keep=5",
)


class Given:
    """Scores that were made up: the next of a list for each evaluation.

    at  evaluation in which a signal comes: before its scores are known, or with them
    """

    def __init__(
        self, patch: pytest.MonkeyPatch, scores: list[float], at: int = 0, *, before: bool = False
    ) -> None:
        self._scores, self._at, self._count, self._before = iter(scores), at, 0, before
        patch.setattr(judging, "scored", self._note)
        patch.setattr(judging, "_merged", lambda parts: self)

    def _note(self, *_: object, **__: object) -> None:
        self._count += 1
        if self._before:
            self._ring()

    def compute(self) -> Given:
        return self

    def to_json(self) -> dict[str, Any]:
        if not self._before:
            self._ring()
        return {"panoptic": {"all": {"pq": next(self._scores)}}}

    def _ring(self) -> None:
        if self._count == self._at:
            os.kill(os.getpid(), signal.SIGTERM)


def run_to(out: Path, *, resume: bool = False) -> bool:
    """Whether a signal stopped it."""
    how: dict[str, Any] = {"out": out, "resume": resume, "val": VAL, "quiet": True}
    return train("deeperlab-light", data=DATA, settings=EVERY_STEP, **how).is_stopped


def evaluated(run: Path) -> list[tuple[int, float]]:
    return [(row["step"], row["eval"]["panoptic"]["all"]["pq"]) for row in rows(run)]


def test_a_resumed_run_keeps_the_best_model_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Given(monkeypatch, [0.2, 0.9, 0.3], at=3)
    assert run_to(tmp_path)
    best = (tmp_path / "best.safetensors").read_bytes()
    Given(monkeypatch, [0.5, 0.4])
    assert not run_to(tmp_path, resume=True)
    assert evaluated(tmp_path) == list(enumerate([0.2, 0.9, 0.3, 0.5, 0.4]))
    assert (tmp_path / "best.safetensors").read_bytes() == best


def test_a_killed_run_forgets_the_scores_that_it_makes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Given(monkeypatch, [0.2, 0.9, 0.3], at=3)
    run_to(tmp_path)
    for state in states(tmp_path)[1:]:
        state.rename(tmp_path / state.name)  # as if it had been killed before they were written
    Given(monkeypatch, [0.5, 0.8, 0.4, 0.1])
    assert not run_to(tmp_path, resume=True)
    assert evaluated(tmp_path) == list(enumerate([0.2, 0.5, 0.8, 0.4, 0.1]))
    counters = json.loads((states(tmp_path)[-1] / "counters.json").read_text())
    assert counters["best"] == {"name": "pq", "score": 0.8, "step": 3}


def test_an_evaluation_that_a_signal_prevented_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Given(monkeypatch, [0.2, 0.9], at=3, before=True)
    assert run_to(tmp_path)
    assert evaluated(tmp_path) == [(0, 0.2), (1, 0.9)]
    assert states(tmp_path)[-1].name == "00000003"
    Given(monkeypatch, [0.95, 0.4, 0.3])
    assert not run_to(tmp_path, resume=True)
    assert evaluated(tmp_path) == list(enumerate([0.2, 0.9, 0.95, 0.4, 0.3]))
    best = read_weights(tmp_path / "best.safetensors")
    third = read_weights(tmp_path / "state" / "00000003" / "weights.safetensors")
    assert all(torch.equal(value, third[name]) for name, value in best.items())


def test_a_signal_in_the_last_step_leaves_a_finished_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Given(monkeypatch, [0.1, 0.2, 0.3, 0.4, 0.5], at=5, before=True)
    assert not run_to(tmp_path)
    assert evaluated(tmp_path)[-1] == (4, 0.5)
    assert (tmp_path / "last.safetensors").exists()
