"""Modules that look far around: atrous spatial pyramid pooling."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.layers import ConvNorm, SeparableConv


class ASPP(nn.Module):
    """Image pooling, a 1x1 convolution, and separable 3x3 ones at atrous rates; joined by a 1x1.

    rates  at output stride 16; at another stride they grow so that the field of view stays.

    Source: DeepLabv3, section 3.3; separable in DeeperLab, section 3.1.
    """

    def __init__(
        self, channels_in: int, *, width: int, rates: tuple[int, ...], output_stride: int
    ) -> None:
        super().__init__()
        self.pool = ConvNorm(channels_in, width)
        self.point = ConvNorm(channels_in, width)
        self.atrous = nn.ModuleList(
            SeparableConv(channels_in, width, kernel=3, rate=rate * 16 // output_stride)
            for rate in rates
        )
        self.project = ConvNorm(width * (2 + len(rates)), width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width h w"]:
        """Context features of the same size."""
        pooled = self.pool(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        y: Tensor = self.project(
            torch.cat([pooled, self.point(x), *(branch(x) for branch in self.atrous)], dim=1)
        )
        return y
