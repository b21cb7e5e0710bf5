"""What holds of all four systems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from atrous.data.augment import Augment
from atrous.data.shapes import Shapes
from atrous.data.transforms import InputRule
from atrous.instances.boxes import BoxNumbers
from atrous.instances.fuse import one_segment_a_class
from atrous.instances.keypoints import KeypointNumbers
from atrous.parser import load
from atrous.run.batches import Stream
from atrous.run.checkpoint import write_model
from atrous.run.evaluate import evaluate
from atrous.run.learner import Learner
from atrous.run.predict import Eye
from atrous.run.settings import TrainSettings
from atrous.run.train import steps as make_steps
from atrous.run.world import World
from atrous.semantic import SemanticLoss
from atrous.systems import AnyFusion, AnyLoss, AnyNetwork, AnySystem, build, described
from atrous.systems.deeperlab import DeeperLabLoss, DeeperLabNetwork
from atrous.systems.deeplabv3 import DeepLabv3Network
from atrous.systems.fcrn import FCRN, FCRNLoss, FCRNNetwork
from atrous.systems.pspnet import PSPNetNetwork
from atrous.types import Image, Parse

SMALL = "mobilenet-v2"
RULE, DEVICE = InputRule(longest_side=0), torch.device("cpu")
LABELS = Shapes("train").labels
BETTER_MIOU, BETTER_PQ = 0.15, 0.03
"""Margins over the best constant answer, and over one segment a class."""

FCRN_SMALL = FCRNNetwork(SMALL, stride_at="last_3x3", kernel=3, rate=2, localisation=True)
CASES: dict[str, tuple[AnyNetwork, AnyLoss, AnyFusion, int, int]] = {
    "deeperlab": (
        DeeperLabNetwork(SMALL, aspp_width=32, decoder_width=16, instance_width=16, kernel=3),
        DeeperLabLoss(keep=1, heatmap=8, short=2, middle=0.5, long=0.25),
        KeypointNumbers(radius_px=6, peak_threshold=0.3, proximity_px=16),
        220,
        49,
    ),
    "deeplabv3": (
        DeepLabv3Network(
            SMALL, output_stride=8, multi_grid=(), aspp_rates=(6,), aspp_width=32, dropout=0.0
        ),
        SemanticLoss(),
        None,
        60,
        49,
    ),
    "pspnet": (
        PSPNetNetwork(SMALL, root="7x7", stride_at="last_3x3", all_units=False, width=32),
        SemanticLoss(),
        None,
        60,
        49,
    ),
    "fcrn": (
        FCRN_SMALL,
        FCRNLoss(),
        BoxNumbers(mean=(0, 0, 40, 40), std=(16, 16, 20, 20), top=1, box_nms_iou=0.3, least_px=30),
        60,
        97,
    ),
}
"""Networks small enough for a test, how many steps they get, and the side of the scenes."""


@dataclass(frozen=True)
class Learnt:
    """A system after its steps, its scenes, and the losses of its stages on the way."""

    system: AnySystem
    scenes: Shapes
    losses: tuple[list[float], ...]


def learn(system: AnySystem, scenes: Shapes, steps: int) -> list[float]:
    """The weighted losses of some steps of Adam on four scenes."""
    side = scenes.size_hw[0]
    settings = TrainSettings(
        steps, 4, side, optimiser="adam", lr=0.004, power=1.0, clip=5.0, norm_momentum=0.1
    )
    augment = Augment(side, scales=(1.0, 1.0, 0.0))
    stream = Stream(scenes, system.encode, RULE, augment, seed=0, batch=4)
    learner = Learner(system, settings, World(0, 1, DEVICE), seed=0)
    losses = [values["loss"] for values in make_steps(learner, stream, stop=steps, workers=0)]
    system.eval()
    return losses


SLOW = ("deeperlab", "fcrn")
PARAMS = [pytest.param(n, marks=pytest.mark.study) if n in SLOW else n for n in CASES]


@pytest.fixture(scope="module", params=PARAMS)
def learnt(request: pytest.FixtureRequest) -> Learnt:
    """One of the four systems, trained; FCRN in both of its stages."""
    network, losses, fusion, steps, side = CASES[request.param]
    scenes = Shapes("train", size_hw=(side, side), count=4, instances=(3, 4), area_px=(100, 250))
    torch.manual_seed(0)
    system = build(network, LABELS, fusion=fusion, losses=losses)
    stages = [learn(system, scenes, steps)]
    if isinstance(system, FCRN):
        second = build(network, LABELS, fusion=fusion, losses=FCRNLoss(stage="localisation"))
        second.load_state_dict(system.state_dict())
        system, stages = second, [*stages, learn(second, scenes, steps)]
    return Learnt(system, scenes, tuple(stages))


def scored(parse: Callable[[Image], Parse], scenes: Shapes) -> dict[str, Any]:
    return evaluate(parse, scenes, labels=LABELS).to_json()


def answer(system: AnySystem) -> Callable[[Image], Parse]:
    return lambda image: system.parse(Eye(system, RULE, DEVICE).see([image])[0])


def constant(class_id: int) -> Callable[[Image], Parse]:
    def parse(image: Image) -> Parse:
        classes = np.full(image.shape[:2], class_id, dtype=np.uint8)
        sure = np.ones(image.shape[:2], dtype=np.float32)
        return one_segment_a_class(classes, sure, labels=LABELS)

    return parse


def merged(system: AnySystem) -> Callable[[Image], Parse]:
    """The system's own classes, no two things told apart."""

    def parse(image: Image) -> Parse:
        own = answer(system)(image)
        return one_segment_a_class(own.semantic, own.confidence, labels=LABELS)

    return parse


def test_the_loss_falls_below_half_in_60_steps(learnt: Learnt) -> None:
    for losses in learnt.losses:
        assert np.mean(losses[54:60]) < 0.5 * np.mean(losses[:6])


def test_the_parse_beats_every_constant_answer(learnt: Learnt) -> None:
    best = max(scored(constant(i), learnt.scenes)["semantic"]["miou"] for i in range(len(LABELS)))
    assert scored(answer(learnt.system), learnt.scenes)["semantic"]["miou"] > best + BETTER_MIOU


def test_instances_beat_one_segment_a_class_where_there_are_any(learnt: Learnt) -> None:
    ours, plain = (
        scored(parse, learnt.scenes)["panoptic"]["things"]["pq"]
        for parse in (answer(learnt.system), merged(learnt.system))
    )
    if learnt.system.fusion is None:
        assert ours == plain
    else:
        assert ours > plain + BETTER_PQ


def test_every_pixel_has_one_segment_and_the_answer_is_of_the_image_s_size(learnt: Learnt) -> None:
    image = Shapes("val", size_hw=(40, 61))[0].image
    parse = answer(learnt.system)(image)
    assert parse.panoptic.shape == parse.semantic.shape == (40, 61)
    assert {s.id for s in parse.segments} == set(np.unique(parse.panoptic).tolist())


def test_a_model_file_brings_back_the_same_answers(learnt: Learnt, tmp_path: Path) -> None:
    system = learnt.system
    header = {
        "network": described(system.network),
        "labels": LABELS.to_json(),
        "input": asdict(RULE),
        "fusion": asdict(system.fusion) if system.fusion else {},
        "recipe": {},
    }
    write_model(tmp_path / "m.safetensors", system.state_dict(), header)
    image = learnt.scenes[0].image
    loaded = load(tmp_path / "m.safetensors", precision="fp32")(image)
    assert np.array_equal(loaded.panoptic, answer(system)(image).panoptic)
    finer = load(tmp_path / "m.safetensors").replace(output_stride=8)
    assert finer.network.network.output_stride == 8
    assert finer(image).panoptic.shape == image.shape[:2]
