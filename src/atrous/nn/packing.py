"""Folded networks on a CPU with oneDNN: weights in its own layout, sums and activations fused.

What torch.compile makes of a frozen network, without a compiler and without waiting for it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.folding import FoldedConv, with_children
from atrous.nn.mobilenet import InvertedResidual
from atrous.nn.resnet import Bottleneck
from atrous.nn.xception import Separable, XceptionModule

OPS = torch.ops.mkldnn
FUSED: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.Identity: ("none", []),
}
"""What the library calls an activation, and its numbers."""


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this CPU's torch can run packed convolutions of a type."""
    if not (torch.backends.mkldnn.is_available() and hasattr(OPS, "_convolution_pointwise")):
        return False
    return dtype == torch.float32 or bool(OPS._is_mkldnn_bf16_supported())


class PackedConv(nn.Module):
    """A folded convolution that runs in one pass with its activation, and with a sum if need be.

    The best layout of weights depends on the size of the map, and in another one every call would
    lay them out anew, at up to seven times the cost. So they are laid out for the size that comes,
    and again where another one comes, which took a seventh of a pass at most.
    """

    def __init__(self, folded: FoldedConv) -> None:
        super().__init__()
        conv = folded.conv
        self.pad, self._plain = folded.pad, conv.weight.detach()
        self._numbers = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self._activation, self._limits = FUSED[type(folded.activation)]
        self._bias = None if conv.bias is None else conv.bias.detach()
        self._laid_out: tuple[torch.Size, Tensor] | None = None

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """Convolves, activates."""
        x = self.pad(x).to(self._plain.dtype)
        y: Tensor = OPS._convolution_pointwise(
            *(x, self._weight(x.shape), self._bias, *self._numbers),
            *(self._activation, self._limits, ""),
        )
        return y

    def added(
        self, x: Float[Tensor, "b c h w"], other: Float[Tensor, "b c2 h2 w2"], *, rectified: bool
    ) -> Float[Tensor, "b c2 h2 w2"]:
        """The convolution of `x` and a map in one sum, which ReLU may follow.

        Raises: ValueError if an activation stands between the convolution and the sum.
        """
        if self._activation != "none":
            raise ValueError(f"{self._activation} comes before the sum: add outside of this")
        x = self.pad(x).to(self._plain.dtype)
        y: Tensor = OPS._convolution_pointwise.binary(
            *(x, other, self._weight(x.shape), self._bias, *self._numbers),
            *("add", 1.0, "relu" if rectified else None, [], None),
        )
        return y

    def _weight(self, shape: torch.Size) -> Tensor:
        """The weights as this size wants them. Other threads may ask for another meanwhile."""
        laid_out = self._laid_out
        if laid_out is None or laid_out[0] != shape:
            weight = OPS._reorder_convolution_weight(self._plain, *self._numbers, list(shape))
            self._laid_out = laid_out = (shape, weight)
        return laid_out[1]


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
        return _added(self.expand, self.inner(x), self.shortcut(seen), rectified=True)


class PackedInverted(nn.Module):
    """A MobileNetV2's unit, its sum inside of the last convolution."""

    def __init__(self, unit: InvertedResidual) -> None:
        super().__init__()
        self.inner = nn.Sequential(unit.expand, unit.depthwise)
        self.project, self.is_residual = unit.project, unit.is_residual

    def forward(
        self, x: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b c2 h2 w2"], Float[Tensor, "b c3 h2 w2"]]:
        """The unit's output, and its depthwise output, which decoders tap."""
        inner = self.inner(x)
        if self.is_residual:
            return _added(self.project, inner, x, rectified=False), inner
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
        return _added(self.pointwise, filtered, self.shortcut(x), rectified=False), inner


def packed(folded: nn.Module) -> nn.Module:
    """A copy of a folded network for the CPU that answers the same but for rounding.

    It shares the weights, and holds copies in another layout. Inputs should be channels-last.
    Answers have no gradient.
    """
    if isinstance(folded, FoldedConv):
        return PackedConv(folded)
    whole = with_children(folded, packed)
    if isinstance(whole, Bottleneck):
        return PackedBottleneck(whole)
    if isinstance(whole, InvertedResidual):
        return PackedInverted(whole)
    if isinstance(whole, XceptionModule) and whole.has_shortcut:
        return PackedXception(whole)
    return whole


def _added(last: nn.Module, x: Tensor, other: Tensor, *, rectified: bool) -> Tensor:
    assert isinstance(last, PackedConv)
    return last.added(x, other, rectified=rectified)
