"""MobileNetV2 and DeeperLab's Wider MobileNetV2 as feature extractors."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

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


class Unit(NamedTuple):
    """One inverted residual: `rate` is the atrous rate of its depthwise convolution."""

    channels_in: int
    channels_out: int
    expansion: int
    stride: int
    rate: int


def units(output_stride: int) -> tuple[Unit, ...]:
    """The seventeen inverted residuals at an output stride.

    Once the stride is spent, a strided unit keeps the rate that it had and doubles that of all
    later ones, so that weights stay exact in every output stride.

    Source: DeepLabv3, section 3.1. Raises: ValueError for strides other than 8, 16 and 32.
    """
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride is {output_stride}: a mobile backbone has 8, 16 or 32")
    rows: list[Unit] = []
    channels, actual, rate = 32, 2, 1
    for expansion, width, repeats, first in STAGES:
        for repeat in range(repeats):
            wanted = first if repeat == 0 else 1
            stride = wanted if actual * wanted <= output_stride else 1
            rows.append(Unit(channels, width, expansion, stride, rate))
            actual, rate, channels = actual * stride, rate * (wanted // stride), width
    return tuple(rows)


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

    Source: DeeperLab, section 3.1.
    Raises: ValueError for kernels other than 3, 5, 7 and strides other than 8, 16, 32.
    """

    low_channels = 144
    channels = 320
    _tap = 2  # the second 24-channel unit

    def __init__(self, *, kernel: int, output_stride: int) -> None:
        super().__init__()
        if kernel not in (3, 5, 7):
            raise ValueError(f"kernel is {kernel}: a mobile backbone has 3, 5 or 7")
        self.stem = ConvNorm(3, 32, kernel=kernel, stride=2, activation="relu6", norm_eps=NORM_EPS)
        self.units = nn.ModuleList(
            InvertedResidual(unit, kernel=kernel) for unit in units(output_stride)
        )

    def forward(
        self, image: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b 144 h4 w4"], Float[Tensor, "b 320 ho wo"]]:
        """Low-level features at stride 4, and features at the output stride."""
        x, low = self.stem(image), image
        for index, unit in enumerate(self.units):
            x, inner = unit(x)
            if index == self._tap:
                low = inner
        return low, x
