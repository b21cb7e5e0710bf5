"""Classes and instance indices of a batch become panoptic maps in torch: what `merge` does.

Nothing waits for the device before `parses`. Maps are gone through stripe by stripe, so that what
is needed beside them does not grow with the image.

Source: DeeperLab, section 3.3 (semantic and instance fusion).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32, Float64, Int, Int32, Int64
from torch import Tensor

from atrous.instances.batched.votes import UNIT, blocks
from atrous.instances.runs import NO_THING, OTHER_CLASS
from atrous.labels import LabelSpace
from atrous.tensors import mapped
from atrous.types import Parse, Segment


@dataclass(frozen=True, slots=True)
class Panoptic:
    """Panoptic maps of a batch, and what is known of each of s places for a segment.

    The places are those of instances, then one for each class: for stuff, and for things without
    an instance. Ids count from 1 in this order; a place without a pixel has none.

    ids       (b, h, w) segment ids, 0 = void
    segment   (b, s) the id of a place, 0 if it is empty; what follows is 0 or nonsense then
    class_id  that of most of its pixels, the lowest on a tie
    area      in pixels
    score     mean confidence of its pixels
    box       (y0, x0, y1, x1), the last row and column outside
    """

    ids: Int32[Tensor, "b h w"]
    segment: Int64[Tensor, "b s"]
    class_id: Int64[Tensor, "b s"]
    area: Int64[Tensor, "b s"]
    score: Float64[Tensor, "b s"]
    box: Int64[Tensor, "b s 4"]


def to_pixels(
    cells: Int32[Tensor, "b h w"],
    cell_class: Int[Tensor, "b h w"],
    pixel_class: Int[Tensor, "b H W"],
    *,
    is_thing: Bool[Tensor, " classes"],
    rows: Float64[Tensor, " H"],
    columns: Float64[Tensor, " W"],
) -> Int32[Tensor, "b H W"]:
    """Instance index of every thing pixel, taken from the best of the four cells around it.

    rows, columns  where pixels lie, in cells

    Returns -1 on stuff. The best cell is the nearest of the pixel's class, else the nearest of any
    thing, else the nearest.
    """
    known = torch.cat([is_thing, is_thing.new_zeros(1)])
    there = cell_class.long()
    fine = (~known[there.clamp(max=len(is_thing))]).double() * NO_THING
    pixels = torch.empty(pixel_class.shape, dtype=torch.int32, device=cells.device)
    for part in blocks(pixels.shape[1], 4 * len(pixels) * pixels.shape[2]):
        own = pixel_class[:, part].long()
        least = torch.full(own.shape, torch.inf, dtype=torch.float64, device=cells.device)
        best = torch.full(own.shape, -1, dtype=torch.int32, device=cells.device)
        for i, j, apart in _around(rows[part], columns, size_hw=cells.shape[1:]):
            cost = apart + OTHER_CLASS * (there[:, i, j] != own) + fine[:, i, j]
            best = torch.where(cost < least, cells[:, i, j], best)
            least = torch.minimum(least, cost)
        pixels[:, part] = best.where(known[own.clamp(max=len(is_thing))], -1)
    return pixels


def _around(
    rows: Float64[Tensor, " m"], columns: Float64[Tensor, " n"], *, size_hw: tuple[int, ...]
) -> Iterator[tuple[Int64[Tensor, "m 1"], Int64[Tensor, "1 n"], Float64[Tensor, "m n"]]]:
    """The four cells around positions, and how far they are, squared, in cells."""
    y, x = rows[:, None], columns[None]
    for down in (0, 1):
        for right in (0, 1):
            i = (y.floor().long() + down).clamp(max=size_hw[0] - 1)
            j = (x.floor().long() + right).clamp(max=size_hw[1] - 1)
            yield i, j, (y - i) ** 2 + (x - j) ** 2


def panoptic(
    semantic: Int[Tensor, "b h w"],
    confidence: Float32[Tensor, "b h w"],
    instance: Int32[Tensor, "b h w"],
    *,
    classes: int,
    instances: int,
) -> Panoptic:
    """Panoptic maps from classes and instance indices.

    semantic    `classes` and more are void
    confidence  in [0, 1]; what is no number counts as 0
    instance    index of the instance, less than `instances`; -1 = none

    An instance has the class of most of its pixels, the lowest on a tie. Stuff, and thing pixels
    without an instance, form one segment a class. The sums are the same in every run.

    # Invariant: every pixel that is not void has exactly one segment.
    """
    sums = _Sums.empty(semantic, classes=classes, places=instances + classes + 1)
    owner = torch.empty_like(instance)
    for part in blocks(owner.shape[1], 4 * len(owner) * owner.shape[2]):
        kind = semantic[:, part].long()
        kind = kind.where((kind >= 0) & (kind < classes), classes)
        index = instance[:, part].where(kind < classes, -1)
        mine = torch.where(index >= 0, index.long(), kind + instances)
        sums.add(mine, kind.clamp(max=classes - 1), confidence[:, part], first_row=part.start)
        owner[:, part] = mine
    area = sums.tally.sum(dim=2)[:, :-1]
    segment = (area > 0).cumsum(dim=1).where(area > 0, 0)
    fixed = torch.arange(classes, device=area.device).expand(len(area), -1)
    table = torch.cat([segment, segment.new_zeros(len(segment), 1)], dim=1).int()
    return Panoptic(
        ids=table.gather(1, owner.long().flatten(1)).view(owner.shape),
        segment=segment,
        class_id=torch.cat([sums.tally[:, :instances].argmax(dim=2), fixed], dim=1),
        area=area,
        score=sums.units[:, :-1].double() / UNIT / area.clamp(min=1),
        box=sums.boxes()[:, :-1],
    )


@dataclass(frozen=True, slots=True)
class _Sums:
    """What is counted of the pixels of each place, the last being void.

    tally         (b, places, classes) pixels of a class
    units         (b, places) confidence, in units of 1 / UNIT
    rows, across  (b, places, h) and (b, places, w) the rows and columns that have a pixel
    """

    tally: Int64[Tensor, "b p classes"]
    units: Int64[Tensor, "b p"]
    rows: Tensor
    across: Tensor

    @classmethod
    def empty(cls, like: Tensor, *, classes: int, places: int) -> _Sums:
        images, height, width = like.shape

        def zeros(*size: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros((images, places, *size), dtype=dtype, device=like.device)

        flags = (zeros(n, dtype=torch.uint8) for n in (height, width))
        return cls(zeros(classes), zeros(), *flags)

    def add(
        self,
        owner: Int64[Tensor, "b m w"],
        kind: Int64[Tensor, "b m w"],
        confidence: Float32[Tensor, "b m w"],
        *,
        first_row: int,
    ) -> None:
        """Counts a stripe of pixels, each for its owner."""
        images, places, classes = self.tally.shape
        image = torch.arange(images, device=owner.device)[:, None, None]
        row = torch.arange(owner.shape[1], device=owner.device)[:, None] + first_row
        column = torch.arange(owner.shape[2], device=owner.device)
        flat = image * places + owner
        units = (confidence.nan_to_num(0.0) * UNIT).long().flatten()
        one = torch.ones((), dtype=torch.int64, device=owner.device).expand(units.shape)
        self.tally.view(-1).scatter_add_(0, (flat * classes + kind).flatten(), one)
        self.units.view(-1).scatter_add_(0, flat.flatten(), units)
        self.rows.view(-1).scatter_(0, (flat * self.rows.shape[2] + row).flatten(), 1)
        self.across.view(-1).scatter_(0, (flat * self.across.shape[2] + column).flatten(), 1)

    def boxes(self) -> Int64[Tensor, "b p 4"]:
        """(y0, x0, y1, x1) of the rows and columns that have a pixel."""
        first = [seen.argmax(dim=2) for seen in (self.rows, self.across)]
        last = [seen.shape[2] - seen.flip(2).argmax(dim=2) for seen in (self.rows, self.across)]
        return torch.stack([*first, *last], dim=2)


def parses(
    found: Panoptic,
    semantic: Int[Tensor, "b h w"],
    confidence: Float32[Tensor, "b h w"],
    *,
    labels: LabelSpace,
) -> list[Parse]:
    """The parses of a batch, brought to the host: here alone one waits for the device."""
    kind = labels.empty((0, 0)).dtype
    found = mapped(found, Tensor.cpu)
    ids, classes, sure = (x.cpu().numpy() for x in (found.ids, semantic, confidence))
    return [
        Parse(*whole, _segments(found, image, labels))
        for image, whole in enumerate(zip(ids, classes.astype(kind), sure, strict=True))
    ]


def _segments(found: Panoptic, image: int, labels: LabelSpace) -> tuple[Segment, ...]:
    columns = found.segment, found.class_id, found.score, found.area, found.box
    rows = zip(*(x[image].tolist() for x in columns), strict=True)
    return tuple(
        Segment(
            id=identity,
            class_id=class_id,
            name=labels[class_id].name,
            is_thing=labels[class_id].is_thing,
            score=round(score, 4),
            area=area,
            box=(box[0], box[1], box[2], box[3]),
        )
        for identity, class_id, score, area, box in rows
        if identity
    )
