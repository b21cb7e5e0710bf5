"""FCRN's recipes: tables 1, 6 and 7, on VOC 2012.

Wu, Shen, van den Hengel: Bridging Category-level and Instance-level Semantic Image Segmentation,
2016. The paper leaves schedule and crops open: crops and rate are those of the authors' later code.
# Deviates: the rate falls by poly; there it stays for 40 epochs and falls linearly for 20.
"""

from __future__ import annotations

from dataclasses import replace

from atrous.data.transforms import InputRule
from atrous.instances.boxes import BoxNumbers
from atrous.recipes.recipe import Recipe, Reported
from atrous.run.settings import TrainSettings
from atrous.semantic import SemanticLoss
from atrous.systems.fcrn import FCRNLoss, FCRNNetwork

VOC, SBD = "VOC 2012 val", "SBD val"
CATEGORY = "FCRN, table 1"


def _row(
    depth: int, stride: int, kernel: int, rate: int, *, scores: tuple[float, float, float]
) -> Recipe:
    accuracy, mean, miou = scores
    name = f"fcrn-resnet{depth}-os{stride}-k{kernel}-d{rate}"
    network = replace(
        NETWORK,
        backbone=f"resnet-{depth}",
        output_stride=stride,
        kernel=kernel,
        rate=rate * stride // 8,
    )
    found = {"pixel_accuracy": accuracy, "mean_accuracy": mean, "miou": miou}
    return replace(PLAIN, name=name, network=network, reported=(Reported(CATEGORY, VOC, found),))


NETWORK = FCRNNetwork()

PLAIN = Recipe(
    name="fcrn-resnet101",
    network=NETWORK,
    input=InputRule(
        mean=(123.68, 116.779, 103.939), scale=(1.0, 1.0, 1.0), longest_side=0, multiple=8
    ),
    train=TrainSettings(
        iterations=39_660,
        batch=16,
        crop=505,
        lr=0.0016,
        weight_decay=5e-4,
        norms="frozen",
        scales=(0.7, 1.3, 0.0),
    ),
    losses=FCRNLoss(),
    fusion=BoxNumbers(),
    reported=(
        Reported(CATEGORY, VOC, {"pixel_accuracy": 93.87, "mean_accuracy": 81.87, "miou": 73.41}),
    ),
)
"""ResNet-101 at 1/8 with one 5x5 convolution of rate 12; 60 epochs of train_aug."""

CLASSIFIERS = tuple(
    _row(depth, stride, kernel, rate, scores=scores)
    for depth, stride, kernel, rate, scores in (
        (50, 16, 3, 6, (92.74, 78.68, 69.09)),
        (50, 8, 3, 6, (92.50, 77.60, 67.61)),
        (50, 8, 3, 12, (93.03, 79.51, 69.94)),
        (50, 8, 3, 18, (93.02, 79.28, 70.01)),
        (50, 8, 5, 6, (92.98, 79.34, 69.81)),
        (50, 8, 5, 12, (93.25, 79.84, 71.10)),
        (50, 8, 7, 6, (93.14, 79.54, 70.67)),
        (101, 16, 3, 6, (93.22, 80.16, 70.93)),
        (101, 8, 3, 6, (93.20, 79.87, 70.20)),
        (101, 8, 3, 12, (93.68, 81.29, 72.34)),
        (101, 8, 3, 18, (93.67, 81.15, 72.37)),
        (101, 8, 5, 6, (93.52, 81.00, 71.97)),
        (101, 8, 7, 6, (93.61, 81.34, 72.56)),
    )
)
"""Table 1: depth, resolution, kernel and rate of the classifier."""

BOOTSTRAPPED = tuple(
    replace(
        PLAIN,
        name=f"fcrn-resnet101-bs{most}",
        losses=FCRNLoss(semantic=SemanticLoss("hardest", most=most, loss_at="stride")),
        reported=(
            Reported(
                "FCRN, table 7",
                VOC,
                {"pixel_accuracy": accuracy, "mean_accuracy": mean, "miou": miou},
            ),
        ),
    )
    for most, accuracy, mean, miou in (
        (256, 94.11, 81.44, 74.41),
        (512, 94.23, 82.09, 74.80),
        (1024, 94.08, 81.84, 74.17),
    )
)
"""Table 7: only the 256, 512 or 1024 hardest pixels of a crop."""


def _instances(depth: int, *, most: int, weighted: bool, scores: tuple[float, ...]) -> Recipe:
    parts = ["-bs" if most else "", "-weighted" if weighted else ""]
    found = dict(zip(("map_50", "map_70", "map_vol"), scores, strict=True))
    network = replace(NETWORK, backbone=f"resnet-{depth}", localisation=True)
    return replace(
        PLAIN,
        name=f"fcrn-resnet{depth}-instances{''.join(parts)}",
        network=network,
        losses=FCRNLoss(stage="localisation", most=most, weighted=weighted),
        reported=(Reported("FCRN, table 6", SBD, found),),
    )


INSTANCES = (
    _instances(50, most=0, weighted=False, scores=(57.2, 40.5, 52.5)),
    _instances(50, most=512, weighted=False, scores=(58.7, 42.0, 53.8)),
    _instances(50, most=512, weighted=True, scores=(59.8, 43.5, 54.7)),
    _instances(101, most=512, weighted=True, scores=(60.9, 44.6, 55.5)),
)
"""Table 6: the second stage; start it with --init from a category model of the same depth."""

RECIPES = (PLAIN, *CLASSIFIERS, *BOOTSTRAPPED, *INSTANCES)
