"""PSPNet's recipes: tables 1 to 3, on ADE20K.

Zhao, Shi, Qi, Wang, Jia: Pyramid Scene Parsing Network, 2017. Pixel accuracy and mean IoU are of
ADE20K val, single scale.
"""

from __future__ import annotations

from dataclasses import replace

from atrous.data.transforms import InputRule
from atrous.recipes.recipe import Recipe, Reported
from atrous.run.settings import TrainSettings
from atrous.semantic import SemanticLoss
from atrous.systems.pspnet import PSPNetNetwork

ADE = "ADE20K val"
INPUT = InputRule(
    mean=(123.675, 116.28, 103.53), scale=(58.395, 57.12, 57.375), longest_side=513, multiple=8
)
"""ImageNet's mean and deviation, as in the authors' PyTorch code."""


def _scores(table: int, miou: float, accuracy: float) -> tuple[Reported, ...]:
    return (Reported(f"PSPNet, table {table}", ADE, {"miou": miou, "pixel_accuracy": accuracy}),)


NETWORK = PSPNetNetwork()
BASE = replace(NETWORK, bins=(), reduction=False)

RESNET50 = Recipe(
    name="pspnet-resnet50",
    network=NETWORK,
    input=INPUT,
    train=TrainSettings(
        iterations=150_000,
        batch=16,
        crop=473,
        lr=0.1,
        backbone_multiplier=0.1,
        weight_decay=1e-4,
        norm_momentum=0.05,
        scales=(0.5, 2.0, 0.0),
    ),
    losses=SemanticLoss(),
    reported=_scores(1, 41.68, 80.04),
)
"""Bins 1, 2, 3 and 6, average pooling, reduction; new layers learn ten times as fast (0.01)."""

POOLINGS = tuple(
    replace(
        RESNET50,
        name=f"pspnet-resnet50-{name}",
        network=replace(NETWORK, bins=bins, pooling=kind, reduction=reduction),
        reported=_scores(1, miou, accuracy),
    )
    for name, bins, kind, reduction, miou, accuracy in (
        ("base", (), "average", False, 37.23, 78.01),
        ("b1-max", (1,), "max", False, 39.94, 79.46),
        ("b1-ave", (1,), "average", False, 40.07, 79.52),
        ("b1236-max", (1, 2, 3, 6), "max", False, 40.18, 79.45),
        ("b1236-ave", (1, 2, 3, 6), "average", False, 41.07, 79.97),
        ("b1236-max-dr", (1, 2, 3, 6), "max", True, 40.87, 79.61),
    )
)
"""Table 1: the baseline without a pyramid, one bin or four, maximum or mean, with reduction."""

WITHOUT_AUXILIARY = replace(
    POOLINGS[0],
    name="pspnet-resnet50-base-aux0",
    network=replace(BASE, auxiliary=False),
    reported=_scores(2, 35.82, 77.07),
)
AUXILIARY = tuple(
    replace(
        POOLINGS[0],
        name=f"pspnet-resnet50-base-aux{weight}",
        losses=SemanticLoss(auxiliary=weight),
        reported=_scores(2, miou, accuracy),
    )
    for weight, miou, accuracy in ((0.3, 37.01, 77.87), (0.6, 37.09, 77.84), (0.9, 36.99, 77.87))
)
"""Table 2: the weight of the auxiliary loss; 0.4 is the baseline of table 1."""

DEPTHS = tuple(
    replace(
        RESNET50,
        name=f"pspnet-resnet{depth}",
        network=replace(NETWORK, backbone=f"resnet-{depth}"),
        reported=_scores(3, miou, accuracy),
    )
    for depth, miou, accuracy in ((101, 41.96, 80.64), (152, 42.62, 80.80), (269, 43.81, 80.88))
)
"""Table 3: deeper backbones."""

RECIPES = (RESNET50, *POOLINGS, WITHOUT_AUXILIARY, *AUXILIARY, *DEPTHS)
