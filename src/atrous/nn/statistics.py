"""Statistics of batch norms that come folded, or that never saw data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from atrous.nn.layers import ConvNorm

LEAST_SHARE = 0.01
"""Of a norm's mean variance: no channel is taken for steadier, so that none is blown up."""


def fold(norm: nn.BatchNorm2d, channels: slice = slice(None)) -> None:
    """Makes channels of a norm pass what comes, plus their bias, and marks them for `unfold`."""
    with torch.no_grad():
        norm.weight[channels] = 1
        mean_of(norm)[channels] = 0
        variance_of(norm)[channels] = 1 - norm.eps


def unfold(network: nn.Module, images: Iterable[Float[Tensor, "b 3 h w"]]) -> None:
    """Gives folded channels the statistics of photos, so that their norms can be trained.

    The network's answer in evaluation stays what it was: scale and shift are set to undo the
    statistics that were measured.
    """
    sums = [_Moments(block) for block in _blocks(network) if bool(_is_folded(block.norm).any())]
    if not sums:
        return
    network.eval()
    with torch.no_grad():
        for batch in images:
            network(batch)
        for moments in sums:
            moments.settle()


def calibrate(network: nn.Module, images: Float[Tensor, "b 3 h w"]) -> None:
    """Gives channels that never saw data the statistics of one batch, each after those before it.

    What training found, and what is folded, stays. Norms that are frozen from then on act as the
    data-dependent initialisation of weight normalisation.

    Source: Salimans and Kingma, Weight Normalization (2016), section 3.
    """
    norms = [block.norm for block in _blocks(network)]
    hooks = [norm.register_forward_pre_hook(_measure) for norm in norms]
    network.eval()
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()


def _measure(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    assert isinstance(norm, nn.BatchNorm2d)
    fresh = (mean_of(norm) == 0) & (variance_of(norm) == 1)
    mean, variance = inputs[0].mean(dim=(0, 2, 3)), inputs[0].var(dim=(0, 2, 3), correction=0)
    variance = variance.clamp(min=LEAST_SHARE * float(variance.mean()))
    mean_of(norm)[fresh] = mean[fresh]
    variance_of(norm)[fresh] = variance[fresh]


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
        folded = _is_folded(norm)
        norm.weight[folded] = (variance + norm.eps).sqrt().to(norm.weight)[folded]
        norm.bias[folded] += mean.to(norm.bias)[folded]
        mean_of(norm)[folded] = mean.to(norm.bias)[folded]
        variance_of(norm)[folded] = variance.to(norm.bias)[folded]


def _is_folded(norm: nn.BatchNorm2d) -> Bool[Tensor, " c"]:
    passes = torch.full_like(variance_of(norm), 1 - norm.eps)
    return (mean_of(norm) == 0) & (variance_of(norm) == passes)


def _blocks(network: nn.Module) -> Iterator[ConvNorm]:
    return (m for m in network.modules() if isinstance(m, ConvNorm))


def mean_of(norm: nn.BatchNorm2d) -> Float[Tensor, " c"]:
    """The running mean."""
    assert norm.running_mean is not None
    return norm.running_mean


def variance_of(norm: nn.BatchNorm2d) -> Float[Tensor, " c"]:
    """The running variance."""
    assert norm.running_var is not None
    return norm.running_var
