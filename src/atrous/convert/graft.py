"""The head of a public DeepLabv3 inside DeeperLab, so that training starts from its answer.

DeepLabv3 ends in features f >= 0 of stride 16 and a linear classifier z = W f + b, upsampled
bilinearly. DeeperLab has a deeper path from the same place. Here some of its channels are set to
carry max(z, 0) and max(-z, 0), which pass every ReLU, through the decoder, where 3x3 depthwise
kernels interpolate the sixteen places of a block; the semantic classifier takes their difference.
All other channels keep their random start. The mean over the classes is taken off z: softmax does
not see it, and small values let the path be trained at the pace of the rest.

Source: Net2Net (Chen et al., 2016), section 2 (function-preserving initialisation).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from atrous.labels import VOC
from atrous.nn.decoder import BLOCK
from atrous.nn.layers import ConvNorm
from atrous.nn.statistics import fold
from atrous.run.checkpoint import Weights
from atrous.systems.deeperlab import DeeperLab

CELLS = BLOCK * BLOCK
LEAVES = ("weight", "bias", "running_mean", "running_var")
NORM_EPS = 1e-5
"""Of the norm behind the join of a pyramid's branches."""

VOC_CLASSES = tuple(label.name for label in VOC.labels)
"""In the order of public checkpoints."""
HEAD = ("context.project.", "classifier.")
"""What the modules of DeepLabv3 begin with that make up the head."""
BRANCHES = 2
"""Image pooling and the 1x1 convolution, with which DeeperLab's pyramid begins too."""
PARTS = ("context.project", "decoder", "semantic")
"""DeeperLab's modules that carry it."""


def head_of(weights: Weights) -> Weights:
    """The head of a DeepLabv3 of ours as public files have it: its norm is folded into a bias."""
    norm = {leaf: weights[f"context.project.norm.{leaf}"].double() for leaf in LEAVES}
    # In 64 bits: a norm that came folded gives back the very numbers that it came with.
    scale = norm["weight"] / (norm["running_var"] + NORM_EPS).sqrt()
    kernel = weights["context.project.conv.weight"].double() * scale[:, None, None, None]
    return {
        "concat_projection.weight": kernel.float(),
        "concat_projection.bias": (norm["bias"] - norm["running_mean"] * scale).float(),
        "logits.weight": weights["classifier.weight"],
        "logits.bias": weights["classifier.bias"],
    }


def graft(system: DeeperLab, head: Weights) -> tuple[str, ...]:
    """Puts a DeepLabv3 head on VOC classes into a system whose backbone and branches it fits.

    head  `concat_projection` and `logits`, each with weight and bias, as deeplab-lite files have

    Returns the names of the classes that both know; nothing is changed if there is none, if the
    head has other classes or stands on branches of another width, or if the decoder is another one
    or too narrow. Afterwards `system` in evaluation answers those classes' logits, but for their
    mean.
    """
    names = [label.name for label in system.labels.labels]
    known = tuple(name for name in VOC_CLASSES if name in names)
    width = 2 * len(known)
    if not known or not _has_path(system, head) or system.network.decoder_width < width:
        return ()
    rows = torch.tensor([VOC_CLASSES.index(name) for name in known])
    large = system.semantic.large
    with torch.no_grad():
        _join(system.context.project, head)
        _classify(system, head["logits.weight"][rows, :, 0, 0], head["logits.bias"][rows])
        _interpolate(system.decoder.second.depthwise, width)
        _pass_on(system.decoder.second.pointwise, slice(0, CELLS * width))
        _pass_on(large.depthwise, slice(0, width))
        _pass_on(large.pointwise, slice(0, width))
        _answer(system.semantic.classifier, [names.index(name) for name in known])
    return known


def _has_path(system: DeeperLab, head: Weights) -> bool:
    network, joined = system.network, tuple(head["concat_projection.weight"].shape)
    return (
        network.aspp
        and network.deep_heads
        and network.decoder == "space-to-depth"
        and joined == (network.aspp_width, BRANCHES * network.aspp_width, 1, 1)
        and tuple(head["logits.weight"].shape) == (len(VOC_CLASSES), network.aspp_width, 1, 1)
    )


def _join(block: ConvNorm, head: Weights) -> None:
    """The features f, of the two branches; atrous ones begin with no say."""
    weight = head["concat_projection.weight"]
    block.conv.weight.zero_()
    block.conv.weight[:, : weight.shape[1]] = weight
    fold(block.norm)
    block.norm.bias.copy_(head["concat_projection.bias"])


def _classify(system: DeeperLab, weight: Tensor, bias: Tensor) -> None:
    """Sets z and -z at each of the sixteen places of a block, out of f alone."""
    first = system.decoder.first
    features = slice(first.depthwise.conv.weight.shape[0] - weight.shape[1], None)
    _pass_on(first.depthwise, features)
    weight, bias = weight - weight.mean(dim=0), bias - bias.mean()
    both = torch.cat([weight, -weight]).repeat_interleave(CELLS, dim=0)
    first.pointwise.conv.weight[: len(both)] = 0
    first.pointwise.conv.weight[: len(both), features, 0, 0] = both
    fold(first.pointwise.norm, slice(0, len(both)))
    first.pointwise.norm.bias[: len(both)] = torch.cat([bias, -bias]).repeat_interleave(CELLS)


def _interpolate(block: ConvNorm, channels: int) -> None:
    """Place (i, j) of a block lies i/4 and j/4 on the way to the next cell."""
    share = torch.arange(BLOCK) / BLOCK
    line = torch.stack([1 - share, share], dim=1)
    taps = torch.einsum("ia,jb->ijab", line, line).flatten(0, 1).repeat(channels, 1, 1)
    middle = block.conv.weight.shape[-1] // 2
    block.conv.weight[: len(taps)] = 0
    block.conv.weight[: len(taps), 0, middle : middle + 2, middle : middle + 2] = taps
    fold(block.norm, slice(0, len(taps)))
    block.norm.bias[: len(taps)] = 0


def _pass_on(block: ConvNorm, channels: slice) -> None:
    """These channels leave a block as they enter it."""
    weight = block.conv.weight
    numbers = torch.arange(len(weight))[channels]
    middle = weight.shape[-1] // 2
    weight[numbers] = 0
    weight[numbers, 0 if weight.shape[1] == 1 else numbers, middle, middle] = 1
    fold(block.norm, channels)
    block.norm.bias[channels] = 0


def _answer(classifier: nn.Conv2d, rows: list[int]) -> None:
    assert classifier.bias is not None
    positive = torch.arange(len(rows))
    classifier.weight[rows] = 0
    classifier.weight[rows, positive, 0, 0] = 1
    classifier.weight[rows, positive + len(rows), 0, 0] = -1
    classifier.bias[rows] = 0
