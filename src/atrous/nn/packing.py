"""Folded networks on a CPU with oneDNN: sums and activations inside of the convolutions.

What torch.compile makes of a frozen network, without a compiler and without waiting for it; and
less moved to and fro in memory.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.blocks import cell_by_cell, joined_blocks, unfolded_blocks
from atrous.nn.context import ASPP
from atrous.nn.decoder import BLOCK, REDUCED, SpaceToDepthDecoder
from atrous.nn.folding import FoldedConv, convolution, with_children
from atrous.nn.mobilenet import InvertedResidual
from atrous.nn.packedconv import PackedConv, added
from atrous.nn.resnet import Bottleneck
from atrous.nn.stripes import Striped
from atrous.nn.xception import Separable, XceptionModule

AT_A_TIME = 1024
"""Channels that a decoder's last convolution answers at a time; with 2048, weights that no cache
holds cost it a tenth of its time."""


class PackedBottleneck(nn.Module):
    """A ResNet's unit, its sum and ReLU inside of the last convolution."""

    def __init__(self, unit: Bottleneck) -> None:
        super().__init__()
        self.inner = nn.Sequential(unit.reduce, unit.conv)
        self.expand, self.shortcut, self.skip = unit.expand, unit.shortcut, unit.skip

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """The sum of shortcut and residual branch."""
        seen = x
        if self.skip > 1:
            strided = x[..., :: self.skip, :: self.skip]
            seen = strided.contiguous(memory_format=torch.channels_last)
        return added(self.expand, self.inner(x), self.shortcut(seen), rectified=True)


class PackedInverted(nn.Module):
    """A MobileNetV2's unit, its sum inside of the last convolution."""

    def __init__(self, unit: InvertedResidual) -> None:
        super().__init__()
        expand, depthwise = unit.expand, unit.depthwise
        self.inner: nn.Module = depthwise
        if isinstance(expand, PackedConv) and isinstance(depthwise, PackedConv):
            self.inner = Striped(expand, depthwise)
        self.project, self.is_residual = unit.project, unit.is_residual

    def forward(
        self, x: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b c2 h2 w2"], Float[Tensor, "b c3 h2 w2"]]:
        """The unit's output, and its depthwise output, which decoders tap."""
        inner = self.inner(x)
        if self.is_residual:
            return added(self.project, inner, x, rectified=False), inner
        return self.project(inner), inner


class PackedXception(nn.Module):
    """An Xception module with a shortcut, the sum inside of the last convolution."""

    def __init__(self, unit: XceptionModule) -> None:
        super().__init__()
        first, second, third = unit.separable
        assert isinstance(third, Separable)
        assert not third.activates_inside
        self.first, self.second = first, second
        self.depthwise, self.pointwise = third.depthwise, third.pointwise
        self.shortcut = unit.shortcut

    def forward(
        self, x: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b c3 h2 w2"], Float[Tensor, "b c2 h w"]]:
        """The module's output, and that of its second convolution, which decoders tap."""
        inner = self.second(self.first(x))
        filtered = self.depthwise(inner.relu())
        return added(self.pointwise, filtered, self.shortcut(x), rectified=False), inner


class PackedASPP(nn.Module):
    """A pyramid whose branches are never joined: the last convolution is a sum of theirs."""

    def __init__(self, folded: ASPP) -> None:
        super().__init__()
        branches = [folded.pool] * (folded.pool is not None) + [folded.point, *folded.atrous]
        self.has_pool = folded.pool is not None
        self.branches = nn.ModuleList(packed(branch) for branch in branches)
        self.parts = nn.ModuleList(_parts(folded.project, len(branches)))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width h w"]:
        """Context features of the same size."""
        total: Tensor | None = None
        for branch, part in zip(self.branches, self.parts, strict=True):
            if total is None:
                mean = x.mean(dim=(2, 3), keepdim=True) if self.has_pool else x
                total = part(branch(mean)).expand(-1, -1, *x.shape[-2:])
                total = total.contiguous(memory_format=torch.channels_last)
            else:
                total = added(part, branch(x), total, rectified=part is self.parts[-1])
        assert total is not None
        return total


def _parts(last: nn.Module, count: int) -> list[PackedConv]:
    """A 1x1 convolution over joined maps as one for each of them; the first has the bias."""
    assert isinstance(last, FoldedConv)
    weights, bias = last.conv.weight.chunk(count, dim=1), last.conv.bias
    return [
        PackedConv(
            FoldedConv(convolution(last.conv, weight, bias if n == 0 else None, dtype=weight.dtype))
        )
        for n, weight in enumerate(weights)
    ]


class PackedDecoder(nn.Module):
    """DeeperLab's decoder at an output stride of 16, its blocks cell by cell in memory.

    Between map and blocks whole cells move, where channels would have to be sorted: the
    convolutions know the other order of channels by their weights.
    """

    def __init__(self, folded: SpaceToDepthDecoder) -> None:
        super().__init__()
        first, second = folded.first, folded.second
        wide, joined = (_channels(x) for x in (second.pointwise, first.depthwise))
        into = torch.cat([cell_by_cell(REDUCED), torch.arange(REDUCED * BLOCK**2, joined)])
        self.reduce = packed(folded.reduce)
        self.convs = nn.Sequential(
            _sorted(first.depthwise, answers=into),
            _sorted(first.pointwise, sees=into),
            packed(second.depthwise),
        )
        count = max(n for n in (1, 2, BLOCK) if n == 1 or n * AT_A_TIME <= wide)
        orders = cell_by_cell(wide // BLOCK**2).chunk(count)
        self.parts = nn.ModuleList(_sorted(second.pointwise, answers=order) for order in orders)

    def forward(
        self, low: Float[Tensor, "b c1 h4 w4"], high: Float[Tensor, "b c2 ho wo"]
    ) -> Float[Tensor, "b width h4 w4"]:
        """Decoded features at stride 4."""
        joined: Tensor = self.convs(joined_blocks(self.reduce(low), high))
        blocks = [part(joined) for part in self.parts]
        return unfolded_blocks(blocks, (low.shape[-2], low.shape[-1]))


def _is_float32(layer: nn.Module) -> bool:
    """Whether sums lose nothing if they are rounded after each part."""
    return isinstance(layer, FoldedConv) and layer.conv.weight.dtype == torch.float32


def _channels(conv: nn.Module) -> int:
    assert isinstance(conv, FoldedConv)
    return conv.conv.out_channels


def _sorted(
    layer: nn.Module, *, answers: Tensor | None = None, sees: Tensor | None = None
) -> PackedConv:
    """A packed convolution with its channels in another order."""
    assert isinstance(layer, FoldedConv)
    weight, bias = layer.conv.weight, layer.conv.bias
    if sees is not None:
        weight = weight[:, sees]
    if answers is not None:
        weight, bias = weight[answers], None if bias is None else bias[answers]
    conv = convolution(layer.conv, weight, bias, dtype=weight.dtype)
    return PackedConv(FoldedConv(conv, layer.pad, layer.activation))


def packed(folded: nn.Module) -> nn.Module:
    """A copy of a folded network for the CPU that answers the same but for rounding.

    It shares the weights, and holds copies in another layout. Inputs should be channels-last.
    Answers have no gradient.
    """
    if isinstance(folded, FoldedConv):
        return PackedConv(folded)
    if isinstance(folded, ASPP) and _is_float32(folded.project) and len(folded.atrous) > 0:
        return PackedASPP(folded)
    if isinstance(folded, SpaceToDepthDecoder) and folded.step == BLOCK:
        return PackedDecoder(folded)
    whole = with_children(folded, packed)
    if isinstance(whole, Bottleneck):
        return PackedBottleneck(whole)
    if isinstance(whole, InvertedResidual):
        return PackedInverted(whole)
    if isinstance(whole, XceptionModule) and whole.has_shortcut:
        return PackedXception(whole)
    return whole
