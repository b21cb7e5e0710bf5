"""DeeperLab's ablations on Mapillary Vistas: tables 3 to 7.

All are trained for 200K steps; what their tables do not name is off.
"""

from __future__ import annotations

from dataclasses import replace

from atrous.instances.keypoints import KeypointNumbers
from atrous.recipes.deeperlab import MAPILLARY, ON_MAPILLARY, parsed
from atrous.recipes.recipe import Reported
from atrous.systems.deeperlab import DeeperLabLoss, DeeperLabNetwork

_, WIDER, X71 = ON_MAPILLARY

EVERY_PIXEL = DeeperLabLoss(keep=1.0, small_weight=1.0)
"""Neither mining of hard pixels (HPM) nor more weight for small instances (SI)."""

MINING = {
    "": EVERY_PIXEL,
    "-hpm": replace(EVERY_PIXEL, keep=DeeperLabLoss().keep),
    "-si": replace(EVERY_PIXEL, small_weight=DeeperLabLoss().small_weight),
    "-hpm-si": DeeperLabLoss(),
}


def _rows(pq: float, pc: float, *tables: int) -> tuple[Reported, ...]:
    return tuple(parsed(str(table), MAPILLARY, pq, pc) for table in tables)


FLAT = DeeperLabNetwork(decoder="none", deep_heads=False, kernel=3)

K5_ASPP = replace(
    WIDER,
    name="deeperlab-k5-aspp",
    network=FLAT,
    train=replace(WIDER.train, iterations=200_000),
    losses=EVERY_PIXEL,
    reported=_rows(19.85, 42.98, 3, 4),
)
"""The baseline of tables 3 and 4: Wider MobileNetV2, ASPP, and a single 1x1 for each head."""

KERNELS = tuple(
    replace(
        K5_ASPP,
        name=f"deeperlab-k{kernel}{'-aspp' if aspp else ''}",
        network=replace(FLAT, backbone=backbone, aspp=aspp),
        reported=_rows(pq, pc, 3),
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
        reported=_rows(pq, pc, 4),
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
    reported=_rows(23.48, 46.33, 4) + _rows(24.07, 48.23, 5, 6),
)
"""The last row of table 4, and the baseline of tables 5 and 6: two runs of one recipe."""

LOSSES = tuple(
    replace(
        FULL,
        name=f"deeperlab{mining}",
        losses=MINING[mining],
        reported=_rows(pq, pc, 5),
    )
    for mining, pq, pc in (("-hpm", 24.64, 48.34), ("-si", 24.27, 48.42), ("-hpm-si", 24.99, 49.23))
)
"""Table 5: hard pixels mined (HPM), small instances weighed three times (SI)."""

RECTANGLE = replace(
    FULL,
    name="deeperlab-rectangle",
    fusion=KeypointNumbers(instances=255, graph="rectangle"),
    reported=_rows(23.54, 46.44, 6),
)
"""Table 6: corners joined along the box, without a centre; the star is `deeperlab-s2d-dh-lk`."""

XCEPTIONS = tuple(
    replace(
        FULL,
        name=f"deeperlab-x71-{name}{mining}",
        network=DeeperLabNetwork("xception-71", decoder=decoder),
        train=replace(X71.train, iterations=200_000),
        losses=MINING[mining],
        reported=_rows(pq, pc, 7),
    )
    for name, decoder, mining, pq, pc in (
        ("bu", "bottom-up", "", 27.79, 50.80),
        ("s2d", "space-to-depth", "", 28.34, 50.88),
        ("s2d", "space-to-depth", "-hpm", 30.04, 53.35),
        ("s2d", "space-to-depth", "-hpm-si", 30.46, 54.55),
    )
)
"""Table 7: Xception-71; deep heads and 7x7 kernels in all rows, which the paper leaves open."""

RECIPES = (K5_ASPP, *KERNELS, *DECODERS, FULL, *LOSSES, RECTANGLE, *XCEPTIONS)
