"""DeepLabv3's recipes: the paper's tables 1, 2, 3, 5 and 6.

Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for Semantic Image Segmentation.
2017. All on VOC 2012 val after training on train_aug, unless their docstring says otherwise.
"""

from __future__ import annotations

from dataclasses import replace

from atrous.data.transforms import InputRule
from atrous.recipes.recipe import Recipe, Reported
from atrous.run.settings import TrainSettings
from atrous.semantic import SemanticLoss
from atrous.systems.deeplabv3 import DeepLabv3Network

VOC = "VOC 2012 val"
RESNET_INPUT = InputRule(
    mean=(123.15, 115.90, 103.06), scale=(1.0, 1.0, 1.0), longest_side=0, multiple=16
)
"""The mean is subtracted and nothing scaled; whole images, never resized."""


def _row(name: str, table: int, miou: float, *, base: Recipe, **network: object) -> Recipe:
    reported = (Reported(f"DeepLabv3, table {table}", VOC, {"miou": miou}),)
    changed = replace(base.network, **network)  # type: ignore[arg-type]
    return replace(base, name=name, network=changed, reported=reported)


RESNET101 = Recipe(
    name="deeplabv3-resnet101",
    network=DeepLabv3Network(),
    input=RESNET_INPUT,
    train=TrainSettings(
        iterations=30_000, batch=16, crop=513, lr=0.007, weight_decay=1e-4, norm_momentum=0.0003
    ),
    losses=SemanticLoss(),
    reported=(
        Reported("DeepLabv3, table 5", VOC, {"miou": 77.21}),
        Reported("DeepLabv3, table 6, output stride 8", VOC, {"miou": 78.51}),
    ),
)
"""Block 4 with multi-grid (1, 2, 4), rates 6, 12, 18 and image pooling: the DeepLabv3."""

RESNET50 = replace(
    RESNET101,
    name="deeplabv3-resnet50",
    network=replace(RESNET101.network, backbone="resnet-50"),
    reported=(),
)
"""The same on ResNet-50, for which the paper has no row."""

MOBILENET = replace(
    RESNET101,
    name="deeplabv3-mobilenet-v2",
    network=DeepLabv3Network(backbone="mobilenet-v2", multi_grid=(), aspp_rates=()),
    input=InputRule(longest_side=513),
    train=replace(RESNET101.train, weight_decay=4e-5, norm_momentum=0.003),
    reported=(),
)
"""MobileNetV2 with a 1x1 branch and image pooling, as the authors' public mobile models."""

CASCADE = replace(
    RESNET50,
    network=DeepLabv3Network(backbone="resnet-50", blocks=7, multi_grid=(), aspp=False),
    input=replace(RESNET_INPUT, multiple=256),
)

STRIDES = tuple(
    _row(f"deeplabv3-resnet50-block7-os{stride}", 1, miou, base=CASCADE, output_stride=stride)
    for stride, miou in (
        (8, 75.18),
        (16, 73.88),
        (32, 70.06),
        (64, 59.99),
        (128, 42.34),
        (256, 20.29),
    )
)
"""Table 1: ResNet-50 with blocks 5 to 7, from output stride 8 to 256."""

DEPTHS = tuple(
    _row(
        f"deeplabv3-{backbone.replace('-', '')}-block{blocks}",
        2,
        miou,
        base=CASCADE,
        backbone=backbone,
        blocks=blocks,
    )
    for backbone, scores in (
        ("resnet-50", (64.81, 72.14, 74.29, 73.88)),
        ("resnet-101", (68.39, 73.21, 75.34, 75.76)),
    )
    for blocks, miou in enumerate(scores, 4)
)
"""Table 2: more blocks, at output stride 16."""

GRIDS = tuple(
    _row(
        f"deeplabv3-resnet101-block{blocks}-mg{''.join(map(str, grid))}",
        3,
        miou,
        base=CASCADE,
        backbone="resnet-101",
        blocks=blocks,
        multi_grid=grid,
    )
    for grid, scores in (
        ((1, 2, 1), (70.23, 75.67, 76.09, 76.66)),
        ((1, 2, 3), (73.14, 75.78, 75.96, 76.11)),
        ((1, 2, 4), (73.45, 75.74, 75.85, 76.02)),
        ((2, 2, 2), (71.45, 74.30, 74.70, 74.62)),
    )
    for blocks, miou in enumerate(scores, 4)
)
"""Table 3: multi-grid in the cascade; its first row, (1, 1, 1), is in table 2."""

PYRAMIDS = tuple(
    _row(name, 5, miou, base=RESNET101, multi_grid=grid, aspp_rates=rates, image_pooling=False)
    for name, miou, grid, rates in (
        ("deeplabv3-aspp-mg111", 75.36, (1, 1, 1), (6, 12, 18)),
        ("deeplabv3-aspp-mg121", 75.93, (1, 2, 1), (6, 12, 18)),
        ("deeplabv3-aspp-mg124", 76.58, (1, 2, 4), (6, 12, 18)),
        ("deeplabv3-aspp24-mg124", 76.46, (1, 2, 4), (6, 12, 18, 24)),
    )
)
"""Table 5: ASPP without image pooling; with it, the row is `deeplabv3-resnet101`."""

RECIPES = (RESNET101, RESNET50, MOBILENET, *STRIDES, *DEPTHS, *GRIDS, *PYRAMIDS)
