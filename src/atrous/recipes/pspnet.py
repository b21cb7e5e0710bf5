"""PSPNet's recipes: tables 1 to 4 on ADE20K, table 6 on VOC 2012, tables 7 and 8 on Cityscapes.

Zhao, Shi, Qi, Wang, Jia: Pyramid Scene Parsing Network, 2017. Numbers are single scale unless they
say otherwise; each is of the mean of an image and its mirror image, which the authors always take,
in windows of the size of the crop.
Rotation and blur are for ADE20K and VOC (section 5.1), each on half of the crops, as in the
authors' own code; as there, crops are scaled from images as they are, and tests from resized ones.
New layers learn ten times as fast as the backbone, and their biases twenty times.
"""

from __future__ import annotations

from dataclasses import replace

from atrous.data.transforms import InputRule
from atrous.recipes.recipe import Recipe, Reported
from atrous.run.predict import Views
from atrous.run.settings import TrainSettings
from atrous.semantic import SemanticLoss
from atrous.systems.pspnet import PSPNetNetwork

ADE, MULTI = "ADE20K val", ", multi-scale"
INPUT = InputRule(
    mean=(123.675, 116.28, 103.53),
    scale=(58.395, 57.12, 57.375),
    longest_side=513,
    enlarge=True,
    multiple=8,
)
"""ImageNet's mean and deviation, as in the authors' PyTorch code; the longer side is always 513."""


def _scores(
    tables: tuple[int, ...], miou: float, accuracy: float, *, how: str = ""
) -> tuple[Reported, ...]:
    found = {"miou": miou, "pixel_accuracy": accuracy}
    return tuple(Reported(f"PSPNet, table {table}{how}", ADE, found) for table in tables)


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
        bias_multiplier=2.0,
        weight_decay=1e-4,
        norm_momentum=0.05,
        scales=(0.5, 2.0, 0.0),
        scale_base="image",
        rotation=(10.0, 0.5),
        blur=0.5,
    ),
    losses=SemanticLoss(),
    views=Views(window=473, flip=True),
    reported=(
        *_scores((1, 3, 4), 41.68, 80.04),
        *_scores((3,), 42.78, 80.76, how=MULTI),
    ),
)
"""Bins 1, 2, 3 and 6, average pooling, reduction; new layers learn at 0.1, the backbone at 0.01."""

POOLINGS = tuple(
    replace(
        RESNET50,
        name=f"pspnet-resnet50-{name}",
        network=replace(NETWORK, bins=bins, pooling=kind, reduction=reduction),
        reported=_scores(tables, miou, accuracy),
    )
    for name, tables, bins, kind, reduction, miou, accuracy in (
        ("base", (1, 2, 4), (), "average", False, 37.23, 78.01),
        ("b1-max", (1,), (1,), "max", False, 39.94, 79.46),
        ("b1-ave", (1,), (1,), "average", False, 40.07, 79.52),
        ("b1236-max", (1,), (1, 2, 3, 6), "max", False, 40.18, 79.45),
        ("b1236-ave", (1,), (1, 2, 3, 6), "average", False, 41.07, 79.97),
        ("b1236-max-dr", (1,), (1, 2, 3, 6), "max", True, 40.87, 79.61),
    )
)
"""Table 1: the baseline without a pyramid, one bin or four, maximum or mean, with reduction."""

WITHOUT_AUXILIARY = replace(
    POOLINGS[0],
    name="pspnet-resnet50-base-aux0",
    network=replace(BASE, auxiliary=False),
    reported=_scores((2, 4), 35.82, 77.07),
)
AUXILIARY = tuple(
    replace(
        POOLINGS[0],
        name=f"pspnet-resnet50-base-aux{weight}",
        losses=SemanticLoss(auxiliary=weight),
        reported=_scores((2,), miou, accuracy),
    )
    for weight, miou, accuracy in ((0.3, 37.01, 77.87), (0.6, 37.09, 77.84), (0.9, 36.99, 77.87))
)
"""Table 2: the weight of the auxiliary loss; 0.4 is the baseline of table 1."""

DEPTHS = tuple(
    replace(
        RESNET50,
        name=f"pspnet-resnet{depth}",
        network=replace(NETWORK, backbone=f"resnet-{depth}"),
        reported=_scores(tables, *single) + _scores(tables, *several, how=MULTI),
    )
    for depth, tables, single, several in (
        (101, (3,), (41.96, 80.64), (43.29, 81.39)),
        (152, (3,), (42.62, 80.80), (43.51, 81.38)),
        (269, (3, 4), (43.81, 80.88), (44.94, 81.69)),
    )
)
"""Table 3: deeper backbones."""

WITHOUT_AUGMENTATION = replace(
    WITHOUT_AUXILIARY,
    name="pspnet-resnet50-base-aux0-noda",
    train=replace(RESNET50.train, scales=(1.0, 1.0, 0.0), flip=0.0, rotation=(0.0, 0.0), blur=0.0),
    reported=_scores((4,), 34.28, 76.35),
)
"""Table 4: neither auxiliary loss nor augmentation (DA), only crops."""

VOC = replace(
    DEPTHS[0],
    name="pspnet-resnet101-voc",
    train=replace(RESNET50.train, iterations=30_000),
    reported=(Reported(f"PSPNet, table 6{MULTI}", "VOC 2012 test", {"miou": 82.6}),),
)
"""Table 6, from VOC alone; submissions learn from train_aug and val."""

VOC_COCO = replace(
    VOC,
    name="pspnet-resnet101-voc-coco",
    train=replace(VOC.train, lr=0.01),
    reported=(Reported(f"PSPNet, table 6, COCO{MULTI}", "VOC 2012 test", {"miou": 85.4}),),
)
"""Start it with --init from `pspnet-resnet101-voc` on COCO's photos of VOC's classes."""

CITYSCAPES = replace(
    DEPTHS[0],
    name="pspnet-resnet101-cityscapes",
    input=replace(INPUT, longest_side=2049),
    views=Views(window=713, flip=True),
    train=replace(RESNET50.train, iterations=90_000, crop=713, rotation=(0.0, 0.0), blur=0.0),
    reported=(
        Reported("PSPNet, tables 7 and 8", "Cityscapes test", {"miou": 78.4}),
        Reported("PSPNet, tables 7 and 8, coarse", "Cityscapes test", {"miou": 80.20}),
    ),
)
"""Tables 7 and 8: train_fine; with coarse labels on both sets, then once more on the fine one."""

RECIPES = (
    RESNET50,
    *POOLINGS,
    WITHOUT_AUXILIARY,
    *AUXILIARY,
    *DEPTHS,
    WITHOUT_AUGMENTATION,
    VOC,
    VOC_COCO,
    CITYSCAPES,
)
