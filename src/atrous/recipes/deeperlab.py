"""DeeperLab's recipes: its three models on four data sets, and one for a CPU.

Yang, Collins, Zhu, Hwang, Liu, Zhang, Sze, Papandreou, Chen: DeeperLab, 2019. Tables 1, 2 and 8
to 11 report Light and Wider MobileNetV2 and Xception-71; their schedules of 500K steps of 16 or 28
images are for many GPUs; the paper tells that number for Mapillary Vistas alone. For a few hundred
photos and one CPU there is `deeperlab-light-short`, to be started from public weights.
"""

from __future__ import annotations

from dataclasses import replace

from atrous.data.transforms import InputRule
from atrous.instances.keypoints import KeypointNumbers
from atrous.recipes.recipe import Recipe, Reported
from atrous.run.settings import TrainSettings
from atrous.systems.deeperlab import DeeperLabLoss, DeeperLabNetwork

VOC, MAPILLARY, COCO, CITY = "VOC 2012 val", "Mapillary val", "COCO val", "Cityscapes val"
TEST, DEV = "Mapillary test", "COCO test-dev"


def parsed(where: str, data: str, pq: float, pc: float, **more: float) -> Reported:
    """A row of PQ and Parsing Covering, of table `where`."""
    return Reported(f"DeeperLab, table {where}", data, {"pq": pq, "pc": pc, **more})


def _quality(where: str, data: str, *scores: float) -> Reported:
    """A row of PQ, SQ and RQ of all classes, of things and of stuff."""
    names = [f"{q}{part}" for part in ("", "_things", "_stuff") for q in ("pq", "sq", "rq")]
    return Reported(f"DeeperLab, table {where}", data, dict(zip(names, scores, strict=True)))


WIDER = Recipe(
    name="deeperlab-wider",
    network=DeeperLabNetwork(),
    input=InputRule(longest_side=513),
    train=TrainSettings(iterations=500_000, batch=28, crop=513, lr=0.01),
    losses=DeeperLabLoss(),
    fusion=KeypointNumbers(),
    reported=(parsed("9", VOC, 58.75, 72.72),),
)
"""Wider MobileNetV2 with 5x5 kernels, 7x7 decoder and heads of 256 channels; on VOC 2012."""

LIGHT = replace(
    WIDER,
    name="deeperlab-light",
    network=DeeperLabNetwork(decoder_width=128, kernel=3),
    reported=(
        parsed("9", VOC, 54.09, 71.09),
        parsed("9, input 257", VOC, 40.16, 59.76),
    ),
)
"""3x3 decoder and heads, 128 channels where Wider has 256; the backbone is the same."""

X71 = replace(
    WIDER,
    name="deeperlab-x71",
    network=DeeperLabNetwork(backbone="xception-71"),
    train=replace(WIDER.train, batch=16, norm_momentum=0.0003),
    reported=(parsed("9", VOC, 67.35, 77.57),),
)
"""Wider with Xception-71 for a backbone, and its decay of batch norm."""

ON_MAPILLARY = tuple(
    replace(
        model,
        name=f"{model.name}-mapillary",
        input=InputRule(longest_side=1441, enlarge=True, square=True),
        train=replace(model.train, crop=721),
        fusion=KeypointNumbers(instances=255),
        reported=reported,
    )
    for model, reported in (
        (
            LIGHT,
            (
                parsed("1", MAPILLARY, 22.36, 47.52),
                parsed("1, input 721", MAPILLARY, 17.59, 43.43),
                _quality("2", TEST, 22.6, 69.6, 29.3, 15.4, 67.2, 21.1, 32.1, 72.9, 40.2),
                _quality("2, input 721", TEST, 17.3, 66.2, 22.7, 9.1, 62.6, 12.8, 28.2, 71.0, 35.8),
            ),
        ),
        (
            WIDER,
            (
                parsed("1", MAPILLARY, 25.20, 49.80),
                _quality("2", TEST, 25.3, 70.6, 32.3, 17.6, 65.5, 23.4, 35.5, 77.4, 44.0),
            ),
        ),
        (
            X71,
            (
                parsed("1", MAPILLARY, 31.95, 55.26, miou=55.30),
                _quality("2", TEST, 31.6, 75.5, 40.1, 25.0, 73.4, 33.1, 40.3, 78.3, 49.3),
            ),
        ),
    )
)
"""Tables 1 and 2: inputs of 1441 x 1441; those of 721 are asked for by input.longest_side=721."""

ON_CITYSCAPES = tuple(
    replace(
        model,
        name=f"{model.name}-cityscapes",
        input=InputRule(longest_side=2049),
        train=replace(model.train, crop=721),
        reported=reported,
    )
    for model, reported in (
        (
            LIGHT,
            (
                parsed("8", CITY, 48.06, 69.70),
                parsed("8, input 513x1025", CITY, 39.32, 64.66),
            ),
        ),
        (WIDER, (parsed("8", CITY, 52.33, 74.04),)),
        (X71, (parsed("8", CITY, 56.53, 75.63),)),
    )
)
"""Table 8: whole images, padded to 1025 x 2049; trained on the fine labels alone."""

ON_COCO = tuple(
    replace(
        model,
        name=f"{model.name}-coco",
        input=InputRule(longest_side=641),
        train=replace(model.train, crop=641),
        losses=DeeperLabLoss(keep=1.0),
        reported=reported,
    )
    for model, reported in (
        (
            LIGHT,
            (
                parsed("10", COCO, 24.10, 48.47),
                parsed("10, input 321", COCO, 17.51, 39.15),
                _quality("11", DEV, 24.5, 73.2, 31.5, 26.9, 73.7, 34.6, 20.9, 72.5, 26.9),
                _quality(
                    "11, input 321", DEV, 18.0, 71.3, 23.6, 18.5, 71.8, 24.3, 17.2, 70.5, 22.6
                ),
            ),
        ),
        (
            WIDER,
            (
                parsed("10", COCO, 27.91, 52.38),
                _quality("11", DEV, 28.1, 75.3, 35.8, 30.8, 75.7, 39.1, 24.1, 74.6, 30.9),
            ),
        ),
        (
            X71,
            (
                parsed("10", COCO, 33.79, 56.82, miou=55.26),
                _quality("11", DEV, 34.3, 77.1, 43.1, 37.5, 77.5, 46.8, 29.6, 76.4, 37.4),
            ),
        ),
    )
)
"""Tables 10 and 11: hard pixels are not mined, and images not enlarged."""

LIGHT_SHORT = replace(
    LIGHT,
    name="deeperlab-light-short",
    input=InputRule(longest_side=257),
    train=TrainSettings(
        iterations=240,
        batch=4,
        crop=257,
        optimiser="adam",
        lr=0.001,
        warmup=20,
        clip=10.0,
        norm_momentum=0.05,
        scales=(0.75, 1.5, 0.0),
        checkpoint_every=100,
    ),
    losses=DeeperLabLoss(heatmap=8.0, short=2.0, middle=0.5, long=0.25, keep=1.0),
    fusion=KeypointNumbers(radius_px=12.0, peak_threshold=0.15, proximity_px=20.0),
    reported=(),
)
"""For hundreds of photos: 960 crops, a quarter of an hour on one core.

Learnt from 358 photos of car parts with ImageNet weights and scored on 42 others, one run each,
PQ of things (of the same maps with one segment a class):
Adam, rate 0.001: 23.4 (8.5); SGD, rate 0.05, all else equal: 3.1 (5.2).
With SGD the short offsets hardly move (0.42 -> 0.41 of a radius; Adam 0.34).
"""

RECIPES = (LIGHT, LIGHT_SHORT, WIDER, X71, *ON_MAPILLARY, *ON_CITYSCAPES, *ON_COCO)
