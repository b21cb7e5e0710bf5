"""What a run would take, said before it is begun, and batches cut so that they fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from atrous.data.shapes import Shapes
from atrous.recipes import Recipe, find
from atrous.recipes.recipe import override
from atrous.run.learner import Learner
from atrous.run.memory import Need
from atrous.run.train import steps
from atrous.run.world import CPU, World
from atrous.training import Rehearsal, fitted, rehearsal, rehearse, train
from atrous.types import BadInput, Failed
from conftest import TINY_NETWORK
from ranks import ranks

GIB, MIB = 2**30, 2**20
DATA = Shapes("train", size_hw=(65, 65), count=6)
TINY = (*TINY_NETWORK, "train.batch=8", "train.norms=frozen", "train.iterations=100")


def tiny(*settings: str) -> Recipe:
    return override(find("deeperlab-light"), (*TINY, *settings))


def two_stages(*settings: str) -> Recipe:
    return replace(tiny(*settings), then=tiny("train.batch=4", "train.iterations=7", *settings))


def needed(*_: object, images: int, **__: object) -> Need:
    """A round number of bytes for each image, and for the network."""
    parts = {"optimiser": 0, "average": 0, "anchor": 0, "inputs": 0, "passing": 0}
    return Need(images, weights=MIB, gradients=MIB, activations=images * 4 * MIB, **parts)


def most(*_: object, space: int, **__: object) -> int:
    """How many images `needed` lets fit."""
    return max(0, space - 2 * MIB) // (4 * MIB)


def free(patch: pytest.MonkeyPatch, images: float) -> None:
    """The machine has room for so many images at a time, and these are quick to reckon."""
    room = int((2 + 4 * images) * MIB)
    patch.setattr(rehearsal, "available", lambda device: room)
    patch.setattr(rehearsal, "need", needed)
    patch.setattr(rehearsal, "most_images", most)
    patch.setattr(rehearsal, "ROOM", 1.0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_stage_tells_memory_and_time_and_leaves_no_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 8)
    recipe = two_stages("train.anchor=1", "train.average=0.9")
    first, second = rehearse(recipe, (DATA, DATA), out=here / "run" / "deep")
    assert not list(here.iterdir())
    assert (first.images, second.images) == (8, 4)
    for answer, iterations in ((first, 100), (second, 7)):
        assert answer.fits
        assert answer.step_seconds is not None
        assert answer.seconds == pytest.approx(iterations * answer.step_seconds)
        assert answer.peak is not None
        assert answer.peak > 100 * MIB


def test_what_does_not_fit_is_told_and_not_tried(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = two_stages()
    free(monkeypatch, 7.9)  # the first stage has eight at a time
    tried: list[int] = []

    def noted(learner: Learner, *arguments: Any, **more: Any) -> Iterator[dict[str, float]]:
        tried.append(learner.settings.batch)
        return steps(learner, *arguments, **more)

    monkeypatch.setattr(rehearsal, "steps", noted)
    first, second = rehearse(recipe, (DATA, DATA), out=here / "run")
    assert (first.fits, second.fits) == (False, True)
    assert tried == [4]
    assert (first.peak, first.step_seconds, first.seconds) == (None, None, None)
    assert second.seconds is not None
    memory, mend = first.told()
    assert memory.startswith("memory ")
    assert memory.count("8 images at a time") == 1
    assert mend.startswith("no step was made: ")
    assert mend.endswith("too little: set a larger train.accumulate, or give --auto-batch")


def test_lines_for_people_and_numbers_for_programs() -> None:
    parts = {"inputs": GIB // 2, "activations": 2 * GIB, "passing": GIB, "average": 0, "anchor": 0}
    need = Need(12, weights=GIB // 4, gradients=GIB // 4, optimiser=GIB // 2, **parts)
    told = Rehearsal(12, need, 8 * GIB, peak=5 * GIB, step_seconds=0.26, seconds=7800.0)
    assert told.told() == (
        "memory 4.5 GiB: 12 images at a time 3.5, weights 0.2, gradients 0.2, optimiser 0.5",
        "time 0.26 s a step, 2 h 10 min in all; two steps were made, with at most 5.0 GiB in use",
    )
    answer = json.loads(json.dumps(told.to_json()))
    assert (
        answer["total"] == need.total == sum(v for k, v in answer["need"].items() if k != "images")
    )
    assert (answer["images"], answer["available"], answer["fits"]) == (12, 8 * GIB, True)
    assert not replace(told, available=need.total - 1).fits


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (7800, "2 h 10 min"),
        (2 * 86_400 + 3601, "2 d 1 h"),
    ],
)
def test_time_is_told_in_the_two_largest_units(seconds: float, words: str) -> None:
    assert rehearsal._span(seconds) == words


def test_what_a_run_refuses_its_rehearsal_refuses(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 8)
    with pytest.raises(BadInput, match="eval_every needs validation data"):
        rehearse(tiny("train.eval_every=1"), (DATA,), out=here / "run")
    (here / "file").write_text("")
    with pytest.raises(BadInput, match="file: no folder that can be written to"):
        rehearse(tiny(), (DATA,), out=here / "file" / "run")
    with pytest.raises(BadInput, match="no such file"):
        rehearse(tiny(), (DATA,), out=here / "run", init="nowhere.safetensors")
    with pytest.raises(Failed, match="the loss is not finite"):
        rehearse(tiny("train.lr=1e30"), (DATA,), out=here / "run")


@pytest.mark.parametrize(("images", "parts"), [(8, 1), (7.9, 2), (3, 4), (1, 8)])
def test_a_batch_is_cut_into_as_few_parts_as_fit(
    monkeypatch: pytest.MonkeyPatch, images: float, parts: int
) -> None:
    free(monkeypatch, images)
    chosen, fit = fitted(tiny(), (DATA,))
    assert chosen == tiny(f"train.accumulate={parts}")
    assert chosen.train.batch == 8
    assert fit == (int(images),)


def test_some_room_is_left_for_what_was_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 8)
    monkeypatch.setattr(rehearsal, "ROOM", 0.9)
    assert fitted(tiny(), (DATA,))[0].train.accumulate == 2


def test_stages_are_cut_each_by_itself(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 4)
    chosen, fit = fitted(two_stages(), (DATA, DATA))
    assert [stage.train.accumulate for stage in chosen.stages] == [2, 1]
    assert fit == (4, 4)


def test_a_batch_of_which_not_even_the_least_part_fits_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 0.5)
    what = "--auto-batch: 0 images of 33 px fit in memory at once, and at least {} must: set a sm"
    with pytest.raises(BadInput, match=what.format(1)):
        fitted(tiny(), (DATA,))
    free(monkeypatch, 1)
    with pytest.raises(BadInput, match="and at least 2 must"):
        fitted(tiny("train.norms=batch"), (DATA,))


def test_a_batch_that_has_no_even_parts_is_refused_by_name(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 4)
    what = "7 images cannot be cut evenly into parts of 2 to 4, which fit .*train.batch"
    with pytest.raises(BadInput, match=what):
        fitted(tiny("train.batch=7", "train.norms=batch"), (DATA,))


def test_data_without_images_are_refused_before_anything_is_reckoned(here: Path) -> None:
    with pytest.raises(BadInput, match="no images"):
        fitted(tiny(), (Shapes("train", size_hw=(65, 65), count=0),))


def test_a_resumed_run_keeps_the_parts_that_it_began_with(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 4)
    chosen, _ = fitted(tiny("train.iterations=1"), (DATA,))
    train(chosen, data=DATA, out=here / "run", quiet=True)
    free(monkeypatch, 100)
    again, fit = fitted(tiny("train.iterations=1"), (DATA,), run=here / "run")
    assert again == chosen
    assert fit == ()
    assert fitted(tiny("train.iterations=1"), (DATA,), run=here / "new")[0] == tiny(
        "train.iterations=1"
    )


def test_two_processes_need_one_image_each_where_norms_are_synchronised() -> None:
    recipe = tiny("train.batch=4", "train.norms=synchronised")
    assert rehearsal._parts(recipe, 1, World(0, 2, CPU)) == 2
    with pytest.raises(BadInput, match="at least 2 must"):
        rehearsal._parts(recipe, 1, World(0, 1, CPU))


def together(rank: int, out: Path) -> tuple[Recipe, tuple[int, ...], list[Any]]:
    """Parts, what fits, and a rehearsal of a process that has more room than the one before."""
    with pytest.MonkeyPatch.context() as patch:
        free(patch, 4.5 + rank)
        chosen, fit = fitted(tiny(), (DATA,))
        answers = rehearse(chosen, (DATA,), out=out)
    return chosen, fit, [answer.to_json() for answer in answers]


@pytest.mark.study
def test_two_processes_share_the_memory_and_rehearse_together(here: Path) -> None:
    both = ranks(2, together, here / "run", joined=False)
    assert not list(here.iterdir())
    for chosen, fit, (answer,) in both:
        assert chosen == tiny("train.accumulate=2")  # four images each, two at a time
        assert fit == (2,)
        assert answer["images"] == 2
        assert answer["available"] == 10 * MIB
        assert answer["fits"]
        assert answer["seconds"] > 0


def test_a_deterministic_run_is_rehearsed_so(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    class Watched(Shapes):
        def __getitem__(self, index: int) -> Any:
            seen.append(torch.are_deterministic_algorithms_enabled())
            return super().__getitem__(index)

    free(monkeypatch, 8)
    rehearse(tiny("train.deterministic=true"), (Watched("train", size_hw=(65, 65)),), out=here)
    assert set(seen) == {True}
    assert not torch.are_deterministic_algorithms_enabled()
