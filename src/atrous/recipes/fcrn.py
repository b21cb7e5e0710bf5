"""FCRN's recipes on VOC 2012 and PASCAL-Context: tables 1, 2, 5, 6 and 7.

Wu, Shen, van den Hengel: Bridging Category-level and Instance-level Semantic Image Segmentation,
2016. The paper leaves schedule and crops open: they are those of the authors' later code, which has
a constant rate for two thirds of the epochs, then a line from half of it, biases at twice the rate,
and batch norm as it stands.
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
CROP = 504
"""Least side of a crop, but for the last pixel."""


def category_row(where: str, data: str, *scores: float) -> Reported:
    """A row of pixel accuracy, mean accuracy and mean IoU, of table `where`."""
    names = ("pixel_accuracy", "mean_accuracy", "miou")
    return Reported(f"FCRN, table {where}", data, dict(zip(names, scores, strict=True)))


def with_classifier(
    base: Recipe, row: tuple[int, int, int, int], reported: Reported, *, data: str = ""
) -> Recipe:
    """A row of tables 1 and 3: depth, output stride, kernel of the classifier, its rate there.

    # Paper: the field of view must not exceed the crop.
    """
    depth, stride, kernel, rate = row
    network = replace(
        NETWORK,
        backbone=f"resnet-{depth}",
        output_stride=stride,
        kernel=kernel,
        rate=rate * stride // 8,
    )
    cells = -(-max(CROP, network.field_of_view_px) // stride)
    return replace(
        base,
        name=f"fcrn-resnet{depth}{data}-os{stride}-k{kernel}-d{rate}",
        network=network,
        input=replace(base.input, multiple=stride),
        train=replace(base.train, crop=cells * stride + 1),
        reported=(reported,),
    )


def bootstrapped(base: Recipe, most: int, *reported: Reported) -> Recipe:
    """The recipe with a loss of the `most` hardest pixels of a crop alone."""
    losses = FCRNLoss(semantic=SemanticLoss("hardest", most=most, loss_at="stride"))
    return replace(base, name=f"{base.name}-bs{most}", losses=losses, reported=reported)


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
        crop=CROP + 1,
        lr=0.0016,
        hold=2 / 3,
        drop=0.5,
        power=1.0,
        bias_multiplier=2.0,
        weight_decay=5e-4,
        norms="frozen",
        affine=False,
        scales=(0.7, 1.3, 0.0),
    ),
    losses=FCRNLoss(),
    fusion=BoxNumbers(),
    reported=(
        category_row("1", VOC, 93.87, 81.87, 73.41),
        category_row("7", VOC, 93.87, 81.87, 73.41),
        Reported("FCRN, table 2", VOC, {"miou": 73.4}),
    ),
)
"""ResNet-101 at 1/8 with one 5x5 convolution of rate 12; 40 and 20 epochs of train_aug."""

CLASSIFIERS = tuple(
    with_classifier(PLAIN, row, category_row("1", VOC, *scores))
    for row, *scores in (
        ((50, 16, 3, 6), 92.74, 78.68, 69.09),
        ((50, 8, 3, 6), 92.50, 77.60, 67.61),
        ((50, 8, 3, 12), 93.03, 79.51, 69.94),
        ((50, 8, 3, 18), 93.02, 79.28, 70.01),
        ((50, 8, 5, 6), 92.98, 79.34, 69.81),
        ((50, 8, 5, 12), 93.25, 79.84, 71.10),
        ((50, 8, 7, 6), 93.14, 79.54, 70.67),
        ((101, 16, 3, 6), 93.22, 80.16, 70.93),
        ((101, 8, 3, 6), 93.20, 79.87, 70.20),
        ((101, 8, 3, 12), 93.68, 81.29, 72.34),
        ((101, 8, 3, 18), 93.67, 81.15, 72.37),
        ((101, 8, 5, 6), 93.52, 81.00, 71.97),
        ((101, 8, 7, 6), 93.61, 81.34, 72.56),
    )
)
"""Table 1: depth, resolution, kernel and rate of the classifier."""

BOOTSTRAPPED = (
    bootstrapped(PLAIN, 256, category_row("7", VOC, 94.11, 81.44, 74.41)),
    bootstrapped(
        PLAIN,
        512,
        category_row("7", VOC, 94.23, 82.09, 74.80),
        Reported("FCRN, table 2", VOC, {"miou": 74.8}),
    ),
    bootstrapped(PLAIN, 1024, category_row("7", VOC, 94.08, 81.84, 74.17)),
)
"""Table 7: only the 256, 512 or 1024 hardest pixels of a crop."""

TEST = replace(
    BOOTSTRAPPED[1],
    name="fcrn-resnet101-test",
    network=replace(NETWORK, kernel=3, hidden=512, dropout=(0.0, 0.3, 0.5)),
    reported=(Reported("FCRN, table 2, multi-view", "VOC 2012 test", {"miou": 79.1}),),
)
"""Table 2, the row of the test set: dropout in the last block, and the non-linear classifier.

Source: the places of dropout and the classifier's numbers are those of the authors' later code.
"""

CONTEXT = bootstrapped(
    replace(PLAIN, name="fcrn-resnet101-context", train=replace(PLAIN.train, iterations=18_720)),
    512,
    category_row("5", "PASCAL-Context val", 72.9, 54.8, 44.5),
)
"""Table 5: the model of VOC on PASCAL-Context; 60 epochs of its 4,998 photos."""


def _found(row: str, *scores: float) -> Reported:
    names = ("map_50", "map_70", "map_vol")
    return Reported(f"FCRN, table 6{row}", SBD, dict(zip(names, scores, strict=False)))


def _instances(depth: int, *reported: Reported, most: int, weighted: bool) -> Recipe:
    parts = ["-bs" if most else "", "-weighted" if weighted else ""]
    return replace(
        PLAIN,
        name=f"fcrn-resnet{depth}-instances{''.join(parts)}",
        network=replace(NETWORK, backbone=f"resnet-{depth}", localisation=True),
        losses=FCRNLoss(stage="localisation", most=most, weighted=weighted),
        reported=reported,
    )


INSTANCES = (
    _instances(50, _found("", 57.2, 40.5, 52.5), most=0, weighted=False),
    _instances(50, _found("", 58.7, 42.0, 53.8), most=512, weighted=False),
    _instances(50, _found("", 59.8, 43.5, 54.7), most=512, weighted=True),
    _instances(
        101,
        _found("", 60.9, 44.6, 55.5),
        _found(", COCO", 61.5, 46.6, 56.4),
        _found(", true classes", 73.0, 60.6),
        most=512,
        weighted=True,
    ),
)
"""Table 6: the second stage; start it with --init from a category model of the same depth.

The last one's row "COCO" begins with a category model that learnt from COCO too; that of "true
classes" has its boxes joined to the classes of the truth.
"""

RECIPES = (PLAIN, *CLASSIFIERS, *BOOTSTRAPPED, TEST, CONTEXT, *INSTANCES)
