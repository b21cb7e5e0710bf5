"""DeeperLab's decoder and heads."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.layers import ConvNorm, SeparableConv, classifier
from atrous.nn.resample import depth_to_space, space_to_depth

BLOCK = 4


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
        self.reduce = ConvNorm(low_channels, 32)
        self.first = SeparableConv(32 * BLOCK * BLOCK + channels, wide, kernel=kernel, rate=rate)
        self.second = SeparableConv(wide, wide, kernel=kernel, rate=rate)

    def forward(
        self, low: Float[Tensor, "b c1 h4 w4"], high: Float[Tensor, "b c2 ho wo"]
    ) -> Float[Tensor, "b width h4 w4"]:
        """Decoded features at stride 4."""
        folded = space_to_depth(self.reduce(low), block=BLOCK, step=self.step)
        joined = self.second(self.first(torch.cat([folded, high], dim=1)))
        size_hw = (low.shape[-2], low.shape[-1])
        return depth_to_space(joined, block=BLOCK, step=self.step, size_hw=size_hw)


class Head(nn.Sequential):
    """A large separable convolution and a 1x1 classifier.

    Source: DeeperLab, section 3.3 and figure 2.
    """

    @property
    def large(self) -> SeparableConv:
        """The large convolution."""
        layer = self[0]
        assert isinstance(layer, SeparableConv)
        return layer

    @property
    def classifier(self) -> nn.Conv2d:
        """The 1x1 convolution that answers."""
        layer = self[1]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def __init__(self, channels_in: int, channels_out: int, *, width: int, kernel: int) -> None:
        super().__init__(
            SeparableConv(channels_in, width, kernel=kernel), classifier(width, channels_out)
        )
