"""Key maps of ResNets whose strides are in the 3x3 of a block's first unit."""

from __future__ import annotations

from atrous.nn.resnet import COUNTS

PARTS = ("reduce", "conv", "expand")
"""Ours of conv1, conv2 and conv3."""


def torchvision_resnet(depth: int) -> dict[str, str]:
    """Modules of torchvision's resnet50, 101 or 152 -> ours with the 7x7 root.

    Convolutions and norms apart, as in all maps here; timm's resnets of these names fit too.

    Raises: ValueError for other depths.
    """
    return _pair("conv1", "bn1", "backbone.root.0") | _blocks(depth)


def semseg_resnet(depth: int) -> dict[str, str]:
    """Modules of semseg's ImageNet networks -> ours with the deep root.

    Raises: ValueError for other depths.
    """
    rows: dict[str, str] = {}
    for place in range(3):
        rows |= _pair(f"conv{place + 1}", f"bn{place + 1}", f"backbone.root.{place}")
    return rows | _blocks(depth)


def semseg_pspnet(depth: int) -> dict[str, str]:
    """Modules of the backbone in semseg's PSPNets -> ours with the deep root.

    Raises: ValueError for other depths.
    """
    rows: dict[str, str] = {}
    for place in range(3):
        conv, norm = f"layer0.{3 * place}", f"layer0.{3 * place + 1}"
        rows |= _pair(conv, norm, f"backbone.root.{place}")
    return rows | _blocks(depth)


def timm_deep_resnet(depth: int) -> dict[str, str]:
    """Modules of timm's resnet50s, 101s or 152s -> ours with the deep root.

    timm's c and d have names alike, but are other networks: their roots are half as wide, and d
    pools before it projects.

    Raises: ValueError for other depths.
    """
    rows = _pair("conv1.0", "conv1.1", "backbone.root.0")
    rows |= _pair("conv1.3", "conv1.4", "backbone.root.1")
    rows |= _pair("conv1.6", "bn1", "backbone.root.2")
    return rows | _blocks(depth)


def _blocks(depth: int) -> dict[str, str]:
    if depth not in COUNTS:
        raise ValueError(f"depth is {depth}: a ResNet has {', '.join(map(str, COUNTS))}")
    rows: dict[str, str] = {}
    for block, count in enumerate(COUNTS[depth]):
        for unit in range(count):
            there, here = f"layer{block + 1}.{unit}", f"backbone.blocks.{block}.{unit}"
            for place, part in enumerate(PARTS, 1):
                rows |= _pair(f"{there}.conv{place}", f"{there}.bn{place}", f"{here}.{part}")
        shortcut = f"layer{block + 1}.0.downsample"
        rows |= _pair(f"{shortcut}.0", f"{shortcut}.1", f"backbone.blocks.{block}.0.shortcut")
    return rows


def _pair(conv: str, norm: str, block: str) -> dict[str, str]:
    return {conv: f"{block}.conv", norm: f"{block}.norm"}
