"""Foreign checkpoints become starting points for our networks.

A layout is recognised by its keys. Larger kernels take smaller ones in their middle, with zeros
around; a norm that stands in the file with another eps keeps its function.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.nn.layers import ConvNorm
from atrous.nn.statistics import fold, variance_of
from atrous.run.checkpoint import Weights, read_weights
from atrous.types import BadInput
from atrous.weights import DEEPLAB_LITE, TORCHVISION_MOBILENET_V2

TORCHVISION_EPS = 1e-5
IGNORED = "num_batches_tracked"
HEAD = ("concat_projection.", "logits.")


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to begin a training with, under our names.

    layout  "atrous", "torchvision" or "deeplab-lite"
    folded  names of the blocks whose norm came folded into a bias
    head    the classifying end of a DeepLabv3 on VOC classes, under its own names; see `graft`
    """

    layout: str
    weights: Weights
    folded: tuple[str, ...] = ()
    head: Weights = field(default_factory=dict)


def read_start(path: Path) -> Start:
    """Reads a model file of ours or a public checkpoint.

    Raises: BadInput if the file is missing or broken, or if its layout is unknown.
    """
    weights = read_weights(path)
    if "features.0.0.weight" in weights:
        return Start("torchvision", _torchvision(weights))
    if "backbone.stem.bias" in weights:
        return _deeplab_lite(weights)
    if "backbone.stem.conv.weight" in weights:
        return Start("atrous", {k: v.float() for k, v in weights.items() if IGNORED not in k})
    raise BadInput(
        f"{path}: unknown layout (first key {min(weights, default='none')}): known are atrous, "
        "torchvision's MobileNetV2 and deeplab-lite"
    )


def _torchvision(weights: Weights) -> Weights:
    ours: Weights = {}
    for key, value in weights.items():
        module, _, leaf = key.rpartition(".")
        if module in TORCHVISION_MOBILENET_V2 and leaf != IGNORED:
            ours[f"{TORCHVISION_MOBILENET_V2[module]}.{leaf}"] = value
    return ours


def _deeplab_lite(weights: Weights) -> Start:
    ours: Weights = {}
    for there, here in DEEPLAB_LITE.items():
        if f"{there}.weight" in weights:
            ours[f"{here}.conv.weight"] = weights[f"{there}.weight"]
            ours[f"{here}.norm.bias"] = weights[f"{there}.bias"]
    blocks = tuple(k.removesuffix(".norm.bias") for k in ours if k.endswith(".norm.bias"))
    head = {k: v for k, v in weights.items() if k.startswith(HEAD)}
    return Start("deeplab-lite", ours, folded=blocks, head=head if len(head) == 4 else {})


def adopt(network: nn.Module, start: Start) -> tuple[str, ...]:
    """Puts the weights that fit into a network; returns the names that found a place.

    A tensor of another shape (a head for other classes) is left out, and so is a norm whose
    convolution is; a smaller kernel enters the middle of a larger one.

    Raises: BadInput if nothing fits.
    """
    own = network.state_dict()
    fitted = {k: _fit(v, own[k].shape) for k, v in start.weights.items() if k in own}
    same = {k: v for k, v in fitted.items() if v.shape == own[k].shape}
    fitting = {k: v for k, v in same.items() if _convolution(k) in same}
    if not fitting:
        raise BadInput("no weight of the starting file fits this network: choose another --init")
    network.load_state_dict(fitting, strict=False)
    for name, module in network.named_modules():
        if isinstance(module, ConvNorm) and f"{name}.conv.weight" in fitting:
            _set_norm(module, name, start)
    return tuple(fitting)


def _convolution(key: str) -> str:
    """The name of the weight that a norm's tensor belongs to; any other name as it is."""
    block, norm, _ = key.rpartition(".norm.")
    return f"{block}.conv.weight" if norm else key


def _fit(value: Tensor, shape: torch.Size) -> Tensor:
    """A kernel in the middle of a larger one; anything else as it is."""
    if value.ndim != 4 or value.shape[:2] != shape[:2] or value.shape[2] >= shape[2]:
        return value
    margin = (shape[2] - value.shape[2]) // 2
    return F.pad(value, (margin,) * 4)


def _set_norm(block: ConvNorm, name: str, start: Start) -> None:
    norm = block.norm
    if name in start.folded:
        fold(norm)
    elif start.layout == "torchvision":
        variance = variance_of(norm)
        with torch.no_grad():
            norm.weight.mul_(((variance + norm.eps) / (variance + TORCHVISION_EPS)).sqrt())
