"""DeeperLab's decoders and heads."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.layers import ConvNorm, SeparableConv, classifier
from atrous.nn.resample import depth_to_space, resize, space_to_depth

BLOCK = 4
REDUCED = 32
"""Channels that a decoder leaves of the low-level map."""


class SpaceToDepthDecoder(nn.Module):
    """Joins stride-4 and encoder features at the encoder's resolution, and answers at stride 4.

    The low-level map is reduced to 32 channels and folded 4x4 into 512; with the encoder's 256 it
    passes two large separable convolutions, and unfolds to `width` channels at stride 4.

    At an output stride of 8 the same weights apply: blocks are taken every two cells, the
    convolutions run at rate 2, and overlapping blocks are averaged. This is the four shifted
    stride-16 decoders in one pass. # Deviates: the paper names stride 16 only.

    Source: DeeperLab, section 3.2 and figure 2.
    Raises: ValueError for output strides other than 8 and 16.
    """

    def __init__(
        self, low_channels: int, channels: int, *, width: int, kernel: int, output_stride: int
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16):
            raise ValueError(f"output_stride is {output_stride}: this decoder has 8 or 16")
        self.step = output_stride // 4
        wide, rate = width * BLOCK * BLOCK, 16 // output_stride
        self.reduce = ConvNorm(low_channels, REDUCED)
        joined = REDUCED * BLOCK * BLOCK + channels
        self.first = SeparableConv(joined, wide, kernel=kernel, rate=rate)
        self.second = SeparableConv(wide, wide, kernel=kernel, rate=rate)

    def forward(
        self, low: Float[Tensor, "b c1 h4 w4"], high: Float[Tensor, "b c2 ho wo"]
    ) -> Float[Tensor, "b width h4 w4"]:
        """Decoded features at stride 4."""
        folded = space_to_depth(self.reduce(low), block=BLOCK, step=self.step)
        joined = self.second(self.first(torch.cat([folded, high], dim=1)))
        size_hw = (low.shape[-2], low.shape[-1])
        return depth_to_space(joined, block=BLOCK, step=self.step, size_hw=size_hw)


class BottomUpDecoder(nn.Module):
    """Joins stride-4 and encoder features at stride 4, where two convolutions follow.

    The low-level map is reduced to 32 channels; the encoder's is upsampled to it bilinearly.

    Source: DeeperLab, section 4.3 and table 4 ("BU"), after DeepLabv3+, section 3.1.
    # Deviates: DeepLabv3+ reduces to 48 channels; 32, as the other decoder, isolates the effect.
    """

    def __init__(self, low_channels: int, channels: int, *, width: int, kernel: int) -> None:
        super().__init__()
        self.reduce = ConvNorm(low_channels, REDUCED)
        self.first = SeparableConv(REDUCED + channels, width, kernel=kernel)
        self.second = SeparableConv(width, width, kernel=kernel)

    def forward(
        self, low: Float[Tensor, "b c1 h4 w4"], high: Float[Tensor, "b c2 ho wo"]
    ) -> Float[Tensor, "b width h4 w4"]:
        """Decoded features at stride 4."""
        upsampled = resize(high, (low.shape[-2], low.shape[-1]))
        y: Tensor = self.second(self.first(torch.cat([self.reduce(low), upsampled], dim=1)))
        return y


class Head(nn.Sequential):
    """A large separable convolution, where the head is deep, and a 1x1 classifier.

    Source: DeeperLab, section 3.3 and figure 2; table 4 ("DH") for heads that are not deep.
    """

    @property
    def large(self) -> SeparableConv:
        """The large convolution of a deep head."""
        layer = self[0]
        assert isinstance(layer, SeparableConv)
        return layer

    @property
    def classifier(self) -> nn.Conv2d:
        """The 1x1 convolution that answers."""
        layer = self[-1]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def __init__(
        self, channels_in: int, channels_out: int, *, width: int, kernel: int, deep: bool = True
    ) -> None:
        large = [SeparableConv(channels_in, width, kernel=kernel)] if deep else []
        super().__init__(*large, classifier(width if deep else channels_in, channels_out))
