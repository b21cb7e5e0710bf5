"""DeeperLab's recipes: Light and Wider MobileNetV2.

Yang, Collins, Zhu, Hwang, Liu, Zhang, Sze, Papandreou, Chen: DeeperLab, 2019. Tables 1, 8, 9 and 10
report these models; their schedules of 500K steps of 28 images are for many GPUs. For a few hundred
photos and one CPU there is `deeperlab-light-short`, to be started from public weights.
"""

from __future__ import annotations

from dataclasses import replace

from atrous.data.transforms import InputRule
from atrous.instances.keypoints import KeypointNumbers
from atrous.recipes.recipe import Recipe, Reported
from atrous.run.settings import TrainSettings
from atrous.systems.deeperlab import DeeperLabLoss, DeeperLabNetwork

WIDER = Recipe(
    name="deeperlab-wider",
    network=DeeperLabNetwork(),
    input=InputRule(longest_side=513),
    train=TrainSettings(iterations=500_000, batch=28, crop=513, lr=0.01),
    reported=(
        Reported("DeeperLab, table 9", "VOC 2012 val, 513", {"pq": 58.75, "pc": 72.72}),
        Reported("DeeperLab, table 10", "COCO val, 641", {"pq": 27.91, "pc": 52.38}),
        Reported("DeeperLab, table 8", "Cityscapes val", {"pq": 52.33, "pc": 74.04}),
    ),
)
"""Wider MobileNetV2 with 5x5 kernels, 7x7 decoder and heads of 256 channels."""

LIGHT = replace(
    WIDER,
    name="deeperlab-light",
    network=DeeperLabNetwork(decoder_width=128, kernel=3),
    reported=(
        Reported("DeeperLab, table 9", "VOC 2012 val, 513", {"pq": 54.09, "pc": 71.09}),
        Reported("DeeperLab, table 10", "COCO val, 641", {"pq": 24.10, "pc": 48.47}),
        Reported("DeeperLab, table 8", "Cityscapes val", {"pq": 48.06, "pc": 69.70}),
    ),
)
"""3x3 decoder and heads, 128 channels where Wider has 256; the backbone is the same."""

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
