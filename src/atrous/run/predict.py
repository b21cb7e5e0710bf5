"""From a photo to views of a network's maps: whole images, scales, mirror images, windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from atrous.clock import stage
from atrous.data.transforms import InputRule, pad, resized
from atrous.run.tiles import cuts, stitched
from atrous.tensors import Frame, Maps, View, mapped
from atrous.types import FloatMap, Image

Network = Callable[[Float[Tensor, "b 3 h w"]], Maps]

TILE_PX, WHOLE_PX = 2049, 2049 * 4097
"""Side of the tiles that an input of more pixels than `WHOLE_PX` is seen in, if none is named."""


@dataclass(frozen=True, slots=True)
class Views:
    """In which views an image is seen; their answers are averaged.

    scales  sizes, 1 being what the input rule gives; instances are found at the one nearest to 1
    flip    whether each view is seen mirrored too
    window  side of square windows that slide over the scaled image by two thirds of their side; 0 =
            the whole image
    tile    largest side that the network sees at once: larger inputs are cut into tiles whose maps
            are joined before anything is read from them; 0 = 2049 where whole images have more than
            2049 x 4097 pixels

    Source: DeepLabv3, section 4.1; PSPNet, section 5.1 and the authors' code; tiles are ours.
    Raises: ValueError for a number out of range.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    window: int = 0
    tile: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.scales, tuple):
            raise ValueError(f"scales are {self.scales!r}: give a tuple of numbers")
        if not self.scales or not all(math.isfinite(s) and 0 < s <= 8 for s in self.scales):
            raise ValueError(f"scales are {self.scales}: give numbers above 0, up to 8")
        if len(set(self.scales)) != len(self.scales):
            raise ValueError(f"scales are {self.scales}: name each once")
        for name in ("window", "tile"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 0:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: give whole pixels, or 0 for none"
                )
        if self.window and self.tile:
            raise ValueError("window and tile: choose one of them")

    def require_fit(self, multiple: int) -> None:
        """Raises ValueError for a window or a tile that a network does not fit."""
        for name in ("window", "tile"):
            side = getattr(self, name)
            least = multiple + 1 if name == "window" else 8 * multiple + 1
            if side and (side < least or (side - 1) % multiple):
                lower = max(least, (side - 1) // multiple * multiple + 1)
                raise ValueError(
                    f"{name} is {side}: give n * {multiple} + 1, such as {lower} or "
                    f"{lower + multiple}"
                )


def frames_of(image_hw: tuple[int, int], rule: InputRule, views: Views) -> Iterator[Frame]:
    """The frames of all views of an image: scale by scale, window by window, twins together."""
    side = views.window
    sizes = {  # scales of a small image may be one size: it is seen once
        rule.sized(image_hw, scale=scale): scale
        for scale in sorted(views.scales, key=lambda s: abs(math.log(s)))
    }
    for size, scale in sizes.items():
        input_hw = (side, side) if side else rule.padded(size, scale=scale)
        for origin in _windows(size, side) if side else ((0, 0),):
            for flipped in (False, True)[: 1 + views.flip]:
                yield Frame(image_hw, size, input_hw, origin, flipped)


@dataclass(frozen=True, slots=True)
class Eye:
    """A network together with how it wants its images.

    batch  how many inputs of one size go through it at once
    """

    network: Network
    rule: InputRule
    device: torch.device
    views: Views = field(default_factory=Views)
    batch: int = 1

    def see(self, images: Sequence[Image]) -> list[tuple[View, ...]]:
        """All views of each image; inputs of one size go through the network together."""
        frames = [tuple(frames_of((i.shape[0], i.shape[1]), self.rule, self.views)) for i in images]
        scaled = [Scaled(image) for image in images]
        by_size: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for index, views in enumerate(frames):
            for place, frame in enumerate(views):
                by_size.setdefault(frame.input_hw, []).append((index, place))
        seen: dict[tuple[int, int], View] = {}
        for spots in by_size.values():
            for start in range(0, len(spots), self.batch):
                part = spots[start : start + self.batch]
                asked = [(scaled[index], frames[index][place]) for index, place in part]
                seen.update(zip(part, self._views(asked), strict=True))
        return [
            tuple(seen[index, place] for place in range(len(views)))
            for index, views in enumerate(frames)
        ]

    def _views(self, asked: Sequence[tuple[Scaled, Frame]]) -> Iterator[View]:
        """Views of images, one frame of each; all inputs have one size."""
        side = self._tile(asked[0][1].input_hw)
        if side:
            for image, frame in asked:
                yield View(self._tiled(image, frame, side), frame)
            return
        maps = self._answer([self._input(image, frame) for image, frame in asked])
        for index, (_, frame) in enumerate(asked):
            yield View(_one(maps, index), frame)

    def _input(self, image: Scaled, frame: Frame) -> FloatMap:
        """(3, h, w) what the network gets of an image."""
        (y, x), (height, width) = frame.origin_yx, frame.window_hw
        with stage("resize"):
            window = image(frame.resized_hw)[y : y + height, x : x + width]
            seen = window[:, ::-1] if frame.flipped else window
            return self.rule.normalise(pad(seen, frame.input_hw, self.rule))

    def _answer(self, inputs: Sequence[FloatMap]) -> Maps:
        pixels = torch.from_numpy(np.stack(inputs))
        batch = pixels.to(self.device, memory_format=torch.channels_last)
        with torch.inference_mode(), stage("network"):
            return self.network(batch)

    def _tile(self, input_hw: tuple[int, int]) -> int:
        """Side of the tiles that an input is cut into; 0 = it is seen whole."""
        if self.views.window:
            return 0
        if self.views.tile:
            return self.views.tile if max(input_hw) > self.views.tile else 0
        if input_hw[0] * input_hw[1] <= WHOLE_PX:
            return 0
        return (TILE_PX - 1) // self.rule.multiple * self.rule.multiple + 1

    def _tiled(self, image: Scaled, frame: Frame, side: int) -> Maps:
        """The maps of a large input, put together from those of its tiles."""
        whole = image(frame.resized_hw)
        whole = whole[:, ::-1] if frame.flipped else whole

        def seen(origin_yx: tuple[int, int], tile_hw: tuple[int, int]) -> Maps:
            (y, x), (height, width) = origin_yx, tile_hw
            part = whole[y : y + height, x : x + width]
            return self._answer([self.rule.normalise(pad(part, tile_hw, self.rule))])

        down, along = (cuts(n, side=side, multiple=self.rule.multiple) for n in frame.input_hw)
        return stitched(seen, down, along, input_hw=frame.input_hw)


class Scaled:
    """An image at one size after the other; the last one is kept, for views of one size follow."""

    def __init__(self, image: Image) -> None:
        self._image = self._last = image

    def __call__(self, size_hw: tuple[int, int]) -> Image:
        """(h, w, 3) the image at a size."""
        if self._last.shape[:2] != size_hw:
            self._last = resized(self._image, size_hw)
        return self._last


def _windows(size_hw: tuple[int, int], side: int) -> Iterator[tuple[int, int]]:
    """Where windows begin: two thirds of a window apart, the last ones at the border.

    Source: PSPNet, the authors' code.
    """
    step = -(-2 * side // 3)
    tops, lefts = (
        [min(step * i, n - side) for i in range(-(-(n - side) // step) + 1)] if n > side else [0]
        for n in size_hw
    )
    yield from ((top, left) for top in tops for left in lefts)


def _one(maps: Maps, index: int) -> Maps:
    return mapped(maps, lambda tensor: tensor[index : index + 1])
