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


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a network input comes from: the image, scaled, then padded at bottom and right.

    image_hw    size of the user's image
    resized_hw  size after scaling, at the top left of the input
    input_hw    size of the network's input
    """

    image_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    input_hw: tuple[int, int]

    def positions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Row and column of every image row and column, in pixels of the network's input.

        Pixel centres are mapped on pixel centres, the inverse of what the image's own resize did.
        """
        rows, columns = (
            np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1)
            for n, m in zip(self.image_hw, self.resized_hw, strict=True)
        )
        return rows, columns


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


@dataclass(frozen=True, slots=True)
class View:
    """The maps of one image and the frame that they were seen in."""

    maps: Maps
    frame: Frame


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
