"""DeepLabv3's recipes: all tables but 11, and one for a CPU.

Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for Semantic Image Segmentation.
2017. All on VOC 2012 val after training on train_aug, unless their docstring says otherwise.
Table 11 is about replicas that learn out of step, which no setting asks for, and the row of table 7
with JFT about private photos.
"""

from __future__ import annotations

from dataclasses import replace

from atrous.data.transforms import InputRule
from atrous.recipes.recipe import Recipe, Reported
from atrous.run.settings import TrainSettings
from atrous.semantic import SemanticLoss
from atrous.systems.deeplabv3 import DeepLabv3Network

VOC, CITY = "VOC 2012 val", "Cityscapes val"
WHOLE_INPUT = InputRule(
    mean=(123.15, 115.90, 103.06), scale=(1.0, 1.0, 1.0), longest_side=0, multiple=16
)
"""The mean is subtracted and nothing scaled; whole images, never resized."""

VOC_INPUT = replace(WHOLE_INPUT, longest_side=513, square=True)
"""Padded to 513 x 513; no photo of VOC has a side of more than 500, so that none is resized."""

HOW = (
    "output stride 16",
    "output stride 8",
    "output stride 8, multi-scale",
    "output stride 8, multi-scale, flip",
)
"""How one training is tried, in the order of the rows of tables 4, 6, 10 and 12."""


def _tried(table: int, data: str, *mious: float) -> tuple[Reported, ...]:
    return tuple(
        Reported(f"DeepLabv3, table {table}, {how}", data, {"miou": miou})
        for how, miou in zip(HOW, mious, strict=False)
    )


def _plain(table: int, miou: float) -> Reported:
    return Reported(f"DeepLabv3, table {table}", VOC, {"miou": miou})


TABLE_4 = {"deeplabv3-resnet101-block7-mg121": _tried(4, VOC, 76.66, 78.05, 78.93, 79.35)}
"""The best of table 3, tried in four ways."""


def _row(
    name: str,
    table: int,
    miou: float,
    *,
    base: Recipe,
    also: tuple[int, ...] = (),
    **network: object,
) -> Recipe:
    reported = (*(_plain(t, miou) for t in (table, *also)), *TABLE_4.get(name, ()))
    changed = replace(base.network, **network)  # type: ignore[arg-type]
    return replace(base, name=name, network=changed, reported=reported)


def _trained(base: Recipe, **settings: object) -> Recipe:
    return replace(base, train=replace(base.train, **settings))  # type: ignore[arg-type]


RESNET101 = Recipe(
    name="deeplabv3-resnet101",
    network=DeepLabv3Network(),
    input=VOC_INPUT,
    train=TrainSettings(
        iterations=30_000, batch=16, crop=513, lr=0.007, weight_decay=1e-4, norm_momentum=0.0003
    ),
    losses=SemanticLoss(),
    reported=(
        *(_plain(table, 77.21) for table in (5, 8, 9)),
        *_tried(6, VOC, 77.21, 78.51, 79.45, 79.77),
        *_tried(10, VOC, 77.21, 78.51),
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
    input=InputRule(longest_side=513, square=True),
    train=replace(RESNET101.train, weight_decay=4e-5, norm_momentum=0.003),
    reported=(),
)
"""MobileNetV2 with a 1x1 branch and image pooling, as the authors' public mobile models."""

CAMVID = replace(
    MOBILENET,
    name="deeplabv3-mobilenet-v2-camvid",
    input=InputRule(longest_side=480),
    train=TrainSettings(
        iterations=400,
        batch=4,
        crop=321,
        optimiser="adam",
        lr=0.001,
        warmup=20,
        backbone_multiplier=0.3,
        norm_momentum=0.05,
        scales=(0.5, 1.5, 0.0),
        checkpoint_every=50,
    ),
)
"""For CamVid's 367 frames of 360 x 480 and a CPU: start it with --init from ImageNet's weights."""

CASCADE = replace(
    RESNET50,
    network=DeepLabv3Network(backbone="resnet-50", blocks=7, multi_grid=(), aspp=False),
    input=replace(VOC_INPUT, multiple=256),
)
"""Inputs of any size fit all output strides; 513 = 2 * 256 + 1."""

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
        also=also,
        backbone=backbone,
        blocks=blocks,
    )
    for backbone, also, scores in (
        ("resnet-50", (), (64.81, 72.14, 74.29, 73.88)),
        ("resnet-101", (3,), (68.39, 73.21, 75.34, 75.76)),
    )
    for blocks, miou in enumerate(scores, 4)
)
"""Table 2: more blocks, at output stride 16; on ResNet-101 also the first row of table 3."""

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

ABLATIONS = (
    _row(
        "deeplabv3-resnet101-nobn",
        8,
        75.95,
        base=_trained(RESNET101, norms="frozen", affine=False),
    ),
    _row(
        "deeplabv3-resnet101-noul",
        8,
        76.01,
        base=replace(RESNET101, losses=SemanticLoss(loss_at="stride")),
    ),
    _row("deeplabv3-resnet101-crop321", 8, 67.22, base=_trained(RESNET101, crop=321)),
)
"""Table 8: batch norm not tuned (BN), logits not upsampled for the loss (UL), smaller crops."""

BATCHES = tuple(
    _row(f"deeplabv3-resnet101-bs{batch}", 9, miou, base=_trained(RESNET101, batch=batch))
    for batch, miou in ((4, 64.43), (8, 75.76), (12, 76.49))
)
"""Table 9: the batch; 16 is `deeplabv3-resnet101`."""

TRAIN_STRIDES = tuple(
    replace(
        _trained(RESNET101, batch=batch),
        name=f"deeplabv3-resnet101-os{stride}",
        network=replace(RESNET101.network, output_stride=stride),
        input=replace(VOC_INPUT, multiple=max(16, stride)),
        reported=_tried(10, VOC, *mious),
    )
    for stride, batch, mious in ((8, 6, (74.45, 75.62)), (32, 24, (75.90, 75.75)))
)
"""Table 10: the output stride of the training, tried at 16 and 8; 16 is `deeplabv3-resnet101`."""

COCO = replace(
    _trained(RESNET101, lr=0.0001),
    name="deeplabv3-resnet101-coco",
    reported=(Reported(f"DeepLabv3, table 6, COCO, {HOW[-1]}", VOC, {"miou": 82.70}),),
)
"""Tuned on VOC: start it with --init from `deeplabv3-resnet101` on COCO's photos of VOC's classes.

Those are about 60,000 with more than 1000 pixels of VOC's classes; the rest is background.
"""

HARD = ("bicycle", "chair", "diningtable", "pottedplant", "sofa")
"""Classes whose photos the last stage has twice."""

TEST = replace(
    COCO,
    name="deeplabv3-resnet101-test",
    split="train_aug",
    then=replace(
        _trained(COCO, batch=8, norms="frozen", affine=False, doubled=HARD),
        name="deeplabv3-resnet101-test-trainval",
        network=replace(RESNET101.network, output_stride=8),
        split="trainval",
        reported=(),
    ),
    reported=(Reported(f"DeepLabv3, table 7, {HOW[-1]}", "VOC 2012 test", {"miou": 85.7}),),
)
"""Two stages on `voc-aug`: train_aug at output stride 16, then VOC's own trainval at 8.

In the second, batch norm stays as it is and photos of hard classes come twice. Start it with --init
as `deeplabv3-resnet101-coco`. Without COCO, --set train.lr=0.007 --set then.train.lr=0.001.

Source: DeepLabv3, section 4.1; the paper leaves the batch of the second stage open, how often a
photo comes again, and its rate after COCO.
"""

CITYSCAPES = replace(
    _trained(RESNET101, iterations=90_000, crop=769),
    name="deeplabv3-resnet101-cityscapes",
    input=WHOLE_INPUT,
    reported=(
        *_tried(12, CITY, 77.23, 77.82, 79.06, 79.30),
        Reported(
            "DeepLabv3, table 13, trainval and coarse, output stride 4, multi-scale, flip",
            "Cityscapes test",
            {"miou": 81.3},
        ),
    ),
)
"""Table 12: train_fine; whole images of 1025 x 2049. For table 13 trainval and train_coarse."""

RECIPES = (
    RESNET101,
    RESNET50,
    MOBILENET,
    CAMVID,
    *STRIDES,
    *DEPTHS,
    *GRIDS,
    *PYRAMIDS,
    *ABLATIONS,
    *BATCHES,
    *TRAIN_STRIDES,
    COCO,
    TEST,
    CITYSCAPES,
)
