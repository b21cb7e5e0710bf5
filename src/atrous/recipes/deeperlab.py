"""DeeperLab's recipes: the three models, and the ablations of tables 3 to 5 and 7.

Yang, Collins, Zhu, Hwang, Liu, Zhang, Sze, Papandreou, Chen: DeeperLab, 2019. Tables 1, 8, 9 and 10
report Light and Wider MobileNetV2 and Xception-71; their schedules of 500K steps of 16 or 28 images
are for many GPUs. For a few hundred photos and one CPU there is `deeperlab-light-short`, to be
started from public weights. Ablations are trained for 200K steps on Mapillary Vistas; what their
tables do not name is off. Table 6's rectangle graph is not here: keypoints are joined by the star.
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
    losses=DeeperLabLoss(),
    fusion=KeypointNumbers(),
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

X71 = replace(
    WIDER,
    name="deeperlab-x71",
    network=DeeperLabNetwork(backbone="xception-71"),
    train=replace(WIDER.train, batch=16),
    reported=(
        Reported("DeeperLab, table 9", "VOC 2012 val, 513", {"pq": 67.35, "pc": 77.57}),
        Reported("DeeperLab, table 10", "COCO val, 641", {"pq": 33.79, "pc": 56.82}),
        Reported("DeeperLab, table 8", "Cityscapes val", {"pq": 56.53, "pc": 75.63}),
    ),
)
"""Wider with Xception-71 for a backbone."""

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

EVERY_PIXEL = DeeperLabLoss(keep=1.0, small_weight=1.0)
"""Neither mining of hard pixels (HPM) nor more weight for small instances (SI)."""

MINING = {
    "": EVERY_PIXEL,
    "-hpm": replace(EVERY_PIXEL, keep=DeeperLabLoss().keep),
    "-si": replace(EVERY_PIXEL, small_weight=DeeperLabLoss().small_weight),
    "-hpm-si": DeeperLabLoss(),
}


def _mapillary(table: int, pq: float, pc: float) -> Reported:
    return Reported(f"DeeperLab, table {table}", "Mapillary val", {"pq": pq, "pc": pc})


FLAT = DeeperLabNetwork(decoder="none", deep_heads=False, kernel=3)

K5_ASPP = replace(
    WIDER,
    name="deeperlab-k5-aspp",
    network=FLAT,
    input=InputRule(longest_side=1441, enlarge=True),
    train=replace(WIDER.train, iterations=200_000, crop=721),
    losses=EVERY_PIXEL,
    fusion=KeypointNumbers(instances=255),
    reported=(_mapillary(3, 19.85, 42.98), _mapillary(4, 19.85, 42.98)),
)
"""The baseline of tables 3 and 4: Wider MobileNetV2, ASPP, and a single 1x1 for each head."""

KERNELS = tuple(
    replace(
        K5_ASPP,
        name=f"deeperlab-k{kernel}{'-aspp' if aspp else ''}",
        network=replace(FLAT, backbone=backbone, aspp=aspp),
        reported=(_mapillary(3, pq, pc),),
    )
    for kernel, backbone, aspp, pq, pc in (
        (3, "mobilenet-v2", False, 16.17, 34.80),
        (5, "mobilenet-v2-wide5", False, 17.92, 39.34),
        (7, "mobilenet-v2-wide7", False, 18.27, 40.33),
        (3, "mobilenet-v2", True, 19.21, 41.07),
        (7, "mobilenet-v2-wide7", True, 20.14, 43.40),
    )
)
"""Table 3: the kernel of the backbone, with and without ASPP; maps are at stride 16."""

DECODERS = tuple(
    replace(
        K5_ASPP,
        name=f"deeperlab-{name}",
        network=replace(FLAT, decoder=decoder, deep_heads=deep, kernel=kernel),
        reported=(_mapillary(4, pq, pc),),
    )
    for name, decoder, deep, kernel, pq, pc in (
        ("bu", "bottom-up", False, 3, 20.78, 43.83),
        ("bu-dh", "bottom-up", True, 3, 21.59, 44.95),
        ("bu-dh-lk", "bottom-up", True, 7, 22.31, 44.62),
        ("s2d", "space-to-depth", False, 3, 21.12, 44.86),
        ("s2d-dh", "space-to-depth", True, 3, 22.45, 46.30),
    )
)
"""Table 4: bottom-up (BU) or space-to-depth (S2D), deeper heads (DH), 7x7 kernels (LK)."""

FULL = replace(
    K5_ASPP,
    name="deeperlab-s2d-dh-lk",
    network=WIDER.network,
    reported=(
        _mapillary(4, 23.48, 46.33),
        _mapillary(5, 24.07, 48.23),
        _mapillary(6, 24.07, 48.23),
    ),
)
"""The last row of table 4, and the baseline of tables 5 and 6: two runs of one recipe."""

LOSSES = tuple(
    replace(
        FULL,
        name=f"deeperlab{mining}",
        losses=MINING[mining],
        reported=(_mapillary(5, pq, pc),),
    )
    for mining, pq, pc in (("-hpm", 24.64, 48.34), ("-si", 24.27, 48.42), ("-hpm-si", 24.99, 49.23))
)
"""Table 5: hard pixels mined (HPM), small instances weighed three times (SI)."""

XCEPTIONS = tuple(
    replace(
        FULL,
        name=f"deeperlab-x71-{name}{mining}",
        network=DeeperLabNetwork("xception-71", decoder=decoder),
        train=replace(FULL.train, batch=16),
        losses=MINING[mining],
        reported=(_mapillary(7, pq, pc),),
    )
    for name, decoder, mining, pq, pc in (
        ("bu", "bottom-up", "", 27.79, 50.80),
        ("s2d", "space-to-depth", "", 28.34, 50.88),
        ("s2d", "space-to-depth", "-hpm", 30.04, 53.35),
        ("s2d", "space-to-depth", "-hpm-si", 30.46, 54.55),
    )
)
"""Table 7: Xception-71; deep heads and 7x7 kernels in all rows, which the paper leaves open."""

ABLATIONS = (K5_ASPP, *KERNELS, *DECODERS, FULL, *LOSSES, *XCEPTIONS)

RECIPES = (LIGHT, LIGHT_SHORT, WIDER, X71, *ABLATIONS)
