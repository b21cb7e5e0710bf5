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

from atrous.nn.decoder import BLOCK
from atrous.nn.layers import ConvNorm
from atrous.nn.statistics import fold
from atrous.run.checkpoint import Weights
from atrous.systems.deeperlab import DeeperLab

CELLS = BLOCK * BLOCK

VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
    *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)
"""In the order of public checkpoints."""


def graft(system: DeeperLab, head: Weights) -> tuple[str, ...]:
    """Puts a DeepLabv3 head on VOC classes into a system whose backbone and branches it fits.

    head  `concat_projection` and `logits`, each with weight and bias, as deeplab-lite files have

    Returns the names of the classes that both know; nothing is changed if there is none, or if the
    decoder is another one or too narrow. Afterwards `system` in evaluation answers those classes'
    logits, but for their mean.
    """
    names = [label.name for label in system.labels.labels]
    known = tuple(name for name in VOC_CLASSES if name in names)
    width = 2 * len(known)
    network = system.network
    has_path = network.aspp and network.deep_heads and network.decoder == "space-to-depth"
    if not known or not has_path or network.decoder_width < width:
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
