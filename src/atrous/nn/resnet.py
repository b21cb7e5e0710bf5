"""ResNet-50, 101, 152 and 269 as feature extractors, and DeepLabv3's cascade of more blocks."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from atrous.nn.dropout import Dropout
from atrous.nn.features import Channels, Features, Strides
from atrous.nn.layers import ConvNorm

COUNTS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 269: (3, 30, 48, 8)}
"""Units of blocks 1 to 4. Source: ResNet (He et al., 2016), table 1; 269, PSPNet's code."""
WIDTHS = (64, 128, 256, 512)
"""Channels of the 3x3 in blocks 1 to 4; a unit answers four times as many."""
ROOTS = {"7x7": ((7, 64),), "deep": ((3, 64), (3, 64), (3, 128))}
"""(kernel, channels) of the convolutions before the max pooling; the first has stride 2."""
STRIDES_AT = ("first_1x1", "first_3x3", "last_3x3")
"""Which convolution of which unit of a block has its stride; see `ResNet`."""


T = TypeVar("T")


class Unit(NamedTuple):
    """One bottleneck: `rate` is the atrous rate of its 3x3.

    block          its number, from 1
    width          channels of the 3x3
    reduce_stride  of the first 1x1
    conv_stride    of the 3x3
    dropout        share of the residual branch that is zeroed in training
    """

    block: int
    channels_in: int
    width: int
    reduce_stride: int
    conv_stride: int
    rate: int
    dropout: float

    @property
    def channels_out(self) -> int:
        """Channels of the sum."""
        return 4 * self.width

    @property
    def stride(self) -> int:
        """Stride of the whole unit, so of its shortcut."""
        return self.reduce_stride * self.conv_stride


def units(
    output_stride: int,
    *,
    depth: int,
    root: str = "7x7",
    stride_at: str = "last_3x3",
    multi_grid: tuple[int, ...] = (),
    blocks: int = 4,
    all_units: bool = False,
    dropout: tuple[float, ...] = (),
) -> tuple[Unit, ...]:
    """The bottlenecks of all blocks at an output stride; `ResNet` says what can be chosen.

    Source: DeepLabv3, section 3.1. Raises: ValueError for what `ResNet` refuses.
    """
    places = _places(depth, blocks=blocks)
    wants_stride = _strided(places, stride_at=stride_at)
    grid = _grid(multi_grid, count=COUNTS[depth][3])
    shares = _shares(dropout, count=COUNTS[depth][3])
    strides = Strides(output_stride, possible=tuple(2**n for n in range(2, blocks + 2)))
    strides.take(2)  # the root
    strides.take(2)  # the pooling behind it
    channels = ROOTS[_known("root", root, known=ROOTS)][-1][1]
    is_first_1x1 = stride_at == "first_1x1"
    # Deviates, with all_units: a first 3x3 is given the rate of what stands behind it.
    is_behind = is_first_1x1 or (stride_at == "first_3x3" and all_units)
    rows: list[Unit] = []
    for block, place in places:
        before, stride = strides.rate, strides.take(2 if (block, place) in wants_stride else 1)
        rate = strides.rate if is_behind else before
        row = Unit(
            block=block,
            channels_in=channels,
            width=WIDTHS[min(block, 4) - 1],
            reduce_stride=stride if is_first_1x1 else 1,
            conv_stride=1 if is_first_1x1 else stride,
            rate=rate * grid[place] if block >= 4 else rate,
            dropout=shares[place] if block == blocks else 0.0,
        )
        rows.append(row)
        channels = row.channels_out
    return tuple(rows)


def _places(depth: int, *, blocks: int) -> tuple[tuple[int, int], ...]:
    """(block, place in it) of every unit; blocks from 5 on are copies of block 4."""
    plain = COUNTS[_known("depth", depth, known=COUNTS)]
    counts = plain + plain[-1:] * (_known("blocks", blocks, known=range(4, 8)) - 4)
    return tuple((block, place) for block, n in enumerate(counts, 1) for place in range(n))


def _strided(places: tuple[tuple[int, int], ...], *, stride_at: str) -> frozenset[tuple[int, int]]:
    """The units that want a stride of 2: one between any two blocks, on one side or the other."""
    if _known("stride_at", stride_at, known=STRIDES_AT) == "last_3x3":
        return frozenset(here for here, after in pairwise(places) if here[0] < after[0])
    return frozenset(after for here, after in pairwise(places) if here[0] < after[0])


def _grid(multi_grid: tuple[int, ...], *, count: int) -> tuple[int, ...]:
    if all(rate == 1 for rate in multi_grid):
        return (1,) * count
    if len(multi_grid) != count or min(multi_grid) < 1:
        raise ValueError(f"multi_grid is {multi_grid}: block 4 wants {count} rates >= 1, or ones")
    return multi_grid


def _shares(dropout: tuple[float, ...], *, count: int) -> tuple[float, ...]:
    if not dropout:
        return (0.0,) * count
    if len(dropout) != count or not all(0 <= share < 1 for share in dropout):
        raise ValueError(
            f"dropout is {dropout}: the last block wants {count} shares of at least 0 and below 1, "
            "one a unit, or () for none"
        )
    return dropout


def _known(name: str, value: T, *, known: Iterable[T]) -> T:
    if value not in (choices := tuple(known)):
        raise ValueError(f"{name} is {value!r}: a ResNet has {', '.join(map(str, choices))}")
    return value


class Bottleneck(nn.Module):
    """1x1, 3x3 and linear 1x1, added to the input or to its projection; then ReLU.

    Source: ResNet (He et al., 2016), figure 5; dropout, the code that followed FCRN.
    """

    def __init__(self, unit: Unit) -> None:
        super().__init__()
        width = unit.width
        self.reduce = ConvNorm(unit.channels_in, width, stride=unit.reduce_stride)
        self.conv = ConvNorm(width, width, kernel=3, stride=unit.conv_stride, rate=unit.rate)
        self.expand = ConvNorm(width, unit.channels_out, activation="none")
        self.drop: nn.Module = Dropout(unit.dropout) if unit.dropout else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        self.skip = unit.stride
        if unit.channels_in != unit.channels_out:
            self.shortcut = ConvNorm(
                unit.channels_in, unit.channels_out, stride=unit.stride, activation="none"
            )
            self.skip = 1
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """The sum of shortcut and residual branch, an identity at every `skip`-th position."""
        residual = self.drop(self.expand(self.conv(self.reduce(x))))
        shortcut = self.shortcut(x if self.skip == 1 else x[..., :: self.skip, :: self.skip])
        y: Tensor = self.activation(residual + shortcut)
        return y


class ResNet(nn.Module):
    """The 2048-channel features, the 1024 channels of block 3, and a tap at stride 4 with 256.

    depth          50, 101, 152 or 269
    output_stride  a power of two from 4 to that of the plain network, 32 for four blocks
    root           "7x7" is one convolution before the pooling, "deep" three of 3x3
    stride_at      where a block's stride is: "first_1x1" (FCRN) and "first_3x3" (PSPNet), of the
                   first unit from block 2 on; "last_3x3" (DeepLabv3), of the last unit of every
                   block but the last
    multi_grid     multiplies the rates of the units of blocks 4 to 7; () = ones
    blocks         4 to 7; those from 5 on are copies of block 4's structure
    all_units      with "first_3x3", a first unit that lost its stride has the new rate too, as in
                   PSPNet; its features are then no longer those of the plain network
    dropout        share that is zeroed of each residual branch of the last block; () = none

    Source: ResNet (He et al., 2016), table 1; DeepLabv3, section 3.1; PSPNet, section 5.1, and the
    authors' code for strides and the deep root.
    Raises: ValueError for any other choice.
    """

    def __init__(
        self,
        *,
        depth: int = 50,
        output_stride: int = 16,
        root: str = "7x7",
        stride_at: str = "last_3x3",
        multi_grid: tuple[int, ...] = (),
        blocks: int = 4,
        all_units: bool = False,
        dropout: tuple[float, ...] = (),
    ) -> None:
        super().__init__()
        rows = units(
            output_stride,
            depth=depth,
            root=root,
            stride_at=stride_at,
            multi_grid=multi_grid,
            blocks=blocks,
            all_units=all_units,
            dropout=dropout,
        )
        self.root = _root(root)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Bottleneck(row) for row in rows if row.block == block))
            for block in range(1, blocks + 1)
        )
        before_stride = 1 if stride_at == "last_3x3" else 0
        self._low = COUNTS[depth][0] - 1 - before_stride
        self._mid = sum(COUNTS[depth][:3]) - 1
        self.channels = Channels(
            low=rows[self._low].channels_out,
            mid=rows[self._mid].channels_out,
            high=rows[-1].channels_out,
        )

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Features:
        """Features at stride 4, after block 3, and at the output stride."""
        x = self.pool(self.root(image))
        low = mid = x
        for index, unit in enumerate(unit for block in self.blocks for unit in block.children()):
            x = unit(x)
            low = x if index == self._low else low
            mid = x if index == self._mid else mid
        return Features(low, mid, x)


def _root(name: str) -> nn.Sequential:
    layers: list[ConvNorm] = []
    channels = 3
    for kernel, wide in ROOTS[name]:
        layers.append(ConvNorm(channels, wide, kernel=kernel, stride=1 if layers else 2))
        channels = wide
    return nn.Sequential(*layers)
