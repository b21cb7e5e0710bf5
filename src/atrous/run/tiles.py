"""Inputs too large to be seen at once: tiles that overlap, and one set of maps from all of theirs.

Tiles lie on the grid of the network's strides, so that a cell of a tile is a cell of the whole: as
far from its borders as the network looks, a tile answers what the whole image would have. Where
tiles overlap one fades into the other, and nothing is counted next to a cut.

# Deviates: what a network takes from the whole image (image pooling) it takes from each tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from atrous.tensors import Maps, mapped, planes_of

MARGIN = 8
"""A tile overlaps the next one by two of this part of its side at least."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a tile lies along one side, in pixels of the whole input: from `first`, `size` long.

    fade_in, fade_out  over how many pixels it fades where there is another tile; 0 = there is none
    """

    first: int
    size: int
    fade_in: int
    fade_out: int


def cuts(size: int, *, side: int, multiple: int) -> tuple[Cut, ...]:
    """Tiles of at most `side` pixels that cover `size`; both are n * multiple + 1."""
    if size <= side:
        return (Cut(0, size, 0, 0),)
    margin = max(1, (side - 1) // MARGIN // multiple) * multiple
    count = -(-(size - 1 - 2 * margin) // (side - 1 - 2 * margin))
    last = size - side
    firsts = [round(last * i / (count - 1) / multiple) * multiple for i in range(count)]
    return tuple(
        Cut(first, side, margin * (first > 0), margin * (first < last)) for first in firsts
    )


def stitched(
    seen: Callable[[tuple[int, int], tuple[int, int]], Maps],
    down: Sequence[Cut],
    along: Sequence[Cut],
    *,
    input_hw: tuple[int, int],
) -> Maps:
    """The maps of a whole input from those of its tiles, one tile at a time.

    seen  the maps of the tile that begins at (y, x) and has a size (h, w)
    """
    sums: list[Tensor] = []
    for y in down:
        for x in along:
            maps = seen((y.first, x.first), (y.size, x.size))
            stride = maps.stride
            size = tuple((n - 1) // stride + 1 for n in input_hw)
            planes = planes_of(maps)
            sums = sums or [_room(plane, (size[0], size[1])) for plane in planes]
            share = _share(y, stride)[:, None] * _share(x, stride)
            for total, plane in zip(sums, planes, strict=True):
                part = _part(total, y, x, stride)
                part += plane * share.to(plane.device)
    whole = sum_of_shares(down, along, stride=stride, size=(size[0], size[1]))
    for total in sums:
        total /= whole.to(total.device)
    left = iter(sums)
    return mapped(maps, lambda _: next(left))


def _room(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """Zeros for the whole, pixel by pixel in memory, as networks answer and readers like it."""
    shape = (*plane.shape[:2], *size)
    return torch.zeros(shape, device=plane.device).contiguous(memory_format=torch.channels_last)


def sum_of_shares(
    down: Sequence[Cut], along: Sequence[Cut], *, stride: int, size: tuple[int, int]
) -> Tensor:
    """(h, w) what all tiles together count at each cell of the whole."""
    both = []
    for cells, sides in zip(size, (down, along), strict=True):
        total = torch.zeros(cells)
        for cut in sides:
            share = _share(cut, stride)
            total[cut.first // stride : cut.first // stride + len(share)] += share
        both.append(total)
    return both[0][:, None] * both[1]


def _share(cut: Cut, stride: int) -> Tensor:
    """(n,) how much each cell of a tile counts: 0 next to a cut, 1 from where the fade ends."""
    at = torch.arange(0, cut.size, stride, dtype=torch.float32)
    share = torch.ones_like(at)
    for fade, distance in ((cut.fade_in, at), (cut.fade_out, cut.size - 1 - at)):
        if fade:
            share *= (distance / fade - 0.5).clamp(0, 1)
    return share


def _part(total: Tensor, down: Cut, along: Cut, stride: int) -> Tensor:
    """The cells of the whole that a tile has, as a view."""
    y, x = down.first // stride, along.first // stride
    rows, columns = ((cut.size - 1) // stride + 1 for cut in (down, along))
    return total[..., y : y + rows, x : x + columns]
