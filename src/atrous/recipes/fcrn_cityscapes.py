"""FCRN's recipes on Cityscapes: tables 3, 4 and 7.

Trained on train_fine and tried on whole images of val, 1025 x 2049 with their padding. As on VOC,
what the paper leaves open follows the authors' later code.
"""

from __future__ import annotations

from dataclasses import replace

from atrous.recipes.fcrn import NETWORK, PLAIN, bootstrapped, category_row, with_classifier
from atrous.recipes.recipe import Reported

CITY = "Cityscapes val"

BEST = replace(
    PLAIN,
    name="fcrn-resnet152-cityscapes",
    network=replace(NETWORK, backbone="resnet-152"),
    train=replace(PLAIN.train, iterations=37_740, hold=140 / 204),
    reported=(
        category_row("3", CITY, 95.00, 79.38, 71.51),
        category_row("7", CITY, 95.00, 79.38, 71.51),
        Reported("FCRN, table 4", CITY, {"miou": 71.5}),
    ),
)
"""ResNet-152 at 1/8 with one 5x5 convolution of rate 12; 140 epochs, then 64 of a falling rate."""

CLASSIFIERS = tuple(
    with_classifier(BEST, row, category_row("3", CITY, *scores), data="-cityscapes")
    for row, *scores in (
        ((50, 16, 3, 6), 93.83, 74.67, 66.41),
        ((50, 8, 3, 6), 94.38, 74.89, 66.58),
        ((50, 8, 3, 12), 94.47, 75.91, 67.68),
        ((50, 8, 3, 18), 94.53, 76.52, 68.38),
        ((50, 8, 5, 6), 94.48, 76.17, 68.04),
        ((50, 8, 5, 12), 94.61, 76.68, 68.71),
        ((50, 8, 5, 18), 94.64, 76.34, 68.53),
        ((50, 8, 7, 6), 94.58, 76.88, 68.79),
        ((50, 8, 7, 12), 94.64, 76.57, 68.79),
        ((101, 16, 3, 6), 94.11, 76.26, 67.62),
        ((101, 8, 3, 6), 94.68, 77.15, 68.58),
        ((101, 8, 3, 12), 94.78, 78.30, 69.99),
        ((101, 8, 3, 18), 94.82, 78.21, 70.00),
        ((101, 8, 5, 6), 94.75, 78.11, 69.89),
        ((101, 8, 5, 12), 94.87, 79.17, 71.16),
        ((101, 8, 7, 6), 94.75, 78.43, 70.40),
        ((152, 16, 3, 6), 94.26, 76.89, 68.30),
        ((152, 8, 3, 6), 94.82, 78.30, 69.69),
        ((152, 8, 3, 12), 94.94, 78.79, 70.66),
        ((152, 8, 3, 18), 94.93, 79.19, 70.92),
        ((152, 8, 5, 6), 94.88, 78.77, 70.61),
        ((152, 8, 7, 6), 94.91, 79.08, 70.87),
    )
)
"""Table 3: depth, resolution, kernel and rate of the classifier."""

BOOTSTRAPPED = (
    bootstrapped(BEST, 256, category_row("7", CITY, 95.41, 81.37, 73.97)),
    bootstrapped(
        BEST,
        512,
        category_row("7", CITY, 95.46, 82.04, 74.64),
        Reported("FCRN, table 4", CITY, {"miou": 74.6}),
    ),
    bootstrapped(BEST, 1024, category_row("7", CITY, 95.38, 81.00, 73.45)),
)
"""Table 7: only the 256, 512 or 1024 hardest pixels of a crop."""

RECIPES = (BEST, *CLASSIFIERS, *BOOTSTRAPPED)
