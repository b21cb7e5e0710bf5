"""MobileNetV2 and DeeperLab's Wider MobileNetV2 as feature extractors."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.features import Channels, Features, Strides
from atrous.nn.layers import ConvNorm

NORM_EPS = 1e-3
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""(expansion, channels, repeats, first stride) of each stage. Source: MobileNetV2, table 2."""
LOW, MID = 2, 12
"""Units that are tapped: the second with 24 channels, and the last with 96."""


class Unit(NamedTuple):
    """One inverted residual: `rate` is the atrous rate of its depthwise convolution."""

    channels_in: int
    channels_out: int
    expansion: int
    stride: int
    rate: int


def units(output_stride: int, *, width: float = 1.0) -> tuple[Unit, ...]:
    """The seventeen inverted residuals at an output stride.

    Source: DeepLabv3, section 3.1. Raises: ValueError for strides other than 4, 8, 16 and 32.
    """
    strides = Strides(output_stride, possible=(4, 8, 16, 32))
    strides.take(2)  # the stem
    rows: list[Unit] = []
    channels = divisible(32 * width)
    for expansion, base, repeats, first in STAGES:
        for repeat in range(repeats):
            rate, stride = strides.rate, strides.take(first if repeat == 0 else 1)
            rows.append(Unit(channels, divisible(base * width), expansion, stride, rate))
            channels = rows[-1].channels_out
    return tuple(rows)


def divisible(channels: float) -> int:
    """The nearest multiple of 8, at least 8, and not below nine tenths of what was asked for.

    Source: MobileNetV2 (Sandler et al., 2018), the authors' code.
    """
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise k x k, linear 1x1; a residual where sizes allow it."""

    def __init__(self, unit: Unit, *, kernel: int) -> None:
        super().__init__()
        hidden = unit.channels_in * unit.expansion
        self.expand: nn.Module = nn.Identity()
        if unit.expansion > 1:
            self.expand = ConvNorm(unit.channels_in, hidden, activation="relu6", norm_eps=NORM_EPS)
        self.depthwise = ConvNorm(
            hidden,
            hidden,
            kernel=kernel,
            stride=unit.stride,
            rate=unit.rate,
            groups=hidden,
            activation="relu6",
            norm_eps=NORM_EPS,
        )
        self.project = ConvNorm(hidden, unit.channels_out, activation="none", norm_eps=NORM_EPS)
        self.is_residual = unit.stride == 1 and unit.channels_in == unit.channels_out

    def forward(
        self, x: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b c2 h2 w2"], Float[Tensor, "b c3 h2 w2"]]:
        """The unit's output, and its depthwise output, which decoders tap."""
        inner = self.depthwise(self.expand(x))
        y = self.project(inner)
        return (x + y if self.is_residual else y), inner


class MobileNetV2(nn.Module):
    """The 320-channel features, and a tap at stride 4 with 144 channels.

    kernel 3 is MobileNetV2; 5 (and 7) is DeeperLab's Wider MobileNetV2, in which every 3x3 is
    larger, the first convolution included: receptive fields 491, 981 and 1471.
    width  multiplies the channels of every layer

    Source: DeeperLab, section 3.1; the tap is the depthwise answer of the second 24-channel unit.
    Raises: ValueError for kernels other than 3, 5, 7 and strides other than 4, 8, 16, 32.
    """

    def __init__(self, *, kernel: int = 3, width: float = 1.0, output_stride: int = 16) -> None:
        super().__init__()
        if kernel not in (3, 5, 7):
            raise ValueError(f"kernel is {kernel}: a mobile backbone has 3, 5 or 7")
        rows = units(output_stride, width=width)
        self.stem = ConvNorm(
            3,
            rows[0].channels_in,
            kernel=kernel,
            stride=2,
            activation="relu6",
            norm_eps=NORM_EPS,
        )
        self.units = nn.ModuleList(InvertedResidual(unit, kernel=kernel) for unit in rows)
        self.channels = Channels(
            low=rows[LOW].channels_in * rows[LOW].expansion,
            mid=rows[MID].channels_out,
            high=rows[-1].channels_out,
        )

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Features:
        """Features at stride 4, before the last stride, and at the output stride."""
        x = self.stem(image)
        low = mid = x
        for index, unit in enumerate(self.units):
            x, inner = unit(x)
            low = inner if index == LOW else low
            mid = x if index == MID else mid
        return Features(low, mid, x)
