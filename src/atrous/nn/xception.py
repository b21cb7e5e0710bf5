"""Aligned, modified Xception-41, 65 and 71 as feature extractors."""

from __future__ import annotations

from typing import Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.features import Channels, Features, Strides
from atrous.nn.layers import ConvNorm

NORM_EPS = 1e-3
SHALLOW = ((128, 2), (256, 2), (728, 2))
DEEP = ((128, 2), (256, 1), (256, 2), (728, 1), (728, 2))

Shortcut = Literal["conv", "sum", "none"]
"""From a module's raw input: a 1x1 convolution and norm, the input itself, or nothing."""


class Flow(NamedTuple):
    """What sets one depth apart.

    entry   (channels, stride) of each entry block
    middle  how many units the middle flow has
    low     the entry block that is tapped, the last with 256 channels
    """

    entry: tuple[tuple[int, int], ...]
    middle: int
    low: int


FLOWS = {41: Flow(SHALLOW, 8, 1), 65: Flow(SHALLOW, 16, 1), 71: Flow(DEEP, 16, 2)}
"""Source: DeepLabv3+ (Chen et al., 2018), figure 4; 41 and 71, the authors' code."""


class Unit(NamedTuple):
    """One Xception module of three separable convolutions, the last of which has the stride.

    activates_inside  ReLU after both norms of each separable convolution, not before it
    """

    channels_in: int
    channels_out: tuple[int, ...]
    shortcut: Shortcut
    stride: int
    rates: tuple[int, ...]
    activates_inside: bool


def units(
    output_stride: int, *, depth: int, multi_grid: tuple[int, ...] = (1, 1, 1)
) -> tuple[Unit, ...]:
    """The modules of entry, middle and exit flow at an output stride.

    Source: DeepLabv3+, figure 4; rates, DeepLabv3, section 3.1.
    Raises: ValueError for depths other than 41, 65 and 71, for strides other than 4, 8, 16 and 32,
        and for a multi-grid that is not three positive rates.
    """
    if depth not in FLOWS:
        raise ValueError(f"depth is {depth}: Xception has {', '.join(map(str, FLOWS))}")
    if len(multi_grid) != 3 or min(multi_grid) < 1:
        raise ValueError(f"multi_grid is {multi_grid}: the last block wants three rates >= 1")
    strides = Strides(output_stride, possible=(4, 8, 16, 32))
    strides.take(2)  # the root
    rows: list[Unit] = []
    channels = 64
    for wide, shortcut, wanted in _modules(FLOWS[depth]):
        grid = multi_grid if shortcut == "none" else (1, 1, 1)
        rates = tuple(strides.rate * rate for rate in grid)
        rows.append(Unit(channels, wide, shortcut, strides.take(wanted), rates, shortcut == "none"))
        channels = wide[-1]
    return tuple(rows)


def _modules(flow: Flow) -> list[tuple[tuple[int, int, int], Shortcut, int]]:
    """(channels, shortcut, wanted stride) of each module."""
    return [
        *(((wide,) * 3, "conv", stride) for wide, stride in flow.entry),
        *(((728, 728, 728), "sum", 1) for _ in range(flow.middle)),
        ((728, 1024, 1024), "conv", 2),
        ((1536, 1536, 2048), "none", 1),
    ]


class Separable(nn.Module):
    """[ReLU,] depthwise 3x3, norm, pointwise 1x1, norm; or a ReLU after each norm instead."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        stride: int = 1,
        rate: int = 1,
        activates_inside: bool = False,
    ) -> None:
        super().__init__()
        inner = "relu" if activates_inside else "none"
        self.depthwise = ConvNorm(
            channels_in,
            channels_in,
            kernel=3,
            stride=stride,
            rate=rate,
            groups=channels_in,
            activation=inner,
            norm_eps=NORM_EPS,
        )
        self.pointwise = ConvNorm(channels_in, channels_out, activation=inner, norm_eps=NORM_EPS)
        self.activates_inside = activates_inside

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """Filters each channel, then mixes them."""
        # Invariant: ReLU makes a new tensor, for shortcut and taps read `x` too.
        y: Tensor = self.pointwise(self.depthwise(x if self.activates_inside else x.relu()))
        return y


class XceptionModule(nn.Module):
    """Three separable convolutions beside a shortcut."""

    def __init__(self, unit: Unit) -> None:
        super().__init__()
        widths = (unit.channels_in, *unit.channels_out)
        self.separable = nn.ModuleList(
            Separable(
                widths[place],
                widths[place + 1],
                stride=unit.stride if place == 2 else 1,
                rate=rate,
                activates_inside=unit.activates_inside,
            )
            for place, rate in enumerate(unit.rates)
        )
        self.has_shortcut = unit.shortcut != "none"
        self.shortcut: nn.Module = nn.Identity()
        if unit.shortcut == "conv":
            self.shortcut = ConvNorm(
                unit.channels_in,
                unit.channels_out[-1],
                stride=unit.stride,
                activation="none",
                norm_eps=NORM_EPS,
            )

    def forward(
        self, x: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b c3 h2 w2"], Float[Tensor, "b c2 h w"]]:
        """The module's output, and that of its second convolution, which decoders tap."""
        first, second, third = self.separable
        inner = second(first(x))
        y = third(inner)
        return (y + self.shortcut(x) if self.has_shortcut else y), inner


class Xception(nn.Module):
    """The 2048-channel features, the middle flow's answer, and a tap at stride 4.

    depth       41, 65 or 71: convolutions, where a separable one counts once
    multi_grid  unit rates of the last module's three convolutions

    Source: DeepLabv3+, section 3.2 and figure 4; the tap is the second separable convolution of
    the last module with 256 channels, just before its stride.
    Raises: ValueError for depths other than 41, 65 and 71, for strides other than 4, 8, 16 and 32,
        and for a multi-grid that is not three positive rates.
    """

    def __init__(
        self,
        *,
        depth: int = 65,
        output_stride: int = 16,
        multi_grid: tuple[int, ...] = (1, 1, 1),
    ) -> None:
        super().__init__()
        rows = units(output_stride, depth=depth, multi_grid=multi_grid)
        self.root = nn.Sequential(
            ConvNorm(3, 32, kernel=3, stride=2, norm_eps=NORM_EPS),
            ConvNorm(32, rows[0].channels_in, kernel=3, norm_eps=NORM_EPS),
        )
        self.units = nn.ModuleList(XceptionModule(unit) for unit in rows)
        self._low, self._mid = FLOWS[depth].low, len(rows) - 3
        self.channels = Channels(
            low=rows[self._low].channels_out[1],
            mid=rows[self._mid].channels_out[-1],
            high=rows[-1].channels_out[-1],
        )

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Features:
        """Features at stride 4, before the exit flow, and at the output stride."""
        x = self.root(image)
        low = mid = x
        for index, unit in enumerate(self.units):
            x, inner = unit(x)
            low = inner if index == self._low else low
            mid = x if index == self._mid else mid
        return Features(low, mid, x)
