"""Foreign checkpoints become starting points for our networks.

A layout is recognised by its keys. Larger kernels take smaller ones in their middle, with zeros
around; a norm that stands in the file with another eps keeps its function.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.nn.layers import ConvNorm
from atrous.run.checkpoint import Weights, read_weights
from atrous.types import BadInput
from atrous.weights import DEEPLAB_LITE, TORCHVISION_MOBILENET_V2

TORCHVISION_EPS = 1e-5
IGNORED = "num_batches_tracked"


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to begin a training with, under our names.

    layout  "atrous", "torchvision" or "deeplab-lite"
    folded  names of the blocks whose norm came folded into a bias: `unfold` splits them
    """

    layout: str
    weights: Weights
    folded: tuple[str, ...] = ()


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
    return Start("deeplab-lite", ours, folded=blocks)


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
    with torch.no_grad():
        if name in start.folded:  # the identity, plus the bias
            norm.weight.fill_(1)
            _statistics(norm).copy_(torch.zeros_like(norm.weight))
            _variance(norm).copy_(torch.full_like(norm.weight, 1 - norm.eps))
        elif start.layout == "torchvision":
            variance = _variance(norm)
            norm.weight.mul_(((variance + norm.eps) / (variance + TORCHVISION_EPS)).sqrt())


def unfold(network: nn.Module, blocks: Iterable[str], images: Iterable[Tensor]) -> None:
    """Gives folded norms the statistics of photos, so that training can go on.

    images  batches (b, 3, h, w) of normalised photos

    The network's answer in evaluation stays what it was: scale and shift are set to undo the
    statistics that were measured.
    """
    chosen = [network.get_submodule(name) for name in blocks]
    sums = [_Moments(block) for block in chosen if isinstance(block, ConvNorm)]
    network.eval()
    with torch.no_grad():
        for batch in images:
            network(batch)
        for moments in sums:
            moments.settle()


class _Moments:
    """Mean and variance of what a convolution answers, channel by channel."""

    def __init__(self, block: ConvNorm) -> None:
        self.block, self.count = block, 0
        self.total = torch.zeros(block.norm.num_features, dtype=torch.float64)
        self.square = torch.zeros_like(self.total)
        self.hook = block.conv.register_forward_hook(self._note)

    def _note(self, _: nn.Module, __: object, answer: Tensor) -> None:
        values = answer.double().cpu()
        self.count += values.numel() // values.shape[1]
        self.total += values.sum(dim=(0, 2, 3))
        self.square += (values**2).sum(dim=(0, 2, 3))

    def settle(self) -> None:
        self.hook.remove()
        norm, mean = self.block.norm, self.total / max(self.count, 1)
        variance = (self.square / max(self.count, 1) - mean**2).clamp(min=0)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean.to(norm.bias))
        _statistics(norm).copy_(mean)
        _variance(norm).copy_(variance)


def _statistics(norm: nn.BatchNorm2d) -> Tensor:
    assert norm.running_mean is not None
    return norm.running_mean


def _variance(norm: nn.BatchNorm2d) -> Tensor:
    assert norm.running_var is not None
    return norm.running_var
