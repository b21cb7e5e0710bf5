"""Public implementations that ours are held against; a test without its peer is skipped."""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module
from types import ModuleType

import pytest

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""Operators of torchvision's compiled part, which it cannot be imported without."""


def torchvision() -> ModuleType:
    """torchvision, even where its compiled part does not fit this torch."""
    _define_operators()
    return _import("torchvision")


def timm() -> ModuleType:
    """timm, which stands on torchvision."""
    torchvision()
    return _import("timm")


def transformers() -> ModuleType:
    """Hugging Face's transformers; of its parts, those that are named after it."""
    torchvision()
    return _import("transformers")


def segmentation_models() -> ModuleType:
    """segmentation_models_pytorch, which stands on timm."""
    timm()
    return _import("segmentation_models_pytorch")


def torchmetrics() -> ModuleType:
    """torchmetrics, with its parts for classification and detection."""
    torchvision()
    module = _import("torchmetrics")
    for part in ("classification", "detection"):
        _import(f"torchmetrics.{part}")
    return module


def _import(name: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module: ModuleType = pytest.importorskip(name, reason=f"needs {name} to compare with")
    return module


@cache
def _define_operators() -> object:
    """The library that defines what is missing, kept: the schemas go when it does."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import_module("torchvision")
        except ImportError:
            return None
        except RuntimeError:
            library = torch.library.Library("torchvision", "DEF")
            for schema in SCHEMAS:
                library.define(schema)
            return library
    return None
