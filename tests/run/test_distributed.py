"""Two processes learn what one does, and score what one does."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from atrous.data.augment import Augment
from atrous.data.shapes import LABELS, Shapes
from atrous.data.source import Source
from atrous.data.transforms import InputRule
from atrous.nn.dropout import Dropout
from atrous.nn.layers import ConvNorm, classifier
from atrous.nn.statistics import calibrate
from atrous.recipes import find
from atrous.recipes.recipe import override
from atrous.run.batches import Stream
from atrous.run.learner import Learner
from atrous.run.settings import TrainSettings
from atrous.run.train import steps
from atrous.run.world import World, joined
from atrous.semantic import SemanticLoss
from atrous.systems.base import SemanticSystem
from atrous.tensors import Maps
from atrous.training import train
from atrous.training.beginning import initialise, stream_of
from atrous.types import Labelled, Sample
from conftest import TINY_NETWORK
from ranks import ranks

SMALL = ("train.batch=4", "train.crop=33", "input.longest_side=65")
MOBILE = ("network.backbone=mobilenet-v2", "network.stride_at=last_3x3")
PSP = (*MOBILE, "network.root=7x7", "network.all_units=false", "losses.mining=hardest")
FCRN = (*MOBILE, "network.kernel=3", "network.rate=2")
SYSTEMS = {
    "deeplabv3-mobilenet-v2": SMALL,
    "pspnet-resnet50": (*SMALL, *PSP),
    "fcrn-resnet101-bs256": (*SMALL, *FCRN),
    "fcrn-resnet50-instances-bs": (*SMALL, *FCRN),
    "deeperlab-light": (*TINY_NETWORK, *SMALL, "losses.keep=1"),
}
"""Recipes and settings; deep networks with random weights magnify rounding beyond two steps."""

CALM = TrainSettings(20, 8, 33, lr=0.02, clip=5.0, norm_momentum=0.1)
WAYS = {
    "synchronised": CALM,
    "frozen": replace(CALM, norms="frozen"),
    "in parts": replace(CALM, norms="frozen", accumulate=2),
    "adam": replace(CALM, norms="frozen", affine=False, optimiser="adam", lr=0.01),
}
"""How a shallow network learns for twenty steps, which rounding hardly disturbs."""

SCORED = (*TINY_NETWORK, *SMALL, "train.iterations=2", "train.eval_every=1")


class Blotted:
    """Drawn scenes, more and more of each of which is void."""

    def __init__(self) -> None:
        self.drawn = Shapes("train", size_hw=(65, 65), count=20)
        self.labels, self.name = self.drawn.labels, self.drawn.name

    def __len__(self) -> int:
        return len(self.drawn)

    def __getitem__(self, index: int) -> Sample:
        sample = self.drawn[index]
        ids = sample.truth.ids.copy()
        ids[: 3 * index] = 0
        left = [r for r in sample.truth.regions if (ids == r.id).any()]
        return replace(sample, truth=Labelled(ids, tuple(left)))


def val() -> Source:
    return Shapes("val", size_hw=(65, 65), count=7)


class Shallow(SemanticSystem[None]):
    """Two convolutions with norms, a classifier and an auxiliary one."""

    def __init__(self) -> None:
        super().__init__(None, LABELS, SemanticLoss())
        self.first, self.drop = ConvNorm(3, 12, kernel=3, stride=2), Dropout(0.2)
        self.second = ConvNorm(12, 16, kernel=3, stride=2)
        self.last, self.aside = classifier(16, len(LABELS)), classifier(12, len(LABELS))

    def forward(self, image: Tensor) -> Maps:
        low = self.first(image)
        high = self.last(self.drop(self.second(low)))
        return Maps(high, 4, auxiliary=self.aside(low))


Losses = dict[str, list[dict[str, float]]]


def learnt(rank: int) -> Losses:
    """The losses of all trainings, in this process and those beside it."""
    with joined("cpu") as world:
        ways = {name: _calm(settings, world) for name, settings in WAYS.items()}
        return ways | {name: _two_steps(name, world) for name in SYSTEMS}


def _calm(settings: TrainSettings, world: World) -> list[dict[str, float]]:
    torch.manual_seed(0)
    system, rule = Shallow(), InputRule(longest_side=65)
    stream = Stream(Blotted(), system.encode, rule, Augment(33, multiple=4), 0, settings.batch)
    calibrate(system, torch.stack([stream[i][0] for i in range(8)]))
    return list(steps(Learner(system, settings, world, seed=0), stream, stop=20, workers=0))


def _two_steps(name: str, world: World) -> list[dict[str, float]]:
    stage = override(find(name), SYSTEMS[name])
    torch.manual_seed(0)
    system = stage.build(LABELS)
    stream = stream_of(stage, Blotted(), system)
    initialise(system, "", stream, frozen=stage.train.norms == "frozen")
    return list(steps(Learner(system, stage.train, world, seed=0), stream, stop=2, workers=0))


def make_run(out: Path) -> None:
    train("deeperlab-light", data=Blotted(), val=val(), out=out, settings=SCORED, quiet=True)


def together(rank: int, out: Path) -> Losses:
    make_run(out)
    return learnt(rank)


@dataclass(frozen=True)
class Both:
    """What one process came to, and what two did."""

    losses: tuple[Losses, Losses]
    runs: tuple[Path, Path]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    one, two = (tmp_path_factory.mktemp(name) / "run" for name in ("one", "two"))
    found, other = ranks(2, together, two)
    assert found.keys() == other.keys()
    make_run(one)
    return Both((learnt(0), found), (one, two))


def columns(both: Both, name: str) -> dict[str, NDArray[np.float64]]:
    """How far the two are apart, by loss, as a share."""
    alone, together = (losses[name] for losses in both.losses)
    kept = alone[0].keys() - {"images_per_second", "wait", "memory_mib"}
    assert {"loss", "lr", "gradient"} < kept
    return {
        key: np.array([abs(b[key] / a[key] - 1) for a, b in zip(alone, together, strict=True)])
        for key in kept
    }


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_have_the_losses_of_one_for_twenty_steps(both: Both, way: str) -> None:
    apart = columns(both, way)
    losses = [row["loss"] for row in both.losses[0][way]]
    assert min(losses[10:]) < 0.9 * losses[0]  # it does learn
    for key, shares in apart.items():
        assert len(shares) == 20
        assert shares.max() < 1e-5, (key, shares)


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_learns_alike_on_two_processes(both: Both, name: str) -> None:
    for key, shares in columns(both, name).items():
        assert shares[0] < (1e-3 if key == "gradient" else 1e-5), key
        assert shares[1] < (0.3 if key == "gradient" else 1e-2), key


def test_scores_are_merged_from_images_that_each_process_parsed(both: Both) -> None:
    alone, together = ([x["eval"] for x in rows(run) if "eval" in x] for run in both.runs)
    assert len(alone) == len(together) == 2
    assert alone[0].keys() == together[0].keys()


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
