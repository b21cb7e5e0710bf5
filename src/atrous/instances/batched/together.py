"""Several images parsed together on the device that holds their maps: DeeperLab on CUDA.

Source: DeeperLab, section 3.3; nothing is waited for before all answers are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from atrous.clock import stage
from atrous.instances.batched import decoding, fusing
from atrous.instances.keypoints import KeypointNumbers
from atrous.instances.merging import merged_keypoints
from atrous.labels import LabelSpace
from atrous.tensors import Frame, Grid, KeypointMaps, View
from atrous.types import Parse
from atrous.views.classes import best, image_grid

Views = Sequence[View]


def parse_together(
    images: Sequence[Views], *, labels: LabelSpace, numbers: KeypointNumbers
) -> list[Parse | None]:
    """The parses of images, those of one size in one batch, in their order.

    None stands for an image whose greedy grouping needs the CPU: it has very many candidates that
    depend on each other in a chain.
    """
    found: list[Parse | None] = []
    for _, some in groupby(images, key=lambda views: _shape(views[0].frame)):
        found += _batch(tuple(some), labels, numbers)
    return found


def _shape(frame: Frame) -> tuple[tuple[int, int], tuple[int, int]]:
    return frame.image_hw, frame.resized_hw


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the parse of a batch needs besides its maps; tensors are on the device."""

    labels: LabelSpace
    numbers: KeypointNumbers
    image: Grid
    frame: Frame
    stride: int
    map_stride: int
    is_thing: Tensor

    @classmethod
    def of(cls, images: Sequence[Views], labels: LabelSpace, numbers: KeypointNumbers) -> _Asked:
        first = images[0][0]
        stride = min(numbers.decode_stride, first.maps.stride)
        is_thing = torch.from_numpy(labels.is_thing).to(first.maps.semantic.device)
        image = image_grid(images[0])
        return cls(labels, numbers, image, first.frame, stride, first.maps.stride, is_thing)

    @property
    def cells(self) -> Grid:
        """Where instances are decoded."""
        return Grid.of(self.frame.resized_hw, stride=self.stride)


def _batch(
    images: Sequence[Views], labels: LabelSpace, numbers: KeypointNumbers
) -> list[Parse | None]:
    asked = _Asked.of(images, labels, numbers)
    with stage("classes"):
        pixels = _classes(images, asked.image, labels)
        cell_class, _ = _classes(images, asked.cells, labels)
    with stage("decode on the device"):
        found = _decoded(images, cell_class, asked)
    with stage("merge"):
        parses = _merged(found, cell_class, pixels, asked)
    settled = found.settled.tolist()
    return [parse if fine else None for parse, fine in zip(parses, settled, strict=True)]


def _decoded(images: Sequence[Views], cell_class: Tensor, asked: _Asked) -> decoding.Found:
    maps = [merged_keypoints(views, asked.numbers.joined) for views in images]
    names = ("heatmap", "short", "middle", "long")
    known = torch.cat([asked.is_thing, asked.is_thing.new_zeros(1)])
    return decoding.decode(
        KeypointMaps(*(torch.cat([getattr(m, n) for m in maps]).contiguous() for n in names)),
        known[cell_class.clamp(max=len(asked.labels))],
        stride=asked.stride,
        map_stride=asked.map_stride,
        numbers=asked.numbers,
    )


def _merged(
    found: decoding.Found, cell_class: Tensor, pixels: tuple[Tensor, Tensor], asked: _Asked
) -> list[Parse]:
    semantic, confidence = pixels
    rows, columns = (
        torch.from_numpy(at / asked.stride).to(semantic.device)
        for at in asked.image.moved(asked.frame.resized_hw)
    )
    instance = fusing.to_pixels(
        found.index, cell_class, semantic, is_thing=asked.is_thing, rows=rows, columns=columns
    )
    whole = fusing.panoptic(
        semantic,
        confidence,
        instance,
        classes=len(asked.labels),
        instances=found.points.shape[1],
    )
    return fusing.parses(whole, semantic, confidence, labels=asked.labels)


def _classes(images: Sequence[Views], grid: Grid, labels: LabelSpace) -> tuple[Tensor, Tensor]:
    answers = [best(views, grid, void=labels.void) for views in images]
    return torch.stack([a for a, _ in answers]), torch.stack([b for _, b in answers])
