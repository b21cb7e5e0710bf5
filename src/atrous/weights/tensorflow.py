"""TensorFlow DeepLab's variables: scopes -> our modules, leaves, and the layout of kernels.

A variable is a scope and a leaf, "aspp0/BatchNorm" and "gamma"; maps hold scopes, `LEAVES` leaves.

Source: tensorflow/models, research/deeplab: its variable names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrous.weights.mobilenet import UNITS
from atrous.weights.xception import flows, module_numbers

LEAVES = {
    "weights": "weight",
    "depthwise_weights": "weight",
    "biases": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""The last part of a variable's name -> that of ours."""


def tensorflow_mobilenet_v2() -> dict[str, str]:
    """Scopes of DeepLab's MobileNetV2, and of the head that stands on it -> our modules."""
    rows = _block("MobilenetV2/Conv", "backbone.stem")
    for unit in range(UNITS):
        there = "MobilenetV2/expanded_conv" + (f"_{unit}" if unit else "")
        for part in ("expand", "depthwise", "project") if unit else ("depthwise", "project"):
            rows |= _block(f"{there}/{part}", f"backbone.units.{unit}.{part}")
    return rows | TENSORFLOW_HEAD


def tensorflow_xception(depth: int) -> dict[str, str]:
    """Scopes of DeepLab's Xception-41, 65 or 71 -> our modules, without any head.

    Raises: ValueError for other depths.
    """
    modules, projected = module_numbers(depth)
    root = f"xception_{depth}"
    rows = _block(f"{root}/entry_flow/conv1_1", "backbone.root.0")
    rows |= _block(f"{root}/entry_flow/conv1_2", "backbone.root.1")
    for number in range(modules):
        there = f"{root}/{_xception_module(number, depth)}/xception_module"
        here = f"backbone.units.{number}"
        for place in range(3):
            conv, ours = f"{there}/separable_conv{place + 1}", f"{here}.separable.{place}"
            rows |= _block(f"{conv}_depthwise", f"{ours}.depthwise")
            rows |= _block(f"{conv}_pointwise", f"{ours}.pointwise")
        if number in projected:
            rows |= _block(f"{there}/shortcut", f"{here}.shortcut")
    return rows


def from_tensorflow(name: str, value: NDArray[Any]) -> NDArray[Any]:
    """A variable's value in our layout.

    name   of the variable in full; its leaf says what the value is
    value  kernel (h, w, in, out) -> (out, in, h, w); depthwise kernel (h, w, in, multiplier) ->
           (in * multiplier, 1, h, w); anything else stays as it is

    Raises: ValueError if the leaf is none of `LEAVES`, or if a kernel has not four axes.
    """
    leaf = name.rpartition("/")[2]
    if leaf not in LEAVES:
        raise ValueError(f"{name} ends in {leaf!r}: known are {', '.join(LEAVES)}")
    if leaf not in ("weights", "depthwise_weights"):
        return value
    if value.ndim != 4:
        raise ValueError(f"{name} has shape {value.shape}: a kernel is (h, w, in, out)")
    if leaf == "weights":
        return np.ascontiguousarray(value.transpose(3, 2, 0, 1))
    height, width = value.shape[:2]
    return np.ascontiguousarray(value.transpose(2, 3, 0, 1).reshape(-1, 1, height, width))


def leaves_of(scope: str) -> tuple[str, ...]:
    """The leaves that a scope of DeepLab's may have.

    >>> leaves_of("aspp0")
    ('weights', 'biases')
    """
    if scope.endswith("/BatchNorm"):
        return "gamma", "beta", "moving_mean", "moving_variance"
    return "depthwise_weights" if scope.endswith("depthwise") else "weights", "biases"


def _xception_module(number: int, depth: int) -> str:
    """Scope of a module: entry and exit flow number blocks, the middle flow units of one block."""
    first_middle, first_exit = flows(depth)
    if number < first_middle:
        return f"entry_flow/block{number + 1}/unit_1"
    if number < first_exit:
        return f"middle_flow/block1/unit_{number - first_middle + 1}"
    return f"exit_flow/block{number - first_exit + 1}/unit_1"


def _block(scope: str, block: str) -> dict[str, str]:
    return {scope: f"{block}.conv", f"{scope}/BatchNorm": f"{block}.norm"}


TENSORFLOW_HEAD = {
    **_block("image_pooling", "context.pool"),
    **_block("aspp0", "context.point"),
    **_block("concat_projection", "context.project"),
    "logits/semantic": "classifier",
}
"""DeepLabv3's head without atrous branches: they are joined in the order pool, point."""
