"""Key maps of what public networks have on top of their backbones."""

from __future__ import annotations


def _pair(conv: str, norm: str, block: str) -> dict[str, str]:
    return {conv: f"{block}.conv", norm: f"{block}.norm"}


def _two_layers(there: str, here: str) -> dict[str, str]:
    """A 3x3 convolution, norm, activation, dropout, and the logits."""
    return _pair(f"{there}.0", f"{there}.1", f"{here}.0") | {f"{there}.4": f"{here}.2"}


def _torchvision_deeplabv3() -> dict[str, str]:
    rows = _pair("classifier.0.convs.0.0", "classifier.0.convs.0.1", "context.point")
    for branch in range(3):
        there = f"classifier.0.convs.{branch + 1}"
        rows |= _pair(f"{there}.0", f"{there}.1", f"context.atrous.{branch}")
    rows |= _pair("classifier.0.convs.4.1", "classifier.0.convs.4.2", "context.pool")
    rows |= _pair("classifier.0.project.0", "classifier.0.project.1", "context.project")
    return rows | _pair("classifier.1", "classifier.2", "extra") | {"classifier.4": "classifier"}


def _semseg() -> dict[str, str]:
    rows = _two_layers("cls", "head") | _two_layers("aux", "auxiliary")
    for level in range(4):
        there = f"ppm.features.{level}"
        rows |= _pair(f"{there}.1", f"{there}.2", f"context.levels.{level}")
    return rows


TORCHVISION_DEEPLABV3 = _torchvision_deeplabv3()
"""The pyramid there is joined in the order point, atrous branches, pool; ours begins with pool."""
TORCHVISION_FCN = _two_layers("classifier", "head") | _two_layers("aux_classifier", "auxiliary")
SEMSEG_HEAD = _semseg()
"""Bins 1, 2, 3, 6."""
