"""The torch nouns that pass between rooms: targets, maps, views, loss terms, and the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from atrous.types import Parse, Sample

T = TypeVar("T")


def mapped(value: T, change: Callable[[Tensor], Tensor]) -> T:
    """Tensors changed, and dataclasses of tensors field by field; all else stays."""
    whole: Any = value
    if isinstance(whole, Tensor):
        return change(whole)  # type: ignore[return-value]
    if is_dataclass(whole):
        columns = {f.name: mapped(getattr(whole, f.name), change) for f in fields(whole)}
        return type(whole)(**columns)  # type: ignore[misc,return-value]
    return value


Positions = NDArray[np.float64]
"""(n,) positions along one side, in pixels; the centre of the first pixel is 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Where answers are wanted: each row with each column, in pixels of an image of a size."""

    rows: Positions
    columns: Positions
    size_hw: tuple[int, int]

    @classmethod
    def of(cls, size_hw: tuple[int, int], *, stride: int = 1) -> Grid:
        """Every pixel of an image, or the first of every so many."""
        rows, columns = (np.arange(0, n, stride, dtype=np.float64) for n in size_hw)
        return cls(rows, columns, size_hw)

    @classmethod
    def covering(cls, size_hw: tuple[int, int], *, stride: int) -> Grid:
        """The cells of an image's maps; the last may lie beyond its last pixel."""
        rows, columns = (np.arange(0.0, n - 1 + stride, stride) for n in size_hw)
        return cls(rows, columns, size_hw)

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) of what is wanted."""
        return len(self.rows), len(self.columns)

    def moved(self, size_hw: tuple[int, int]) -> tuple[Positions, Positions]:
        """Where the rows and columns lie in the image resized to another size.

        Pixel centres are mapped on pixel centres, as by the resize itself; what lies outside of the
        outermost centres is moved onto them.
        """
        rows, columns = (
            np.clip((at + 0.5) * (m / n) - 0.5, 0, m - 1)
            for at, n, m in zip((self.rows, self.columns), self.size_hw, size_hw, strict=True)
        )
        return rows, columns


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a network input comes from: the image, scaled, a window of it, mirrored, padded.

    image_hw    size of the user's image
    resized_hw  size after scaling
    input_hw    size of the network's input: the window at the top left, then padding
    origin_yx   where the window begins in the scaled image; it ends where that or the input ends
    flipped     whether the window was mirrored left to right before it was padded
    """

    image_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    input_hw: tuple[int, int]
    origin_yx: tuple[int, int] = (0, 0)
    flipped: bool = False

    @property
    def window_hw(self) -> tuple[int, int]:
        """Size of what the input shows of the scaled image."""
        height, width = (
            min(full - first, shown)
            for full, first, shown in zip(
                self.resized_hw, self.origin_yx, self.input_hw, strict=True
            )
        )
        return height, width

    def seen_at(self, grid: Grid) -> tuple[Positions, Positions]:
        """Where the rows and columns of a grid lie in the network's input."""
        y, x = (
            at - first
            for at, first in zip(grid.moved(self.resized_hw), self.origin_yx, strict=True)
        )
        return y, self.window_hw[1] - 1 - x if self.flipped else x


@dataclass(frozen=True, slots=True)
class KeypointMaps:
    """DeeperLab's four instance maps; offsets are (y, x) in pixels of the network's input.

    Source: DeeperLab, section 3.3.
    """

    heatmap: Float[Tensor, "b k h w"]
    short: Float[Tensor, "b k*2 h w"]
    middle: Float[Tensor, "b e*2 h w"]
    long: Float[Tensor, "b k*2 h w"]


@dataclass(frozen=True, slots=True)
class Maps:
    """What a network answers.

    With `align_corners`, cell (i, j) of a map lies on pixel (stride * i, stride * j), which suits
    inputs of n * stride + 1; without, borders lie on borders, as torchvision's networks have it.

    auxiliary  logits of an auxiliary loss, in training
    boxes      FCRN's four values for each class of things, standardised
    """

    semantic: Float[Tensor, "b c h w"]
    stride: int
    keypoints: KeypointMaps | None = None
    auxiliary: Float[Tensor, "b c h2 w2"] | None = None
    boxes: Float[Tensor, "b things*4 h w"] | None = None
    align_corners: bool = True


def planes_of(maps: Maps) -> list[Tensor]:
    """All tensors of maps, in the order of `mapped`."""
    planes: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        planes.append(tensor)
        return tensor

    mapped(maps, keep)
    return planes


@dataclass(frozen=True, slots=True)
class View:
    """The maps of one image and the frame that they were seen in."""

    maps: Maps
    frame: Frame

    def cells(self, grid: Grid) -> tuple[Positions, Positions]:
        """Where the rows and columns of a grid lie in the maps, in cells."""
        sizes = self.maps.semantic.shape[-2:]
        rows, columns = (
            at / self.maps.stride if self.maps.align_corners else (at + 0.5) * n / full - 0.5
            for at, n, full in zip(
                self.frame.seen_at(grid), sizes, self.frame.input_hw, strict=True
            )
        )
        return rows, columns


@dataclass(frozen=True, slots=True)
class KeypointTargets:
    """Ground truth of `KeypointMaps`, and where it holds.

    heatmap   1 inside a keypoint's disk; short offsets hold there, middle ones in the source's disk
    instance  true on the pixels of things: long offsets hold there
    valid     false on crowds and void: nothing holds there
    """

    heatmap: Bool[Tensor, "*b k h w"]
    short: Float[Tensor, "*b k*2 h w"]
    middle: Float[Tensor, "*b e*2 h w"]
    long: Float[Tensor, "*b k*2 h w"]
    instance: Bool[Tensor, "*b h w"]
    valid: Bool[Tensor, "*b h w"]


@dataclass(frozen=True, slots=True)
class BoxTargets:
    """Ground truth of FCRN's boxes on the grid of its network.

    values  centre y, centre x (from the cell), height, width, standardised
    thing   which class of things holds at a cell, counted among things alone; -1 = none
    weight  weight of a cell's instance
    """

    values: Float[Tensor, "*b 4 h w"]
    thing: Int64[Tensor, "*b h w"]
    weight: Float[Tensor, "*b h w"]


@dataclass(frozen=True, slots=True)
class Targets:
    """What a system learns from a sample, made by its `encode`.

    semantic  (h, w) class ids at full resolution, 255 or 65535 = ignore
    weight    (h, w) weight of each pixel in the semantic loss
    """

    semantic: Int64[Tensor, "*b h w"]
    weight: Float[Tensor, "*b h w"]
    keypoints: KeypointTargets | None = None
    boxes: BoxTargets | None = None

    def pin_memory(self) -> Targets:
        """A copy in page-locked memory; torch's DataLoader looks for this name."""
        return mapped(self, Tensor.pin_memory)


@dataclass(frozen=True, slots=True)
class LossTerm:
    """One loss as a sum and a count, so that a batch may be cut up in any way.

    The loss is weight * total / count, both summed over the whole global batch first.
    """

    name: str
    weight: float
    total: Float[Tensor, ""]
    count: Float[Tensor, ""]


class System(Protocol):
    """What each of the four systems can do."""

    @property
    def encode(self) -> Callable[[Sample], Targets]:
        """Ground truth as this system learns it; a value that worker processes can have."""

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Maps:
        """Maps of a batch of normalised images."""

    def loss(self, maps: Maps, targets: Targets) -> tuple[LossTerm, ...]:
        """The named loss terms of a batch."""

    def parse(self, views: Sequence[View]) -> Parse:
        """One image's parse from all views of it."""

    def parse_all(self, images: Sequence[Sequence[View]]) -> list[Parse]:
        """The parses of several images, together where that is faster."""
