"""DeeperLab's recipes: Light and Wider MobileNetV2.

Yang, Collins, Zhu, Hwang, Liu, Zhang, Sze, Papandreou, Chen: DeeperLab, 2019. Tables 1, 8, 9 and 10
report these models; their schedules of 500K steps of 28 images are for many GPUs. On one CPU,
start from public weights and shorten: --set train.iterations=800 --set train.batch=8
--set train.crop=257 --set train.norm_momentum=0.05.
"""

from __future__ import annotations

from dataclasses import replace

from atrous.data.transforms import InputRule
from atrous.recipes.recipe import Recipe, Reported
from atrous.run.settings import TrainSettings
from atrous.systems.deeperlab import DeeperLabNetwork

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
