"""Key maps of MobileNetV2 and of networks that stand on it."""

from __future__ import annotations

from atrous.nn.mobilenet import STAGES

REPEATS = tuple(repeats for _, _, repeats, _ in STAGES)
"""Units of each stage."""
UNITS = sum(REPEATS)


def _torchvision() -> dict[str, str]:
    rows = {"features.0.0": "backbone.stem.conv", "features.0.1": "backbone.stem.norm"}
    for unit in range(UNITS):
        there, here = f"features.{unit + 1}.conv", f"backbone.units.{unit}"
        parts = ("depthwise",) if unit == 0 else ("expand", "depthwise")
        for place, part in enumerate(parts):
            rows[f"{there}.{place}.0"] = f"{here}.{part}.conv"
            rows[f"{there}.{place}.1"] = f"{here}.{part}.norm"
        rows[f"{there}.{len(parts)}"] = f"{here}.project.conv"
        rows[f"{there}.{len(parts) + 1}"] = f"{here}.project.norm"
    return rows


def _deeplab_lite() -> dict[str, str]:
    rows = {
        "backbone.stem": "backbone.stem",
        "aspp0": "context.point",
        "image_pooling": "context.pool",
    }
    for unit in range(UNITS):
        for part in ("expand", "depthwise", "project") if unit else ("depthwise", "project"):
            rows[f"backbone.blocks.{unit}.{part}"] = f"backbone.units.{unit}.{part}"
    return rows


TORCHVISION_MOBILENET_V2 = _torchvision()
"""Convolutions and norms apart; the norms' eps is 1e-5."""
DEEPLAB_LITE = _deeplab_lite()
"""Convolutions with a bias that their norm was folded into."""
DEEPLAB_LITE_HEAD = {
    "concat_projection.weight": "context.project.conv.weight",
    "concat_projection.bias": "context.project.norm.bias",
    "logits.weight": "classifier.weight",
    "logits.bias": "classifier.bias",
}
"""Tensors, not modules, of a DeepLabv3's classifying end."""


def timm_mobilenet_v2() -> dict[str, str]:
    """Modules of timm's mobilenetv2_100 and its widths -> ours; the norms' eps is 1e-5."""
    rows = {"conv_stem": "backbone.stem.conv", "bn1": "backbone.stem.norm"}
    names = [f"blocks.{stage}.{unit}" for stage, n in enumerate(REPEATS) for unit in range(n)]
    for unit, there in enumerate(names):
        parts = (
            {"conv_dw": "depthwise", "conv_pw": "project"}
            if unit == 0
            else {"conv_pw": "expand", "conv_dw": "depthwise", "conv_pwl": "project"}
        )
        for place, (conv, part) in enumerate(parts.items(), 1):
            rows[f"{there}.{conv}"] = f"backbone.units.{unit}.{part}.conv"
            rows[f"{there}.bn{place}"] = f"backbone.units.{unit}.{part}.norm"
    return rows
