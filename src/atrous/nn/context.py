"""Modules that look far around: atrous spatial pyramid pooling, and pyramid pooling."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.layers import ConvNorm, SeparableConv
from atrous.nn.resample import resize


class ASPP(nn.Module):
    """Image pooling, a 1x1 convolution, and 3x3 ones at atrous rates; joined by a 1x1.

    rates      at output stride 16; at another stride they grow so that the field of view stays
    pooling    whether the branch with the mean of the whole map is there
    separable  whether the atrous convolutions are depthwise ones, each with a 1x1

    Source: DeepLabv3, section 3.3; separable in DeeperLab, section 3.1.
    Raises: ValueError if a rate is no whole number at this output stride.
    """

    def __init__(
        self,
        channels_in: int,
        *,
        width: int,
        rates: tuple[int, ...],
        output_stride: int,
        pooling: bool = True,
        separable: bool = True,
    ) -> None:
        super().__init__()
        if any(rate < 1 or rate * 16 % output_stride for rate in rates):
            raise ValueError(
                f"atrous rates {rates} at output stride 16 are no whole numbers at {output_stride}:"
                " choose rates that divide, or another output stride"
            )
        self.pool = ConvNorm(channels_in, width) if pooling else None
        self.point = ConvNorm(channels_in, width)
        conv = SeparableConv if separable else ConvNorm
        self.atrous = nn.ModuleList(
            conv(channels_in, width, kernel=3, rate=rate * 16 // output_stride) for rate in rates
        )
        self.project = ConvNorm(width * (1 + pooling + len(rates)), width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width h w"]:
        """Context features of the same size."""
        seen = [self.point(x), *(branch(x) for branch in self.atrous)]
        if self.pool is not None:
            mean = self.pool(x.mean(dim=(2, 3), keepdim=True))
            seen.insert(0, mean.expand(-1, -1, *x.shape[-2:]))
        y: Tensor = self.project(torch.cat(seen, dim=1))
        return y


class PyramidPooling(nn.Module):
    """The map beside its own poolings to b x b bins, each upsampled back to its size.

    bins    such as (1, 2, 3, 6)
    reduce  whether a 1x1 convolution brings each level to channels / levels
    kind    "average" or "max"

    `channels` says how many channels come out.

    Source: PSPNet, section 3.2 and table 1.
    Raises: ValueError for another kind of pooling.
    """

    def __init__(
        self,
        channels_in: int,
        *,
        bins: tuple[int, ...],
        kind: str = "average",
        reduce: bool = True,
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        if kind not in POOLINGS:
            raise ValueError(f"pooling is {kind!r}: it can be {' or '.join(POOLINGS)}")
        self.bins, self.kind, self.align_corners = bins, kind, align_corners
        width = channels_in // len(bins) if reduce and bins else channels_in
        self.levels = nn.ModuleList(
            ConvNorm(channels_in, width) if reduce else nn.Identity() for _ in bins
        )
        self.channels = channels_in + width * len(bins)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """The map and its levels, in the order of the bins."""
        size_hw, pool = (x.shape[-2], x.shape[-1]), POOLINGS[self.kind]
        levels = [
            resize(level(pool(x, bins)), size_hw, align_corners=self.align_corners)
            for bins, level in zip(self.bins, self.levels, strict=True)
        ]
        return torch.cat([x, *levels], dim=1)


def average_pool(x: Float[Tensor, "b c h w"], bins: int) -> Float[Tensor, "b c n n"]:
    """The mean of each of bins x bins parts of a map; they overlap where a side does not divide.

    Two small matrix products, so that one exported graph serves every input size. Where a side
    divides, this is PSPNet's pooling; else bin i reaches from floor(i n / bins) to
    ceil((i + 1) n / bins).
    """
    rows, columns = (
        inside / inside.sum(dim=1, keepdim=True)
        for inside in (_inside(x.shape[d], bins, x.device).to(x.dtype) for d in (-2, -1))
    )
    return rows @ x @ columns.T


def max_pool(x: Float[Tensor, "b c h w"], bins: int) -> Float[Tensor, "b c n n"]:
    """The maximum of each of bins x bins parts of a map, parts as in `average_pool`."""
    for dim in (-2, -1):
        inside = _inside(x.shape[dim], bins, x.device)
        shape = (-1, 1) if dim == -2 else (1, -1)
        least = torch.finfo(x.dtype).min
        parts = [
            torch.where(row.reshape(shape), x, least).amax(dim=dim, keepdim=True) for row in inside
        ]
        x = torch.cat(parts, dim=dim)
    return x


def _inside(size: int, bins: int, device: torch.device) -> Tensor:
    """(bins, size): which places each bin covers."""
    places = torch.arange(size, device=device)
    edges = torch.arange(bins + 1, device=device) * size
    first = edges[:-1, None] // bins
    last = (edges[1:, None] + bins - 1) // bins
    return (places >= first) & (places < last)


POOLINGS = {"average": average_pool, "max": max_pool}
