"""DeeperLab's decoding of a batch of images in torch, on the device of the maps.

The same steps as `keypoints.decode`, without a word from the device until the result: all sizes
follow from shapes and numbers, and what is not there is marked. So the host runs ahead of the
device, images of a batch need not wait for each other, and the whole can be captured as a graph
(call it once before: small tables are brought to the device then).

Votes are added up as integers: the same maps give the same bits in every run.

Source: DeeperLab, section 3.3; what it leaves open follows PersonLab.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import itemgetter

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int32, Int64
from torch import Tensor

from atrous.instances.batched import grouping
from atrous.instances.batched import votes as voting
from atrous.instances.batched.votes import UNIT, Grids
from atrous.instances.keypoints import KeypointNumbers
from atrous.tensors import KeypointMaps, mapped

CELLS, PAIRS = 1 << 21, 1 << 28
"""Images are decoded together while they have no more cells, and pairs of candidates, in all."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Instances of a batch of images, best first; n is the same for all images.

    points   (y, x) in pixels of the network's input; 0 where there is no instance
    scores   mean Expected-OKS of an instance's keypoints; 0 where there is no instance
    count    how many of the n there are
    settled  False for an image whose greedy choice took too many rounds: its answer is not to be
             used, and `keypoints.decode` has the right one
    """

    points: Float64[Tensor, "b n k 2"]
    scores: Float64[Tensor, "b n"]
    count: Int64[Tensor, " b"]
    settled: Bool[Tensor, " b"]


@dataclass(frozen=True, slots=True)
class Found(Chosen):
    """Instances, and the index (b, h, w) of that of each cell of the decoding, -1 without."""

    index: Int32[Tensor, "b h w"]


def decode(
    maps: KeypointMaps,
    is_thing: Bool[Tensor, "b h w"],
    *,
    stride: int,
    map_stride: int,
    numbers: KeypointNumbers,
) -> Found:
    """Instances of a batch, and the index of the instance of each cell.

    maps        heatmaps as probabilities; cell (i, j) lies on pixel (map_stride * i, ... * j)
    is_thing    cells of the decoding grid that are predicted as things: only they cast long-range
                votes; cell (i, j) lies on pixel (stride * i, stride * j), and the maps are
                upsampled to its size

    A cell whose heat or offset is no number casts no votes.

    Source: DeeperLab, section 3.3 and figure 4.
    """
    grids = Grids((is_thing.shape[1], is_thing.shape[2]), stride, map_stride)
    cells, kinds = grids.size_hw[0] * grids.size_hw[1], maps.heatmap.shape[1]
    pairs = (kinds * min(numbers.peaks, cells)) ** 2
    together = max(1, min(CELLS // cells, PAIRS // pairs))
    answers = []
    for first in range(0, len(is_thing), together):
        some = slice(first, first + together)
        answers.append(_decode(mapped(maps, itemgetter(some)), is_thing[some], grids, numbers))
    return answers[0] if len(answers) == 1 else _joined(answers)


def _joined(answers: list[Found]) -> Found:
    names = [column.name for column in fields(Found)]
    return Found(*(torch.cat([getattr(x, name) for x in answers]) for name in names))


def _decode(
    maps: KeypointMaps, is_thing: Bool[Tensor, "b h w"], grids: Grids, numbers: KeypointNumbers
) -> Found:
    goals, short_votes, votes = vote(maps, is_thing, grids=grids, numbers=numbers)
    cells, real = voting.peaks(votes, threshold=numbers.peak_threshold, most=numbers.peaks)
    starts = voting.centroid(votes, cells) * grids.stride
    chosen = group(maps, short_votes, (starts, real), grids=grids, numbers=numbers)
    index = assign(goals, chosen.points / grids.map_stride, chosen.count)
    return Found(chosen.points, chosen.scores, chosen.count, chosen.settled, index)


def vote(
    maps: KeypointMaps,
    is_thing: Bool[Tensor, "b h w"],
    *,
    grids: Grids,
    numbers: KeypointNumbers,
) -> tuple[Float32[Tensor, "b k 2 h w"], Float32[Tensor, "b k h w"], Float32[Tensor, "b k h w"]]:
    """Where cells point to by refined long offsets, in cells of the maps, and two Hough maps.

    The Hough maps are those of the short range and the fused ones, divided by a disk's area.

    Offsets are refined on the grid of the maps.

    Source: DeeperLab, section 3.3; PersonLab, section 3.1 (refinement).
    # Deviates: the weights of the fusion are not in the paper; long votes are clipped at 1.
    """
    heat, short, long = maps.heatmap.float().flatten(0, 1), _pairs(maps.short), _pairs(maps.long)
    planes, size_hw = len(heat), grids.size_hw
    counts = [torch.zeros(planes, *size_hw, dtype=torch.int64, device=heat.device) for _ in "sl"]
    goals, aims = heat.new_empty(planes, 2, *size_hw), _aims(long, short, grids, numbers)
    for rows in grids.stripes(planes):
        sure = voting.upsample(heat, rows, grids=grids)
        sure = sure.where(sure >= numbers.least_heat, 0)
        at = voting.goals(short, rows, grids=grids)
        voting.cast(counts[0], sure, at, rows, grids=grids)
        aim = voting.upsample(aims, rows, grids=grids)
        at = aim[:, 0], aim[:, 1]
        thing = is_thing[:, None, rows].expand(-1, planes // len(is_thing), -1, -1)
        voting.cast(counts[1], thing.flatten(0, 1).float(), at, rows, grids=grids)
        goals[:, 0, rows], goals[:, 1, rows] = at
    disk = np.pi * (numbers.radius_px / grids.stride) ** 2
    short_votes, long_votes = (part.double() / UNIT / disk for part in counts)
    by_short, by_long = numbers.vote_weights
    fused = by_short * short_votes.float() + by_long * long_votes.clamp(max=1)
    shape = (len(is_thing), -1, *size_hw)
    return (
        goals.view(len(is_thing), -1, 2, *size_hw),
        short_votes.float().view(shape),
        fused.float().view(shape),
    )


def _pairs(offsets: Tensor) -> Float32[Tensor, "planes 2 h w"]:
    """Offsets of a batch with a plane for each (y, x)."""
    return offsets.float().reshape(-1, 2, *offsets.shape[-2:])


def _aims(
    long: Float32[Tensor, "planes 2 h w"],
    short: Float32[Tensor, "planes 2 h w"],
    grids: Grids,
    numbers: KeypointNumbers,
) -> Float32[Tensor, "planes 2 h w"]:
    """Where the cells of the maps point to, stripe by stripe."""
    own, aims = grids.of_maps(long), torch.empty_like(long)
    for rows in own.stripes(len(long)):
        aims[:, 0, rows], aims[:, 1, rows] = _point(
            long, short, rows=rows, grids=own, numbers=numbers
        )
    return aims


def _point(
    long: Float32[Tensor, "planes 2 h w"],
    short: Float32[Tensor, "planes 2 h w"],
    *,
    rows: slice,
    grids: Grids,
    numbers: KeypointNumbers,
) -> voting.At:
    """Where some rows point to: long offsets, led on by those at the place they point to."""
    graph = numbers.joined
    selves = {"none": (), "center": graph.centres, "all": range(len(graph.keypoints))}
    plane = torch.arange(len(long), device=long.device)[:, None, None]
    y, x = voting.goals(long, rows, grids=grids)
    for kind in selves[numbers.refine_long_self]:
        own = slice(kind, None, len(graph.keypoints))
        for _ in range(numbers.refine_steps):
            y[own], x[own] = voting.follow((y[own], x[own]), long, plane[own], grids=grids)
    for _ in range(numbers.refine_steps):
        y, x = voting.follow((y, x), short, plane, grids=grids)
    return y, x


def group(
    maps: KeypointMaps,
    short_votes: Float32[Tensor, "b k h w"],
    candidates: tuple[Float64[Tensor, "b k m 2"], Bool[Tensor, "b k m"]],
    *,
    grids: Grids,
    numbers: KeypointNumbers,
) -> Chosen:
    """The instances that candidates, in pixels, are completed to.

    Source: DeeperLab, section 3.3.
    """
    images, starts = len(short_votes), candidates[0]
    scorer = grouping.Scorer(
        heatmap=maps.heatmap.float(),
        short=_pairs(maps.short).unflatten(0, (images, -1)),
        middle=_pairs(maps.middle).unflatten(0, (images, -1)),
        votes=short_votes,
        grids=grids,
        numbers=numbers,
    )
    points = scorer.complete(starts)
    scores = scorer.score(points)
    order, count, settled = _choose(points, scores, candidates[1].flatten(1), numbers)
    there = torch.arange(order.shape[1], device=order.device) < count[:, None]
    places = order[..., None, None].expand(-1, -1, *points.shape[2:])
    kept = points.gather(1, places).where(there[..., None, None], 0)
    means = scores.mean(dim=2).gather(1, order).where(there, 0)
    return Chosen(kept, means, count, settled)


def _choose(
    points: Float64[Tensor, "b c k 2"],
    scores: Float64[Tensor, "b c k"],
    real: Bool[Tensor, "b c"],
    numbers: KeypointNumbers,
) -> tuple[Int64[Tensor, "b n"], Int64[Tensor, " b"], Bool[Tensor, " b"]]:
    """Which of the completed candidates are instances, best first; how many; if that is settled.

    Source: DeeperLab, section 3.3: greedy grouping, then suppression of boxes.
    """
    kinds = scores.shape[2]
    own = [part[..., k] for k, part in enumerate(scores.chunk(kinds, dim=1))]
    sure = torch.cat(own, dim=1).where(real, 0)
    made = grouping.ranks(sure)
    taken, settled = grouping.settle(
        grouping.near_rivals(points, made, proximity_px=numbers.proximity_px), sure > 0
    )
    sides = grouping.boxes(points)
    solid = taken & (sides[..., 2:] - sides[..., :2] >= 1).all(dim=-1)
    best = grouping.ranks(scores.mean(dim=2).where(solid, -torch.inf), made)
    kept, over = grouping.settle(grouping.box_rivals(sides, best, iou=numbers.nms_iou), solid)
    order = best.where(kept, best.shape[1]).argsort(dim=1, stable=True)[:, : numbers.instances]
    return order, kept.sum(dim=1).clamp(max=order.shape[1]), settled & over


def assign(
    goals: Float32[Tensor, "b k 2 h w"],
    points: Float64[Tensor, "b n k 2"],
    count: Int64[Tensor, " b"],
) -> Int32[Tensor, "b h w"]:
    """Index of the instance whose keypoints are nearest to where a cell points, -1 without.

    Goals and points are in one unit. Exact: |goal - point|**2 is taken apart into products in
    float64, whose rounding is far below that of the goals. Of equally near ones the first counts.

    Source: DeeperLab, section 3.3: least Euclidean distance over all keypoints at once.
    """
    images, kinds, _, height, width = goals.shape
    flat, goals = points.flatten(2), goals.reshape(images, kinds * 2, height * width)
    index = torch.full((images, height * width), -1, dtype=torch.int32, device=goals.device)
    if points.shape[1]:
        absent = torch.arange(flat.shape[1], device=flat.device) >= count[:, None]
        squares = (flat**2).sum(dim=2).where(~absent, torch.inf)[..., None]
        for part in voting.blocks(height * width, images * (flat.shape[1] + 2 * kinds)):
            apart = torch.baddbmm(squares, flat, goals[..., part].double(), alpha=-2)
            least, nearest = apart.min(dim=1)
            index[:, part] = nearest.int().where(least.isfinite(), -1)
    return index.view(images, height, width)
